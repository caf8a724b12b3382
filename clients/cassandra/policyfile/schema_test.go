package policyfile_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/clients/cassandra/policyfile"
	"github.com/backstay-go/backstay/internal/goldentest"
	"github.com/backstay-go/backstay/internal/strictyaml"
	"github.com/backstay-go/backstay/resilience"
	guards "github.com/backstay-go/backstay/resilience/policyfile"
)

type object = map[string]any

// comments returns the comments of the fields of a file's structs, by struct and field.
func comments(t *testing.T, files ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if of, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range of.Fields.List {
					for _, field := range f.Names {
						found[spec.Name.Name+"."+field.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
					}
				}
			}
			return false
		})
	}
	return found
}

// bounds are the ranges that Check holds for a field by itself, besides those that are zero or more.
var bounds = map[string]object{
	"bulkhead.limit":        {"minimum": 1},
	"retry.multiplier":      {"minimum": 1},
	"rate_limit.per_second": {"exclusiveMinimum": 0},
	"breaker.failure_rate":  {"exclusiveMinimum": 0, "maximum": 1},
	"breaker.slow_rate":     {"exclusiveMinimum": 0, "maximum": 1},
	"budget.ratio":          {"exclusiveMinimum": 0, "maximum": 1},
	"hedge.quantile":        {"exclusiveMinimum": 0, "exclusiveMaximum": 1},
	"breaker.jitter":        {"exclusiveMaximum": 1},
	"expect.per_second":     {"minimum": 0},
}

// owner is the key below which a struct of a policy stands.
func owner(t reflect.Type) string {
	for _, in := range []reflect.Type{reflect.TypeFor[resilience.Policy](), reflect.TypeFor[resilience.OperationPolicy](), reflect.TypeFor[resilience.BulkheadPolicy]()} {
		for _, f := range strictyaml.FieldsOf(in) {
			if f.Type == t || f.Type.Kind() == reflect.Pointer && f.Type.Elem() == t {
				return f.Name
			}
		}
	}
	return ""
}

// schemas make the schema from the structs' tags and comments.
func schemas(t *testing.T) *strictyaml.Schemas {
	docs := comments(t, "../../../resilience/policy.go", "../profile.go", "../region.go", "parse.go")
	var levels []string
	for c := cassandra.One; c <= cassandra.LocalOne; c++ {
		levels = append(levels, c.String())
	}
	s := &strictyaml.Schemas{Format: strictyaml.Format{Values: map[reflect.Type][]string{
		reflect.TypeFor[cassandra.Consistency]():  levels,
		reflect.TypeFor[resilience.Criticality](): {"critical_plus", "critical", "sheddable_plus", "sheddable"},
		reflect.TypeFor[resilience.BreakerMode](): {"open", "closed", "disabled"},
	}}}
	s.Refine = func(typ reflect.Type, structure, properties object) {
		var required []string
		for _, f := range strictyaml.FieldsOf(typ) {
			field := typ.FieldByIndex(f.Index)
			in := typ.Name()
			if len(f.Index) > 1 { // inlined
				in = typ.FieldByIndex(f.Index[:len(f.Index)-1]).Type.Name()
			}
			doc, property := docs[in+"."+field.Name], properties[f.Name].(object)
			if doc == "" {
				t.Errorf("%s.%s has no comment", in, field.Name)
			}
			property["description"] = doc
			if property["type"] == "integer" {
				property["minimum"] = 0
			}
			maps.Copy(property, bounds[owner(typ)+"."+f.Name])
			// The key above a guard is its name.
			if strings.Contains(doc, "Required") && !(typ == reflect.TypeFor[resilience.Policy]() && f.Name == "name") || typ == reflect.TypeFor[resilience.Policy]() && f.Name == "default" {
				required = append(required, f.Name)
			}
		}
		if required != nil {
			structure["required"] = required
		}
	}
	return s
}

// TestTheSchemaIsCurrent: it is what the structs and their comments say. UPDATE_GOLDEN=1 makes it
// again.
func TestTheSchemaIsCurrent(t *testing.T) {
	s := schemas(t)
	s.Of(reflect.TypeFor[resilience.Policy]())
	guard := s.Defs["Policy"].(object)
	// Of a session's guard, the operations are made from the profiles.
	shared := maps.Clone(guard)
	delete(shared, "required")
	properties := maps.Clone(guard["properties"].(object))
	delete(properties, "operations")
	delete(properties, "default")
	shared["properties"] = properties
	s.Defs["Guard"], s.Defs["SessionGuard"] = guard, shared
	delete(s.Defs, "Policy")
	s.Of(reflect.TypeFor[policyfile.Policy]())
	s.Defs["Session"] = s.Defs["Policy"]
	delete(s.Defs, "Policy")
	for _, def := range []string{"Session", "Failover"} {
		s.Defs[def].(object)["properties"].(object)["guard"].(object)["$ref"] = "#/$defs/SessionGuard"
	}
	ref := func(def string) object { return object{"$ref": "#/$defs/" + def} }
	root := object{
		"type": "object", "additionalProperties": false,
		"properties": object{
			guards.Key:     object{"type": "object", "minProperties": 1, "additionalProperties": ref("Guard"), "description": "The guards, by the name of the dependency that each stands before."},
			policyfile.Key: object{"type": "object", "minProperties": 1, "additionalProperties": ref("Session"), "description": "Cassandra sessions, by name."},
		},
		"patternProperties": object{"^x-": object{"description": "A place for anchors; ignored."}},
		"anyOf":             []object{{"required": []string{guards.Key}}, {"required": []string{policyfile.Key}}},
	}
	have := s.Write(root, "Backstay policies, with Cassandra sessions")
	goldentest.Equal(t, "policy.schema.json", string(have))
}

// TestTheSchemaKnowsWhatIsRead: each field of the example is a property, so that no
// editor marks what the reader takes.
func TestTheSchemaKnowsWhatIsRead(t *testing.T) {
	var all struct {
		Defs map[string]struct {
			Properties map[string]any
			Required   []string
		} `json:"$defs"`
	}
	if err := json.Unmarshal(policyfile.Schema(), &all); err != nil {
		t.Fatal(err)
	}
	for def, fields := range map[string][]string{
		"Session":      {"default_profile", "guard", "failover", "profiles"},
		"Profile":      {"timeout", "criticality", "consistency", "serial_consistency", "idempotent", "hedge", "retry", "degraded", "page_size", "failover", "decision"},
		"Failover":     {"data_center", "guard"},
		"SessionGuard": {"bulkhead", "breaker", "budget"},
		"Guard":        {"bulkhead", "default", "operations"},
	} {
		for _, f := range fields {
			if all.Defs[def].Properties[f] == nil {
				t.Errorf("%s has no %s", def, f)
			}
		}
	}
	for def, want := range map[string][]string{"Session": {"profiles"}, "Profile": {"consistency", "timeout"}, "Failover": {"data_center"}, "SessionGuard": nil, "Guard": {"bulkhead", "default"}} {
		have := all.Defs[def].Required
		slices.Sort(have)
		if !slices.Equal(have, want) {
			t.Errorf("%s requires %v, want %v", def, have, want)
		}
	}
}
