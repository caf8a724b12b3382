package rulefile

import (
	"reflect"

	"github.com/backstay-go/backstay/internal/strictyaml"
)

// Schema returns the JSON Schema of the file, for editors. That rules do not contradict each other
// is left to Parse.
func Schema() []byte {
	s := strictyaml.Schemas{Format: format, Refine: refine}
	return s.Write(s.Of(reflect.TypeFor[File]()), "Rules of the license service")
}

func refine(t reflect.Type, structure, properties strictyaml.Schema) {
	switch t {
	case reflect.TypeFor[File]():
		structure["required"] = []string{"versions"}
	case reflect.TypeFor[Version]():
		structure["required"] = []string{"version", "rules"}
	case reflect.TypeFor[Rule]():
		structure["required"] = []string{"name"}
		for _, f := range (Rule{}).settings() {
			if p, ok := properties[f.field.String()].(strictyaml.Schema); ok && !f.duration {
				p["minimum"] = f.least
				if f.most > 0 {
					p["maximum"] = f.most
				}
			}
		}
	case reflect.TypeFor[When]():
		for name, pattern := range map[string]string{"countries": countryPattern.String(), "device_kinds": deviceKindPattern.String()} {
			if p, ok := properties[name].(strictyaml.Schema); ok {
				p["items"] = strictyaml.Schema{"type": "string", "pattern": pattern}
			}
		}
	}
}
