package policyfile_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/clients/cassandra/policyfile"
	"github.com/backstay-go/backstay/resilience"
	guards "github.com/backstay-go/backstay/resilience/policyfile"
)

type object = map[string]any

// comments returns the comment of each field of a struct.
func comments(t *testing.T, file, name string) map[string]string {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(tree, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != name {
			return true
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			for _, field := range f.Names {
				found[field.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
			}
		}
		return false
	})
	return found
}

// definition is the schema of a struct, but for what it inlines.
func definition(t *testing.T, typ reflect.Type, file string) object {
	docs, properties, required := comments(t, file, typ.Name()), object{}, []any{}
	for i := range typ.NumField() {
		f := typ.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if key == "" {
			continue
		}
		doc := docs[f.Name]
		if doc == "" {
			t.Errorf("%v.%s has no comment", typ, f.Name)
		}
		s := object{"description": doc}
		switch kind := f.Type; {
		case kind == reflect.TypeFor[cassandra.Consistency]():
			s["$ref"] = "#/$defs/Consistency"
		case kind == reflect.TypeFor[resilience.Policy]():
			s["$ref"] = "#/$defs/SessionGuard"
		case kind == reflect.TypeFor[*cassandra.Failover]():
			s["$ref"] = "#/$defs/Failover"
		case kind.Kind() == reflect.Map:
			s["type"], s["minProperties"], s["additionalProperties"] = "object", 1, object{"$ref": "#/$defs/Profile"}
		case kind.Kind() == reflect.Bool:
			s["type"] = "boolean"
		case kind.Kind() == reflect.Int:
			s["type"], s["minimum"] = "integer", 0
		case kind.Kind() == reflect.String:
			s["type"] = "string"
		default:
			t.Fatalf("no schema for %v", kind)
		}
		properties[key] = s
		if strings.Contains(doc, "Required") {
			required = append(required, key)
		}
	}
	return object{"type": "object", "additionalProperties": false, "properties": properties, "required": required}
}

// TestTheSchemaIsCurrent: it is the guards' schema, and what the structs and their
// comments say. UPDATE_GOLDEN=1 makes it anew.
func TestTheSchemaIsCurrent(t *testing.T) {
	var all object
	if err := json.Unmarshal(guards.Schema(), &all); err != nil {
		t.Fatal(err)
	}
	defs := all["$defs"].(object)
	var names []any
	for c := cassandra.One; c <= cassandra.LocalOne; c++ {
		names = append(names, c.String())
	}
	defs["Consistency"] = object{"enum": names}
	profile := definition(t, reflect.TypeFor[cassandra.Profile](), "../profile.go")
	operation := defs["OperationPolicy"].(object)
	maps.Copy(profile["properties"].(object), operation["properties"].(object))
	profile["required"] = append(profile["required"].([]any), operation["required"].([]any)...)
	defs["Profile"] = profile
	defs["Failover"] = definition(t, reflect.TypeFor[cassandra.Failover](), "../region.go")
	defs["Session"] = definition(t, reflect.TypeFor[policyfile.Policy](), "parse.go")
	// Its operations are made from the profiles.
	guard := maps.Clone(defs["Policy"].(object))
	delete(guard, "required")
	fields := maps.Clone(guard["properties"].(object))
	delete(fields, "operations")
	delete(fields, "default")
	guard["properties"] = fields
	defs["SessionGuard"] = guard
	all["properties"].(object)["x-cassandra"] = object{
		"description": "Cassandra sessions, by name.", "type": "object", "minProperties": 1, "additionalProperties": object{"$ref": "#/$defs/Session"},
	}
	all["title"] = "Backstay policies, with Cassandra sessions"
	all["anyOf"] = []any{object{"required": []any{"guards"}}, object{"required": []any{"x-cassandra"}}}
	delete(all, "required")
	have, err := json.MarshalIndent(all, "", "  ")
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
	} {
		for _, f := range fields {
			if all.Defs[def].Properties[f] == nil {
				t.Errorf("%s has no %s", def, f)
			}
		}
	}
	for def, want := range map[string][]string{"Session": {"profiles"}, "Profile": {"consistency", "timeout"}, "Failover": {"data_center"}, "SessionGuard": nil} {
		if have := all.Defs[def].Required; !slices.Equal(have, want) {
			t.Errorf("%s requires %v, want %v", def, have, want)
		}
	}
}
