package strictyaml

import (
	"encoding"
	"encoding/json"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Encode writes a struct with yaml tags as YAML that Decode can read. Zero fields are left out.
// The result is empty if all fields are zero.
func Encode(from any) string {
	b := &printer{}
	b.fields(reflect.Indirect(reflect.ValueOf(from)), 0, false)
	return b.String()
}

// EncodeJSON writes the same as JSON.
func EncodeJSON(from any) []byte {
	var b strings.Builder
	writeJSON(&b, reflect.Indirect(reflect.ValueOf(from)), "")
	b.WriteByte('\n')
	return []byte(b.String())
}

// printer writes the fields that are not zero as YAML, in the order of the struct.
type printer struct{ strings.Builder }

func (b *printer) fields(v reflect.Value, indent int, first bool) {
	for _, field := range FieldsOf(v.Type()) {
		f := v.FieldByIndex(field.Index)
		if Empty(f) {
			continue
		}
		b.begin(indent, &first)
		b.WriteString(field.Name + ":")
		b.field(f, indent+2)
	}
}

// sortedKeys returns the keys of a map, sorted by name.
func sortedKeys(m reflect.Value) []reflect.Value {
	return slices.SortedFunc(slices.Values(m.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
}

// begin indents a line, except for the first line after "- ".
func (b *printer) begin(indent int, first *bool) {
	if !*first {
		b.WriteString(strings.Repeat(" ", indent))
	}
	*first = false
}

func (b *printer) field(v reflect.Value, indent int) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		if Empty(v) {
			b.WriteString(" {}\n")
			return
		}
		b.WriteByte('\n')
		b.fields(v, indent, false)
	case reflect.Map:
		b.WriteByte('\n')
		for _, k := range sortedKeys(v) {
			b.WriteString(strings.Repeat(" ", indent) + yamlText(k.String()) + ":")
			b.field(v.MapIndex(k), indent+2)
		}
	case reflect.Slice:
		b.WriteByte('\n')
		for i := range v.Len() {
			b.WriteString(strings.Repeat(" ", indent) + "- ")
			if e := v.Index(i); e.Kind() == reflect.Struct {
				before := b.Len()
				b.fields(e, indent+2, true)
				if b.Len() == before {
					b.WriteString("{}\n")
				}
			} else {
				b.WriteString(scalar(e, yamlText) + "\n")
			}
		}
	default:
		b.WriteString(" " + scalar(v, yamlText) + "\n")
	}
}

// Empty reports whether a value can be left out.
func Empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range FieldsOf(v.Type()) {
			if !Empty(v.FieldByIndex(f.Index)) {
				return false
			}
		}
		return true
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	case reflect.Float64:
		return math.Float64bits(v.Float()) == 0
	}
	return v.IsZero()
}

func scalar(v reflect.Value, quote func(string) string) string {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if text, err := m.MarshalText(); err == nil {
			return quote(string(text))
		}
	}
	if v.Type() == durationType {
		return quote(time.Duration(v.Int()).String())
	}
	switch v.Kind() {
	case reflect.String:
		return quote(v.String())
	case reflect.Float64:
		// A decimal point or an exponent prevents large numbers from being read as integers, for
		// which they are too large.
		s := strconv.FormatFloat(v.Float(), 'g', -1, 64)
		if strings.ContainsAny(s, "e") && !strings.Contains(s, ".") {
			s = strings.Replace(s, "e", ".0e", 1)
		}
		return s
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	}
	if v.CanUint() {
		return strconv.FormatUint(v.Uint(), 10)
	}
	return strconv.FormatInt(v.Int(), 10)
}

// plain matches texts that every YAML reader takes for text. The exceptions, words that some
// readers take for something else, are below.
var plain = regexp.MustCompile(`^[A-Za-z0-9_/*](?:[A-Za-z0-9_./* +%-]*[A-Za-z0-9_./*+%-])?$`)
var plainStart = regexp.MustCompile(`^[A-Za-z_/]`)
var plainDuration = regexp.MustCompile(`^-?(?:[0-9.]+(?:h|m|s|ms|µs|ns))+$`)
var reserved = []string{"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"}

func yamlText(s string) string {
	if plainDuration.MatchString(s) || plain.MatchString(s) && plainStart.MatchString(s) && !slices.Contains(reserved, strings.ToLower(s)) {
		return s
	}
	return jsonText(s)
}

func jsonText(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return strconv.Quote(s) // encoding a string never fails
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func writeJSON(b *strings.Builder, v reflect.Value, indent string) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	inner := indent + "  "
	sep := func(n int) string {
		if n == 0 {
			return "\n" + inner
		}
		return ",\n" + inner
	}
	n := 0
	switch v.Kind() {
	case reflect.Struct:
		b.WriteByte('{')
		for _, field := range FieldsOf(v.Type()) {
			f := v.FieldByIndex(field.Index)
			if Empty(f) {
				continue
			}
			b.WriteString(sep(n) + jsonText(field.Name) + ": ")
			writeJSON(b, f, inner)
			n++
		}
		closeJSON(b, n, indent, '}')
	case reflect.Map:
		b.WriteByte('{')
		for _, k := range sortedKeys(v) {
			b.WriteString(sep(n) + jsonText(k.String()) + ": ")
			writeJSON(b, v.MapIndex(k), inner)
			n++
		}
		closeJSON(b, n, indent, '}')
	case reflect.Slice:
		b.WriteByte('[')
		for ; n < v.Len(); n++ {
			b.WriteString(sep(n))
			writeJSON(b, v.Index(n), inner)
		}
		closeJSON(b, n, indent, ']')
	default:
		b.WriteString(scalar(v, jsonText))
	}
}

func closeJSON(b *strings.Builder, n int, indent string, end byte) {
	if n > 0 {
		b.WriteString("\n" + indent)
	}
	b.WriteByte(end)
}

// Shown returns a single value as it is written in a file.
func Shown(v reflect.Value) string { return scalar(v, func(s string) string { return s }) }
