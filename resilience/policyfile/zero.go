package policyfile

import (
	"reflect"
	"slices"

	"github.com/backstay-go/backstay/internal/strictyaml"
	"github.com/backstay-go/backstay/resilience"
)

// meansNone are the fields for which a zero that is written means none. In Go, where nobody can tell
// a zero that is written from one that is not, a negative value does.
var meansNone = map[reflect.Type][]string{
	reflect.TypeFor[resilience.BreakerPolicy](): {"jitter"},
	reflect.TypeFor[resilience.RetryPolicy]():   {"base_delay"},
	reflect.TypeFor[resilience.BudgetPolicy]():  {"ratio", "burst"},
	reflect.TypeFor[resilience.HedgePolicy]():   {"max_hedges"},
}

// none makes the zeros that are written, in the file or in a variable, negative where they mean none.
func none(d *strictyaml.Document, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			none(d, path, v.Elem())
		}
	case reflect.Map:
		for i := v.MapRange(); i.Next(); {
			one := reflect.New(v.Type().Elem()).Elem()
			one.Set(i.Value())
			none(d, strictyaml.Join(path, i.Key().String()), one)
			v.SetMapIndex(i.Key(), one)
		}
	case reflect.Struct:
		for _, f := range strictyaml.FieldsOf(v.Type()) {
			at, field := strictyaml.Join(path, f.Name), v.FieldByIndex(f.Index)
			if slices.Contains(meansNone[v.Type()], f.Name) && field.IsZero() && d.Written(at) {
				if field.CanFloat() {
					field.SetFloat(-1)
				} else {
					field.SetInt(-1)
				}
				continue
			}
			none(d, at, field)
		}
	}
}

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
