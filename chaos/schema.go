package chaos

import (
	"reflect"
	"slices"

	"github.com/backstay-go/backstay/internal/strictyaml"
)

type schema = strictyaml.Schema

// Schema returns the JSON Schema (draft 2020-12) of what Decode reads into the struct
// that of points to, for editors; nil means a Plan. It covers names, types, kinds of
// faults and their parameters. Conditions that involve several rules are left to Check.
func Schema(of any, title string) []byte {
	if of == nil {
		of = &Plan{}
	}
	s := &strictyaml.Schemas{Format: format(""), Refine: refine}
	return s.Write(s.Of(reflect.TypeOf(of).Elem()), title)
}

// refine adds what the Go types do not express.
func refine(t reflect.Type, structure, properties schema) {
	switch t {
	case reflect.TypeFor[Where]():
		properties["protocol"].(schema)["enum"] = protocols
	case reflect.TypeFor[When]():
		properties["per"].(schema)["enum"] = []string{PerRule, PerRequest}
	case reflect.TypeFor[Often]():
		probability := properties["probability"].(schema)
		probability["minimum"], probability["maximum"] = 0, 1
	case reflect.TypeFor[Rule]():
		structure["required"] = []string{"what"}
	case reflect.TypeFor[What]():
		properties["distribution"].(schema)["enum"] = distributions
		structure["required"], structure["allOf"] = []string{"kind"}, parameters()
	}
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
