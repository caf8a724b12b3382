package strictyaml

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/backstay-go/backstay/internal/suggest"
)

var durationType = reflect.TypeFor[time.Duration]()

// Decode reads the whole document into the struct that into points to. What can't be read keeps
// its value, and is a problem.
func (d *Document) Decode(into any) {
	if d.root != nil {
		d.value(d.root, reflect.ValueOf(into).Elem(), "", at(d.root))
	}
}

// Keys are the names of the fields at the top. What is no mapping has none.
func (d *Document) Keys() (keys []string) {
	if d.root == nil || d.root.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(d.root.Content); i += 2 {
		keys = append(keys, d.root.Content[i].Value)
	}
	return keys
}

// Top holds the fields at the top against those that a file may have, and reports others; keys
// that begin with x- are free. It returns false if there are no fields.
func (d *Document) Top(known ...string) bool {
	for _, e := range d.entriesAtTop(known) {
		if !strings.HasPrefix(e.name, "x-") && !slices.Contains(known, e.name) {
			d.notKnown(e, "", known)
		}
	}
	return len(d.top) > 0
}

// DecodeKey reads what stands below a key at the top into what into points to. It returns false if
// there is no such key.
func (d *Document) DecodeKey(key string, into any) bool {
	for _, e := range d.entriesAtTop([]string{key}) {
		if e.name == key {
			d.places[key] = e.at
			d.value(e.value, reflect.ValueOf(into).Elem(), key, e.at)
			return true
		}
	}
	return false
}

func (d *Document) entriesAtTop(known []string) []entry {
	if d.top == nil && d.root != nil && !d.unread[""] {
		d.top, _ = d.entries(d.root, "", known)
	}
	return d.top
}

// entry is one line of a mapping.
type entry struct {
	name  string
	at    place
	value *yaml.Node
}

// value reads a node into v. Key is where its name is.
func (d *Document) value(n *yaml.Node, v reflect.Value, path string, key place) {
	from := n
	n, done := d.resolve(n, path)
	defer done()
	if n == nil {
		return
	}
	where := at(from)
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		d.wrong(key, path, "is empty", whenEmpty(v.Type()))
		return
	}
	switch {
	case v.Kind() == reflect.Pointer && !v.Type().Implements(unmarshalerType):
		p := reflect.New(v.Type().Elem())
		d.value(n, p.Elem(), path, key)
		v.Set(p)
	case v.CanAddr() && v.Addr().Type().Implements(unmarshalerType), v.Type() == durationType:
		d.scalar(n, v, path, where)
	case v.Kind() == reflect.Struct:
		d.structure(n, v, path)
	case v.Kind() == reflect.Slice:
		d.list(n, v, path, where)
	case v.Kind() == reflect.Map:
		d.mapping(n, v, path)
	default:
		d.scalar(n, v, path, where)
	}
}

func whenEmpty(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		return "write {} for its defaults, or leave it out"
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		return "write something below it, or leave it out"
	}
	return "give a value, or leave it out"
}

// entries are the fields of a mapping, those of merged mappings first.
func (d *Document) entries(n *yaml.Node, path string, known []string) ([]entry, bool) {
	if len(d.open) > 0 && !d.spend(len(n.Content)/2, at(n), path) {
		return nil, false
	}
	if n.Kind != yaml.MappingNode {
		suggestion := "write names below it"
		if len(known) > 0 {
			suggestion = "write its fields below it: " + strings.Join(known, ", ")
		}
		d.wrong(at(n), path, "is "+shown(n), suggestion)
		return nil, false
	}
	var merged, own []entry
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind == yaml.ScalarNode && k.ShortTag() == "!!merge" {
			merged = append(merged, d.merge(n.Content[i+1], path, known)...)
			continue
		}
		k, done := d.resolve(k, path)
		done()
		if k == nil {
			continue
		}
		e := entry{name: k.Value, at: at(n.Content[i]), value: n.Content[i+1]}
		switch {
		case k.Kind != yaml.ScalarNode:
			d.wrong(e.at, path, "has a name that is "+shown(k), "a name is plain text")
			continue
		case k.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 && k.ShortTag() == "!!null":
			d.wrong(e.at, path, "has a name that is empty", "a name is plain text")
			continue
		case seen[e.name]:
			d.wrong(e.at, Join(path, e.name), "is there twice", "keep one")
			continue
		}
		seen[e.name] = true
		own = append(own, e)
	}
	merged = slices.DeleteFunc(merged, func(e entry) bool { return seen[e.name] })
	return append(merged, own...), true
}

// merge returns the entries of what a << refers to: a mapping, or several, of which the first
// counts.
func (d *Document) merge(n *yaml.Node, path string, known []string) (all []entry) {
	n, done := d.resolve(n, path)
	defer done()
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		all, _ = d.entries(n, path, known)
		return all
	}
	seen := map[string]bool{}
	for _, one := range n.Content {
		one, done := d.resolve(one, path)
		if one != nil {
			entries, _ := d.entries(one, path, known)
			for _, e := range entries {
				if !seen[e.name] {
					seen[e.name] = true
					all = append(all, e)
				}
			}
		}
		done()
	}
	return all
}

func (d *Document) structure(n *yaml.Node, v reflect.Value, path string) {
	fields := FieldsOf(v.Type())
	known := names(fields)
	entries, _ := d.entries(n, path, known)
	for _, e := range entries {
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == e.name })
		if i < 0 {
			d.notKnown(e, path, known)
			continue
		}
		name := Join(path, e.name)
		d.places[name] = e.at
		d.value(e.value, v.FieldByIndex(fields[i].Index), name, e.at)
		d.writtenZero(v.FieldByIndex(fields[i].Index), fields[i])
	}
}

// notKnown says that there is no such field, and which was probably meant.
func (d *Document) notKnown(e entry, path string, known []string) {
	d.unknown[path] = true
	suggestion := "known here: " + strings.Join(known, ", ")
	if near := suggest.Nearest(e.name, slices.Values(known)); near != "" {
		suggestion = `did you mean "` + near + `"?`
	} else if part := d.partWith(known, e.name); part != "" {
		suggestion = "it belongs below " + part
	}
	d.add(e.at, Problem{Field: Join(path, e.name), Message: "is not known", Suggestion: suggestion})
}

// partWith names the part that has the field, if one of the parts was meant to have it.
func (d *Document) partWith(known []string, word string) string {
	isPart := false
	for _, part := range d.format.Parts {
		isPart = isPart || slices.Equal(names(FieldsOf(part)), known)
	}
	for _, part := range d.format.Parts {
		if isPart && slices.Contains(names(FieldsOf(part)), word) {
			return strings.ToLower(part.Name())
		}
	}
	return ""
}

func (d *Document) list(n *yaml.Node, v reflect.Value, path string, where place) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(where, path, "is "+shown(n), "give a list")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, e := range n.Content {
		name := fmt.Sprintf("%s[%d]", path, i)
		d.places[name] = at(e)
		d.value(e, out.Index(i), name, at(e))
	}
	if out.Len() > 0 {
		v.Set(out)
	}
}

func (d *Document) mapping(n *yaml.Node, v reflect.Value, path string) {
	entries, _ := d.entries(n, path, nil)
	out := reflect.MakeMapWithSize(v.Type(), len(entries))
	for _, e := range entries {
		name := Join(path, e.name)
		d.places[name] = e.at
		one := reflect.New(v.Type().Elem()).Elem()
		d.value(e.value, one, name, e.at)
		out.SetMapIndex(reflect.ValueOf(e.name).Convert(v.Type().Key()), one)
	}
	if out.Len() > 0 {
		v.Set(out)
	}
}

var unmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()

// scalar reads a single value.
func (d *Document) scalar(n *yaml.Node, v reflect.Value, path string, where place) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(where, path, "is "+shown(n), d.wanted(v.Type(), ""))
		return
	}
	tag := n.ShortTag()
	isText := tag == "!!str" && n.Style != 0 // in quotes, a block, or with a tag
	switch numeric := isNumeric(v); {
	case !strings.HasPrefix(tag, "!!"):
		d.wrong(where, path, "has the tag "+tag, "leave the tag out")
	case numeric && isText:
		d.wrong(where, path, "is the text "+short(n.Value), d.wanted(v.Type(), n.Value))
	case v.Kind() == reflect.String && d.format.Values[v.Type()] == nil && (tag == "!!int" || tag == "!!float" || tag == "!!bool"):
		d.wrong(where, path, "is "+n.Value+", which is no text", `put it in quotes: "`+n.Value+`"`)
	case !d.set(v, n.Value):
		d.wrong(where, path, "is "+short(n.Value), d.wanted(v.Type(), n.Value))
	}
}

func isNumeric(v reflect.Value) bool {
	if v.Type() == durationType || v.CanAddr() && v.Addr().Type().Implements(unmarshalerType) {
		return false
	}
	return v.Kind() == reflect.Bool || v.CanInt() || v.CanUint() || v.CanFloat()
}

// set reads a single value from text, and reports whether it could.
func (d *Document) set(v reflect.Value, text string) bool {
	if v.CanAddr() {
		if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
			return u.UnmarshalText([]byte(text)) == nil
		}
	}
	if values := d.format.Values[v.Type()]; values != nil && !slices.Contains(values, text) {
		return false
	}
	switch {
	case v.Type() == durationType:
		dur, err := time.ParseDuration(text)
		v.SetInt(int64(dur))
		return err == nil
	case v.Kind() == reflect.Bool:
		v.SetBool(text == "true")
		return text == "true" || text == "false"
	case v.Kind() == reflect.String:
		v.SetString(text)
		return true
	case v.CanFloat():
		f, ok := number(text)
		v.SetFloat(f)
		return ok
	case v.CanUint():
		n, err := strconv.ParseUint(whole(text), 10, v.Type().Bits())
		v.SetUint(n)
		return err == nil
	case v.CanInt():
		n, err := strconv.ParseInt(whole(text), 10, v.Type().Bits())
		v.SetInt(n)
		return err == nil
	}
	return false
}

// number reads a decimal number: no hexadecimal, no infinity.
func number(text string) (float64, bool) {
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil && !strings.ContainsAny(text, "xXpPnNiI_")
}

// whole writes out a whole number that is written with an exponent, such as 1e3.
func whole(text string) string {
	if f, ok := number(text); ok && strings.ContainsAny(text, "eE") && f == float64(int64(f)) && f < 1<<53 && f > -1<<53 {
		return strconv.FormatInt(int64(f), 10)
	}
	return text
}

// wanted says what a single value looks like, and which is likely meant by a text.
func (d *Document) wanted(t reflect.Type, text string) string {
	if values := d.format.Values[t]; values != nil {
		if near := suggest.Nearest(text, slices.Values(values)); near != "" {
			return `did you mean "` + near + `"?`
		}
		return "give one of " + strings.Join(values, ", ")
	}
	switch k := t.Kind(); {
	case t == durationType:
		if _, ok := number(text); ok {
			return fmt.Sprintf("a duration needs its unit, such as %sms or %ss", text, text)
		}
		return "give a duration with its unit, such as 250ms or 1m30s"
	case k == reflect.Bool:
		return "give true or false"
	case k >= reflect.Int && k <= reflect.Int64:
		return "give a whole number"
	case k >= reflect.Uint && k <= reflect.Uint64:
		return "give a whole number, 0 or more"
	case k == reflect.Float64 || k == reflect.Float32:
		return "give a number"
	}
	return "give a text"
}

// shown says what a node is, for people.
func shown(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "a reference"
	}
	if n.ShortTag() == "!!null" {
		return "empty"
	}
	return short(n.Value)
}

// short quotes a text, but not all of a long one.
func short(text string) string {
	if r := []rune(text); len(r) > 40 {
		text = string(r[:40]) + "..."
	}
	return strconv.Quote(text)
}

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

// Keys are the names of the fields at the top of a text, by which kinds of files are told apart.
// What can't be read has none; Parse says why.
func Keys(text []byte) []string { return Format{}.Parse("", text).Keys() }

// Written reports whether a field stands in the file, or was set by a variable.
func (d *Document) Written(field string) bool {
	_, ok := d.places[field]
	return ok
}
