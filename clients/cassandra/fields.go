package cassandra

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"unicode"
)

// fields are a struct type's fields by column: the name in the tag `cql`, else the
// field's name in lower case with underscores. A tag of "-" leaves a field out.
type fields map[string][]int

var fieldsOf sync.Map // reflect.Type -> fields

// fieldsFor returns the fields of a struct type; nil if the type is one value: not
// a struct, a struct without exported fields (time.Time), or one that reads itself.
func fieldsFor(t reflect.Type) fields {
	if known, ok := fieldsOf.Load(t); ok {
		return known.(fields)
	}
	var fs fields
	if t.Kind() == reflect.Struct {
		if _, own := reflect.PointerTo(t).MethodByName("UnmarshalCQL"); !own {
			for _, f := range reflect.VisibleFields(t) {
				tag := f.Tag.Get("cql")
				if !f.IsExported() || tag == "-" || f.Anonymous && tag == "" {
					continue
				}
				if fs == nil {
					fs = fields{}
				}
				fs[columnName(f.Name, tag)] = f.Index
			}
		}
	}
	fieldsOf.Store(t, fs)
	return fs
}

func columnName(field, tag string) string {
	if tag != "" {
		return tag
	}
	var b strings.Builder
	runes := []rune(field)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// valuesByName returns what a struct has for each name, in order.
func valuesByName(from any, names []string) ([]any, error) {
	v := reflect.ValueOf(from)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil, fmt.Errorf("values by name come from a struct, not from %T", from)
	}
	fs := fieldsFor(v.Type())
	values := make([]any, len(names))
	for i, name := range names {
		index, ok := fs[name]
		if !ok {
			return nil, fmt.Errorf("%v has no field for %q; name one so, or tag it `cql:%q`", v.Type(), name, name)
		}
		field, err := v.FieldByIndexErr(index)
		if err != nil {
			return nil, fmt.Errorf("%v has nothing for %q: %w", v.Type(), name, err)
		}
		values[i] = field.Interface()
	}
	return values, nil
}

// pointersByName returns where a struct keeps each name, in order.
func pointersByName(v reflect.Value, names []Column) ([]any, error) {
	fs := fieldsFor(v.Type())
	dest := make([]any, len(names))
	for i, c := range names {
		index, ok := fs[c.Name]
		if !ok {
			return nil, fmt.Errorf("%v has no field for column %q; name one so, tag it `cql:%q`, or leave the column out", v.Type(), c.Name, c.Name)
		}
		at := v
		for _, step := range index {
			if at.Kind() == reflect.Pointer {
				if at.IsNil() {
					at.Set(reflect.New(at.Type().Elem()))
				}
				at = at.Elem()
			}
			at = at.Field(step)
		}
		dest[i] = at.Addr().Interface()
	}
	return dest, nil
}
