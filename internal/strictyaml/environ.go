package strictyaml

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/backstay-go/backstay/internal/suggest"
)

// target is a single value that a variable can set.
type target struct {
	field string
	typ   reflect.Type
	// set sets the value from text, and reports whether it could.
	set func(string) bool
}

// Override sets fields from environment variables. below is what was read from the given key: a
// map of structs by name. A variable's name is the prefix followed by the path of the field below
// the key, in upper case, with an underscore for each character that is neither a letter nor a
// digit. A variable with the prefix is a problem if it names no field or two fields, or if its
// value does not fit, because a typing error in a kill switch must not go unnoticed. Two kinds of
// variables are ignored: those that Kubernetes makes for a Service of that name, and PREFIX_FILE,
// which usually says where the file is.
func (d *Document) Override(prefix, key string, below any, environ []string) {
	values := map[string]string{}
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(name, prefix) && !isForeign(name[len(prefix):], value) {
			values[name] = value // the last of several counts, as in a process
		}
	}
	if len(values) == 0 || d.root == nil {
		return
	}
	root := reflect.ValueOf(below).Elem()
	targets := map[string][]target{}
	d.targets(root, key, func(use func(reflect.Value) bool) bool { return use(root) }, func(t target) {
		name := prefix + variable(strings.TrimPrefix(t.field, key+"."))
		targets[name] = append(targets[name], t)
	})
	for _, several := range targets { // the order of a map is random
		slices.SortFunc(several, func(a, b target) int { return strings.Compare(a.field, b.field) })
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		d.override(place{variable: name}, key, values[name], targets)
	}
}

func (d *Document) override(where place, key, value string, targets map[string][]target) {
	name, found := where.variable, targets[where.variable]
	switch {
	case len(found) == 0:
		suggestion := "what it names must be in the file; unset it if it is not meant for it"
		if near := suggest.Nearest(name, slices.Values(slices.Sorted(maps.Keys(targets)))); near != "" {
			suggestion = `did you mean "` + near + `"?`
		}
		d.add(where, Problem{Message: "names no field of the file's " + key, Suggestion: suggestion})
	case len(found) > 1:
		d.add(where, Problem{Message: "names both " + found[0].field + " and " + found[1].field, Suggestion: "rename one of them in the file"})
	case value == "" || !found[0].set(value):
		d.unread[found[0].field] = true
		d.add(where, Problem{Field: found[0].field, Message: "is " + short(value), Suggestion: strings.TrimSuffix(d.wanted(found[0].typ, value), "?") + ", or unset the variable"})
	default:
		d.places[found[0].field] = where
	}
}

// links matches the variables that Kubernetes makes for each Service in a pod's namespace.
var links = regexp.MustCompile(`^([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// isForeign reports whether a variable is not meant for a field.
func isForeign(rest, value string) bool {
	switch {
	case rest == "FILE":
		return true
	case strings.HasSuffix(rest, "PORT") || strings.HasSuffix(rest, "_TCP") || strings.HasSuffix(rest, "_UDP") || strings.HasSuffix(rest, "_SCTP"):
		return links.MatchString(rest) && (strings.Contains(value, "://") || strings.Trim(value, "0123456789") == "")
	}
	return links.MatchString(rest)
}

// variable converts a path to the corresponding part of a variable's name.
func variable(path string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToUpper(r)
		}
		return '_'
	}, path)
}

// reach calls use with an addressable value, and stores the value afterwards.
type reach func(use func(reflect.Value) bool) bool

// targets calls each for every single value inside a value that can be set. A map offers only the
// entries that it has; a missing struct is made.
func (d *Document) targets(now reflect.Value, field string, to reach, each func(target)) {
	t := now.Type()
	switch {
	case t.Kind() == reflect.Pointer: // a part that is off is switched on
		inner := reflect.Zero(t.Elem())
		if !now.IsNil() {
			inner = now.Elem()
		}
		d.targets(inner, field, func(use func(reflect.Value) bool) bool {
			return to(func(v reflect.Value) bool {
				one := reflect.New(t.Elem())
				if !v.IsNil() {
					one.Elem().Set(v.Elem())
				}
				ok := use(one.Elem())
				v.Set(one)
				return ok
			})
		}, each)
	case t.Kind() == reflect.Struct:
		for _, f := range FieldsOf(t) {
			d.targets(now.FieldByIndex(f.Index), Join(field, f.Name), func(use func(reflect.Value) bool) bool {
				return to(func(v reflect.Value) bool {
					ok := use(v.FieldByIndex(f.Index))
					d.writtenZero(v.FieldByIndex(f.Index), f)
					return ok
				})
			}, each)
		}
	case t.Kind() == reflect.Map:
		for i := now.MapRange(); i.Next(); {
			key := i.Key()
			d.targets(i.Value(), Join(field, key.String()), func(use func(reflect.Value) bool) bool {
				return to(func(v reflect.Value) bool {
					one := reflect.New(t.Elem()).Elem()
					one.Set(v.MapIndex(key))
					ok := use(one)
					v.SetMapIndex(key, one)
					return ok
				})
			}, each)
		}
	case t.Kind() != reflect.Slice && !strings.HasSuffix(field, ".name"):
		each(target{field: field, typ: t, set: func(text string) bool {
			return to(func(v reflect.Value) bool { return d.set(v, text) })
		}})
	}
}
