package strictyaml

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/backstay-go/backstay/internal/suggest"
)

// Decode reads the whole document into the struct that into points to. A field that can't be read
// keeps its value and is reported as a problem.
func (d *Document) Decode(into any) {
	if d.root != nil {
		d.value(d.root, reflect.ValueOf(into).Elem(), "", at(d.root))
	}
}

// Keys returns the names of the top-level fields. A text that is not a mapping has none.
func (d *Document) Keys() (keys []string) {
	if d.root == nil || d.root.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(d.root.Content); i += 2 {
		keys = append(keys, d.root.Content[i].Value)
	}
	return keys
}

// Top compares the top-level fields with the known ones, and reports the others. Keys that begin
// with x- are always allowed. Top returns false if there are no fields.
func (d *Document) Top(known ...string) bool {
	for _, e := range d.entriesAtTop(known) {
		if !strings.HasPrefix(e.name, "x-") && !slices.Contains(known, e.name) {
			d.notKnown(e, "", known)
		}
	}
	return len(d.top) > 0
}

// DecodeKey reads the value of a top-level key into the value that into points to. It returns
// false if there is no such key.
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
		d.top = d.entries(d.root, "", known)
	}
	return d.top
}

// entry is one key of a mapping with its value.
type entry struct {
	name  string
	at    place
	value *yaml.Node
}

// value reads a node into v. key is the place of the field's name.
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

// entries returns the fields of a mapping. Those of merged mappings come first.
func (d *Document) entries(n *yaml.Node, path string, known []string) []entry {
	if len(d.open) > 0 && !d.spend(len(n.Content)/2, at(n), path) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		suggestion := "write names below it"
		if len(known) > 0 {
			suggestion = "write its fields below it: " + strings.Join(known, ", ")
		}
		d.wrong(at(n), path, "is "+shown(n), suggestion)
		return nil
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
	return append(merged, own...)
}

// merge returns the entries of the mapping or mappings that a << refers to. If several have the
// same field, the first one counts.
func (d *Document) merge(n *yaml.Node, path string, known []string) (all []entry) {
	n, done := d.resolve(n, path)
	defer done()
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		return d.entries(n, path, known)
	}
	seen := map[string]bool{}
	for _, one := range n.Content {
		one, done := d.resolve(one, path)
		if one != nil {
			for _, e := range d.entries(one, path, known) {
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
	for _, e := range d.entries(n, path, known) {
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

// notKnown reports that there is no such field, and suggests the one that was probably meant.
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

// partWith returns the name of the part that has the field, if the field belongs to one of the
// parts.
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
	entries := d.entries(n, path, nil)
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

// Keys returns the names of the top-level fields of a text, which show what kind of file it is.
// It returns none for a text that can't be read; Parse says why.
func Keys(text []byte) []string { return Format{}.Parse("", text).Keys() }

// Written reports whether a field was set, in the file or by a variable.
func (d *Document) Written(field string) bool {
	_, ok := d.places[field]
	return ok
}
