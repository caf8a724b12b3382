package policyfile

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// prefix is what the variables that override fields begin with.
const prefix = "BACKSTAY_POLICY_"

// target is a field that a variable may set.
type target struct {
	name, field string
	// set sets it from text.
	set func(string) bool
	typ reflect.Type
}

// override sets the fields that variables name, in what stands below the section. Each
// that names none, or two, or whose value does not fit, is a finding.
func (d *decoder) override(below map[string]reflect.Value, environ []string) {
	values := map[string]string{}
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(name, d.prefix) {
			values[name] = value // of two the last counts, as for processes
		}
	}
	if len(values) == 0 {
		return
	}
	targets := map[string][]target{}
	for _, name := range slices.Sorted(maps.Keys(below)) {
		for _, t := range targetsOf(name, below[name]) {
			key := d.prefix + variable(name) + "_" + variable(t.field)
			targets[key] = append(targets[key], t)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		where, found := place{variable: name}, targets[name]
		switch {
		case len(found) == 0:
			change := "what it names must be in the file; unset it if it is not meant for it"
			if d.section == Key {
				change = "guards and operations must be in the file; unset it if it is not meant for it"
			}
			if like := similar(name, slices.Sorted(maps.Keys(targets))); like != "" {
				change = "did you mean " + like + "?"
			}
			d.wrong(where, "", "", "names no field of the file's "+d.section, change)
			continue
		case len(found) > 1:
			d.wrong(where, "", "", "names both "+d.section+"."+found[0].name+"."+found[0].field+" and "+d.section+"."+found[1].name+"."+found[1].field, "rename one of them in the file")
			continue
		}
		t := found[0]
		if values[name] == "" || !t.set(values[name]) {
			change := d.wanted(t.typ, values[name]) + ", or unset the variable"
			d.wrong(where, t.name, t.field, "is "+strconv.Quote(values[name]), strings.Replace(change, "?,", "? Give that,", 1))
			continue
		}
		d.places[t.name+"\x00"+t.field] = where
	}
}

// variable turns a path into the part of a variable's name: max_attempts becomes
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

// targetsOf lists the single values of a value that can be set. What is in its maps are
// those it has.
func targetsOf(name string, root reflect.Value) []target {
	var targets []target
	// reach calls its argument with the field itself, and keeps what that made of it.
	type reach func(use func(reflect.Value) bool) bool
	var walk func(now reflect.Value, field string, to reach)
	walk = func(now reflect.Value, field string, to reach) {
		t := now.Type()
		switch {
		case t.Kind() == reflect.Pointer: // a policy that is off is switched on
			inner := reflect.Zero(t.Elem())
			if !now.IsNil() {
				inner = now.Elem()
			}
			walk(inner, field, func(use func(reflect.Value) bool) bool {
				return to(func(v reflect.Value) bool {
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
				walk(now.FieldByIndex(f.index), join(field, f.name), func(use func(reflect.Value) bool) bool {
					return to(func(v reflect.Value) bool { return use(v.FieldByIndex(f.index)) })
				})
			}
		case t.Kind() == reflect.Map:
			for i := now.MapRange(); i.Next(); {
				key := reflect.ValueOf(i.Key().String())
				walk(i.Value(), join(field, key.String()), func(use func(reflect.Value) bool) bool {
					return to(func(v reflect.Value) bool {
						one := reflect.New(t.Elem()).Elem()
						one.Set(v.MapIndex(key))
						ok := use(one)
						v.SetMapIndex(key, one)
						return ok
					})
				})
			}
		case field != "name" && !strings.HasSuffix(field, ".name"):
			targets = append(targets, target{name: name, field: field, typ: t, set: func(text string) bool {
				return to(func(v reflect.Value) bool { return set(v, text) })
			}})
		}
	}
	walk(root, "", func(use func(reflect.Value) bool) bool { return use(root) })
	slices.SortFunc(targets, func(a, b target) int { return strings.Compare(a.field, b.field) })
	return targets
}
