package chaos

import (
	"encoding/json"
	"reflect"
	"slices"
)

// durations are those that time.ParseDuration reads.
const durations = `^[+-]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`

type schema = map[string]any

// Schema returns the JSON Schema (draft 2020-12) of what Decode reads into the struct
// that of points to, for editors; nil means a Plan. It knows names, types, kinds of
// faults and their parameters; what takes several rules to judge, Check judges.
func Schema(of any, title string) []byte {
	if of == nil {
		of = &Plan{}
	}
	m := schemas{defs: schema{"duration": schema{"anyOf": []schema{{"type": "string", "pattern": durations}, {"const": 0}}, "examples": []string{"250ms", "1m30s"}}}}
	root := m.of(reflect.TypeOf(of).Elem())
	root["$schema"], root["title"], root["$defs"] = "https://json-schema.org/draft/2020-12/schema", title, m.defs
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil // Not reached: maps, texts and numbers are always JSON.
	}
	return append(text, '\n')
}

// schemas collects the definitions of structs.
type schemas struct{ defs schema }

func (m schemas) of(t reflect.Type) schema {
	switch t {
	case durationType:
		return schema{"$ref": "#/$defs/duration"}
	case reflect.TypeFor[Kind]():
		var kinds []Kind
		for _, k := range Kinds() {
			kinds = append(kinds, k.Kind)
		}
		return schema{"enum": kinds}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return m.of(t.Elem())
	case reflect.Slice:
		return schema{"type": "array", "items": m.of(t.Elem())}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": schema{"type": "string"}}
	case reflect.Struct:
		if _, ok := m.defs[t.Name()]; !ok {
			m.defs[t.Name()] = nil // begun: a struct may hold itself
			m.defs[t.Name()] = m.structure(t)
		}
		return schema{"$ref": "#/$defs/" + t.Name()}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Float64:
		return schema{"type": "number"}
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Uint64:
		return schema{"type": "integer", "minimum": 0}
	}
	return schema{"type": "integer"}
}

func (m schemas) structure(t reflect.Type) schema {
	properties := schema{}
	for f := range t.Fields() {
		tag := f.Tag.Get("yaml")
		if tag == "" {
			continue
		}
		s := m.of(f.Type)
		s["description"] = f.Tag.Get("doc")
		properties[tag] = s
	}
	s := schema{"type": "object", "additionalProperties": false, "properties": properties}
	switch t {
	case reflect.TypeFor[Where]():
		properties["protocol"].(schema)["enum"] = protocols
	case reflect.TypeFor[When]():
		properties["per"].(schema)["enum"] = []string{PerRule, PerRequest}
	case reflect.TypeFor[Often]():
		probability := properties["probability"].(schema)
		probability["minimum"], probability["maximum"] = 0, 1
	case reflect.TypeFor[Rule]():
		s["required"] = []string{"what"}
	case reflect.TypeFor[What]():
		properties["distribution"].(schema)["enum"] = distributions
		s["required"], s["allOf"] = []string{"kind"}, parameters()
	}
	return s
}

// parameters says which parameters each kind needs and takes.
func parameters() []schema {
	var all []schema
	for _, k := range Kinds() {
		names := slices.Concat([]string{"kind"}, k.Needs, k.Takes)
		then := schema{"propertyNames": schema{"enum": names}}
		if len(k.Needs) > 0 {
			then["required"] = k.Needs
		}
		all = append(all, schema{"if": schema{"properties": schema{"kind": schema{"const": k.Kind}}}, "then": then})
	}
	return all
}
