package policyfile

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/backstay-go/backstay/resilience"
)

// prefix is what the variables that override fields begin with.
const prefix = "BACKSTAY_POLICY_"

// target is a field that a variable may set.
type target struct {
	guard, field string
	// set sets it in the policy from text.
	set func(*resilience.Policy, string) bool
	typ reflect.Type
}

// override sets the fields that variables name. Each that names none, or two, or
// whose value does not fit, is a finding.
func (d *decoder) override(policies Policies, environ []string) {
	values := map[string]string{}
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(name, prefix) {
			values[name] = value // of two the last counts, as for processes
		}
	}
	if len(values) == 0 {
		return
	}
	targets := map[string][]target{}
	for _, guard := range slices.Sorted(maps.Keys(policies)) {
		for _, t := range targetsOf(guard, policies[guard]) {
			name := prefix + variable(guard) + "_" + variable(t.field)
			targets[name] = append(targets[name], t)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		where, found := place{variable: name}, targets[name]
		switch {
		case len(found) == 0:
			change := "guards and operations must be in the file; unset it if it is not meant for it"
			if like := similar(name, slices.Sorted(maps.Keys(targets))); like != "" {
				change = "did you mean " + like + "?"
			}
			d.wrong(where, "", "", "names no field of the file's guards", change)
			continue
		case len(found) > 1:
			d.wrong(where, "", "", "names both guards."+found[0].guard+"."+found[0].field+" and guards."+found[1].guard+"."+found[1].field, "rename one of them in the file")
			continue
		}
		t := found[0]
		p := policies[t.guard]
		if values[name] == "" || !t.set(&p, values[name]) {
			d.wrong(where, t.guard, t.field, "is "+strconv.Quote(values[name]), wanted(t.typ)+", or unset the variable")
			continue
		}
		policies[t.guard] = p
		d.places[t.guard+"\x00"+t.field] = where
	}
}

// variable turns a path into the part of a variable's name: maxAttempts becomes
// MAX_ATTEMPTS, and all that is neither letter nor digit an underscore.
func variable(path string) string {
	var b strings.Builder
	lower := false
	for _, r := range path {
		switch {
		case unicode.IsUpper(r) && lower:
			b.WriteByte('_')
			b.WriteRune(r)
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(unicode.ToUpper(r))
		default:
			b.WriteByte('_')
		}
		lower = unicode.IsLower(r) || unicode.IsDigit(r)
	}
	return b.String()
}

// targetsOf lists the single values of a policy. The operations are those it has.
func targetsOf(guard string, p resilience.Policy) []target {
	var targets []target
	var walk func(t reflect.Type, field string, reach func(*resilience.Policy, func(reflect.Value) bool) bool)
	walk = func(t reflect.Type, field string, reach func(*resilience.Policy, func(reflect.Value) bool) bool) {
		switch {
		case t.Kind() == reflect.Pointer: // a policy that is off is switched on
			walk(t.Elem(), field, func(p *resilience.Policy, use func(reflect.Value) bool) bool {
				return reach(p, func(v reflect.Value) bool {
					one := reflect.New(t.Elem())
					if !v.IsNil() {
						one.Elem().Set(v.Elem())
					}
					ok := use(one.Elem())
					v.Set(one)
					return ok
				})
			})
		case t.Kind() == reflect.Struct:
			for _, f := range fieldsOf(t) {
				walk(t.Field(f.index).Type, join(field, f.name), func(p *resilience.Policy, use func(reflect.Value) bool) bool {
					return reach(p, func(v reflect.Value) bool { return use(v.Field(f.index)) })
				})
			}
		case t.Kind() == reflect.Map:
			for _, name := range slices.Sorted(maps.Keys(p.Operations)) {
				walk(t.Elem(), join(field, name), func(p *resilience.Policy, use func(reflect.Value) bool) bool {
					return reach(p, func(v reflect.Value) bool {
						one := reflect.New(t.Elem()).Elem()
						one.Set(v.MapIndex(reflect.ValueOf(name)))
						ok := use(one)
						v.SetMapIndex(reflect.ValueOf(name), one)
						return ok
					})
				})
			}
		case field != "name":
			targets = append(targets, target{guard: guard, field: field, typ: t, set: func(p *resilience.Policy, text string) bool {
				return reach(p, func(v reflect.Value) bool { return set(v, text) })
			}})
		}
	}
	walk(reflect.TypeFor[resilience.Policy](), "", func(p *resilience.Policy, use func(reflect.Value) bool) bool {
		return use(reflect.ValueOf(p).Elem())
	})
	return targets
}
