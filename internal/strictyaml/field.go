package strictyaml

import (
	"reflect"
	"slices"
	"strings"
)

// Join is the path of a field below another path.
func Join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// writtenZero replaces a zero that was written by what the field's zero tag says it means. In Go
// such a field is at its default while it is zero.
func (d *Document) writtenZero(v reflect.Value, f Field) {
	if f.Zero != "" && v.IsZero() {
		d.set(v, f.Zero)
	}
}

// A Field is a field of a struct as files name it.
type Field struct {
	Name  string
	Index []int
	Doc   string // the doc tag: what the field is, for editors
	Type  reflect.Type
	Zero  string // the zero tag: what a written zero stands for; empty: zero
}

// FieldsOf lists the fields of a struct that have a yaml tag, with those of structs that it
// inlines.
func FieldsOf(t reflect.Type) []Field {
	var fields []Field
	for i := range t.NumField() {
		f := t.Field(i)
		name, how, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-":
		case name != "":
			fields = append(fields, Field{name, f.Index, f.Tag.Get("doc"), f.Type, f.Tag.Get("zero")})
		case how == "inline":
			for _, inner := range FieldsOf(f.Type) {
				inner.Index = append(slices.Clone(f.Index), inner.Index...)
				fields = append(fields, inner)
			}
		}
	}
	return fields
}

func names(fields []Field) []string {
	var list []string
	for _, f := range fields {
		list = append(list, f.Name)
	}
	return list
}
