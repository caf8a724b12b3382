package strictyaml

import (
	"reflect"
	"slices"
	"strings"
)

// Join returns the path of a field below another path.
func Join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// writtenZero replaces a zero that was written in the file by the value in the field's zero tag.
// In Go, a zero field means its default instead.
func (d *Document) writtenZero(v reflect.Value, f Field) {
	if f.Zero != "" && v.IsZero() {
		d.set(v, f.Zero)
	}
}

// A Field is a struct field with the name that files use for it.
type Field struct {
	Name  string
	Index []int
	Doc   string // the doc tag: what the field is, for editors
	Type  reflect.Type
	Zero  string // the zero tag: what a written zero stands for; empty: zero
}

// FieldsOf returns the fields of a struct that have a yaml tag, and those of the structs that it
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
