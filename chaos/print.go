package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// String is the plan as YAML that parses to it.
func (p Plan) String() string {
	b := &printer{}
	b.fields(reflect.ValueOf(p), 0, false)
	if b.Len() == 0 {
		return "rules: []\n"
	}
	return b.String()
}

// Encode writes a pointer to a struct of fields with yaml tags as YAML that Decode
// reads back: what is zero is left out.
func Encode(from any) string {
	b := &printer{}
	b.fields(reflect.ValueOf(from).Elem(), 0, false)
	return b.String()
}

// JSON is the plan as JSON that parses to it.
func (p Plan) JSON() []byte {
	var b strings.Builder
	writeJSON(&b, reflect.ValueOf(p), "")
	b.WriteByte('\n')
	return []byte(b.String())
}

// MarshalJSON lets a plan be part of a report.
func (p Plan) MarshalJSON() ([]byte, error) { return p.JSON(), nil }

// UnmarshalJSON reads what MarshalJSON wrote, as strictly as Parse.
func (p *Plan) UnmarshalJSON(text []byte) error {
	plan, err := Parse("", text)
	if err != nil {
		return err
	}
	*p = plan
	return nil
}

// printer writes YAML: fields that are not zero, in the order of the struct.
type printer struct{ strings.Builder }

func (b *printer) fields(v reflect.Value, indent int, first bool) {
	for i := range v.NumField() {
		tag, f := v.Type().Field(i).Tag.Get("yaml"), v.Field(i)
		if tag == "" || empty(f) {
			continue
		}
		b.begin(indent, &first)
		b.WriteString(tag + ":")
		b.field(f, indent+2)
	}
}

// begin indents a line, but for the first after "- ".
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
		b.WriteByte('\n')
		b.fields(v, indent, false)
	case reflect.Map:
		b.WriteByte('\n')
		m := v.Interface().(map[string]string)
		for _, k := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(b, "%s%s: %s\n", strings.Repeat(" ", indent), yamlText(k), yamlText(m[k]))
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

// empty is true for what need not be printed.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("yaml") != "" && !empty(v.Field(i)) {
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
	if v.Type() == durationType {
		return quote(time.Duration(v.Int()).String())
	}
	switch v.Kind() {
	case reflect.String:
		return quote(v.String())
	case reflect.Float64:
		// A point or exponent keeps large numbers from being read as integers
		// that do not fit.
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

// plain are texts that every YAML reader takes for text; the words that some
// take for something else are below.
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
		return strconv.Quote(s) // a string always encodes
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
		for i := range v.NumField() {
			tag, f := v.Type().Field(i).Tag.Get("yaml"), v.Field(i)
			if tag == "" || empty(f) {
				continue
			}
			b.WriteString(sep(n) + jsonText(tag) + ": ")
			writeJSON(b, f, inner)
			n++
		}
		closeJSON(b, n, indent, '}')
	case reflect.Map:
		b.WriteByte('{')
		m := v.Interface().(map[string]string)
		for _, k := range slices.Sorted(maps.Keys(m)) {
			b.WriteString(sep(n) + jsonText(k) + ": " + jsonText(m[k]))
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
