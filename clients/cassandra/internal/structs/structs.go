package structs

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"unicode"
)

// Fields are a struct type's fields by column: the name in the tag `cql`, else the
// field's name in lower case with underscores. A tag of "-" leaves a field out.
type Fields map[string][]int

var known sync.Map // reflect.Type -> Fields

// Of returns the fields of a struct type. It returns nil if the type is a single value:
// not a struct, a struct without exported fields (time.Time), or one with its own
// conversion.
func Of(t reflect.Type) Fields {
	if fs, ok := known.Load(t); ok {
		return fs.(Fields)
	}
	var fs Fields
	if t.Kind() == reflect.Struct && !speaksForItself(t) {
		for _, f := range reflect.VisibleFields(t) {
			tag := f.Tag.Get("cql")
			if !f.IsExported() || tag == "-" || f.Anonymous && tag == "" {
				continue
			}
			if fs == nil {
				fs = Fields{}
			}
			fs[columnName(f.Name, tag)] = f.Index
		}
	}
	known.Store(t, fs)
	return fs
}

// speaksForItself reports whether the type has the driver's methods for converting a
// value.
func speaksForItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	for _, method := range []string{"UnmarshalCQL", "UnmarshalUDT", "MarshalCQL", "MarshalUDT"} {
		if _, has := p.MethodByName(method); has {
			return true
		}
	}
	return false
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

// Values returns what a struct has for each name, in order.
func Values(from any, names []string) ([]any, error) {
	v := reflect.ValueOf(from)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil, fmt.Errorf("values by name come from a struct, not from %T", from)
	}
	fs := Of(v.Type())
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

// Pointer returns a pointer to the struct's field at the index. It allocates embedded
// pointers that are nil.
func Pointer(v reflect.Value, index []int) reflect.Value {
	for _, step := range index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(step)
	}
	return v.Addr()
}
