package strictyaml

import (
	"encoding/json"
	"reflect"
)

// durationPattern matches the durations that time.ParseDuration reads.
const durationPattern = `^[+-]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`

// Schema is a JSON Schema, or a part of one.
type Schema = map[string]any

// Schemas makes JSON Schemas (draft 2020-12), for editors, of the files that Decode reads into a
// Go type. Names, types and values come from the same tags. Rules about several fields are not
// part of the schema; they are left to Check.
type Schemas struct {
	// Format lists the possible values of types.
	Format Format
	// Refine completes the schema of a struct, for example by ranges and required fields.
	// properties are the schemas of the struct's fields. Nil: nothing is added.
	Refine func(t reflect.Type, structure, properties Schema)
	// Defs are the definitions made so far.
	Defs Schema
}

// Of returns the schema of a type, and adds the definitions of structs to Defs.
func (s *Schemas) Of(t reflect.Type) Schema {
	if s.Defs == nil {
		s.Defs = Schema{}
	}
	if t == durationType {
		s.Defs["duration"] = Schema{"anyOf": []Schema{{"type": "string", "pattern": durationPattern}, {"const": 0}}, "examples": []string{"250ms", "1m30s"}}
		return Schema{"$ref": "#/$defs/duration"}
	}
	if values := s.Format.Values[t]; values != nil {
		return Schema{"enum": values}
	}
	switch k := t.Kind(); {
	case reflect.PointerTo(t).Implements(unmarshalerType), k == reflect.String:
		return Schema{"type": "string"}
	case k == reflect.Pointer:
		return s.Of(t.Elem())
	case k == reflect.Slice:
		return Schema{"type": "array", "items": s.Of(t.Elem())}
	case k == reflect.Map:
		return Schema{"type": "object", "additionalProperties": s.Of(t.Elem())}
	case k == reflect.Struct:
		if _, ok := s.Defs[t.Name()]; !ok {
			s.Defs[t.Name()] = nil // marks the definition as begun, because a struct may contain itself
			s.Defs[t.Name()] = s.structure(t)
		}
		return Schema{"$ref": "#/$defs/" + t.Name()}
	case k == reflect.Bool:
		return Schema{"type": "boolean"}
	case k == reflect.Float64:
		return Schema{"type": "number"}
	case k >= reflect.Uint && k <= reflect.Uint64:
		return Schema{"type": "integer", "minimum": 0}
	}
	return Schema{"type": "integer"}
}

func (s *Schemas) structure(t reflect.Type) Schema {
	properties := Schema{}
	for _, f := range FieldsOf(t) {
		one := s.Of(f.Type)
		if f.Doc != "" {
			one["description"] = f.Doc
		}
		properties[f.Name] = one
	}
	structure := Schema{"type": "object", "additionalProperties": false, "properties": properties}
	if s.Refine != nil {
		s.Refine(t, structure, properties)
	}
	return structure
}

// Write returns, as text, a schema with a title and the definitions.
func (s *Schemas) Write(root Schema, title string) []byte {
	root["$schema"], root["title"], root["$defs"] = "https://json-schema.org/draft/2020-12/schema", title, s.Defs
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil // This is never reached, because maps, texts and numbers can always be encoded.
	}
	return append(text, '\n')
}
