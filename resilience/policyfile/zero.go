package policyfile

import (
	"reflect"
	"slices"

	"github.com/backstay-go/backstay/internal/strictyaml"
)

// written returns a warning for each number of guards that is written as zero, where zero stands
// for a default that is none.
func written(d *strictyaml.Document, guards []GuardPolicy) (found []Problem) {
	for _, g := range guards {
		var walk func(path string, v, filled reflect.Value)
		walk = func(path string, v, filled reflect.Value) {
			switch v.Kind() {
			case reflect.Pointer:
				if !v.IsNil() {
					walk(path, v.Elem(), filled.Elem())
				}
			case reflect.Struct:
				for _, f := range strictyaml.FieldsOf(v.Type()) {
					walk(strictyaml.Join(path, f.Name), v.FieldByIndex(f.Index), filled.FieldByIndex(f.Index))
				}
			case reflect.Map:
				for i := v.MapRange(); i.Next(); {
					walk(strictyaml.Join(path, i.Key().String()), i.Value(), filled.MapIndex(i.Key()))
				}
			default:
				if at := g.Field(path); v.IsZero() && !filled.IsZero() && d.Written(at) && !slices.ContainsFunc(found, func(p Problem) bool { return p.Field == at }) {
					found = append(found, Problem{Field: at, Warning: true, Message: "is 0, which stands for the default, " + strictyaml.Shown(filled), Suggestion: "leave it out, or give the number that is meant"})
				}
			}
		}
		walk("", reflect.ValueOf(g.Policy), reflect.ValueOf(g.WithDefaults()))
	}
	return found
}
