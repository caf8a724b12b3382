package policyfile_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

// comments returns the comment of each field of package resilience's policies.
func comments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../policy.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range decl.Specs {
			spec, ok := s.(*ast.TypeSpec)
			if !ok {
				continue
			}
			if fields, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range fields.Fields.List {
					for _, name := range f.Names {
						found[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
					}
				}
			}
		}
	}
	return found
}

type object = map[string]any

const duration = `^[+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$|^[+]?0$`

// schemaOf is the schema of a type; the definitions of structs go into defs.
func schemaOf(t *testing.T, typ reflect.Type, docs map[string]string, defs object) object {
	switch {
	case typ == reflect.TypeFor[time.Duration]():
		return object{"$ref": "#/$defs/duration"}
	case typ == reflect.TypeFor[resilience.Criticality]():
		return object{"enum": []string{"critical_plus", "critical", "sheddable_plus", "sheddable"}}
	case typ == reflect.TypeFor[resilience.BreakerMode]():
		return object{"enum": []string{"open", "closed", "disabled"}}
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return schemaOf(t, typ.Elem(), docs, defs)
	case reflect.Map:
		return object{"type": "object", "additionalProperties": schemaOf(t, typ.Elem(), docs, defs)}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		return object{"type": "integer"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Struct:
		name := typ.Name()
		if _, ok := defs[name]; ok {
			return object{"$ref": "#/$defs/" + name}
		}
		properties := object{}
		def := object{"type": "object", "additionalProperties": false, "properties": properties}
		defs[name] = def
		var required []string
		for i := range typ.NumField() {
			f := typ.Field(i)
			key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if key == "" {
				continue
			}
			s := schemaOf(t, f.Type, docs, defs)
			doc := docs[name+"."+f.Name]
			if doc == "" {
				t.Errorf("%s.%s has no comment", name, f.Name)
			}
			s["description"] = doc
			bound(s, name+"."+f.Name)
			properties[key] = s
			if strings.Contains(doc, "Required") || name == "Policy" && f.Name == "Default" {
				required = append(required, key)
			}
		}
		// The key above a guard is its name.
		if name == "Policy" {
			required = required[1:]
		}
		if required != nil {
			def["required"] = required
		}
		return object{"$ref": "#/$defs/" + name}
	}
	t.Fatalf("no schema for %v", typ)
	return nil
}

// bound adds the ranges that Check holds for a field by itself.
func bound(s object, field string) {
	if s["type"] == "integer" {
		s["minimum"] = 0
	}
	switch field {
	case "BulkheadPolicy.Limit":
		s["minimum"] = 1
	case "RetryPolicy.MaxAttempts":
		s["minimum"] = 2
	case "RetryPolicy.Multiplier":
		s["minimum"] = 1
	case "RateLimitPolicy.PerSecond":
		s["exclusiveMinimum"] = 0
	case "BreakerPolicy.FailureRate", "BreakerPolicy.SlowRate", "BudgetPolicy.Ratio":
		s["exclusiveMinimum"], s["maximum"] = 0, 1
	case "HedgePolicy.Quantile":
		s["exclusiveMinimum"], s["exclusiveMaximum"] = 0, 1
	case "BreakerPolicy.Jitter":
		s["exclusiveMaximum"] = 1
	case "Expectation.PerSecond":
		s["minimum"] = 0
	}
}

// TestTheSchemaIsCurrent: it is made from the structs and their comments.
// UPDATE_GOLDEN=1 makes it anew.
func TestTheSchemaIsCurrent(t *testing.T) {
	defs := object{"duration": object{
		"type": "string", "pattern": duration,
		"examples": []string{"250ms", "1m30s"},
	}}
	policy := schemaOf(t, reflect.TypeFor[resilience.Policy](), comments(t), defs)
	have, err := json.MarshalIndent(object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Backstay policies",
		"type": "object", "additionalProperties": false, "required": []string{"guards"},
		"properties": object{"guards": object{
			"type": "object", "minProperties": 1, "additionalProperties": policy,
			"description": "The guards, by the name of the dependency that each stands before.",
		}},
		"patternProperties": object{"^x-": object{"description": "A place for anchors; ignored."}},
		"$defs":             defs,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	have = append(have, '\n')
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile("policy.schema.json", have, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(have) != string(policyfile.Schema()) {
		t.Error("policy.schema.json is not what the structs say: UPDATE_GOLDEN=1 go test, and read the diff")
	}
}
