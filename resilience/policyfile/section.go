package policyfile

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/backstay-go/backstay/resilience"
)

// Key is the key at the top below which guards stand.
const Key = "guards"

// Keys are the keys at the top of a file: Key, and those of sections. What is no mapping
// has none; Parse says why.
func Keys(text []byte) (keys []string) {
	d := &decoder{places: map[string]place{}, bad: map[string]bool{}, anchors: map[string]ast.Node{}, open: map[string]bool{}}
	if len(text) > maxBytes {
		return nil
	}
	tree, err := parse(text)
	if err != nil {
		return nil
	}
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		ast.Walk(anchors(d.anchors), doc.Body)
		for _, e := range d.entries(doc.Body, "", "", "") {
			keys = append(keys, e.name)
		}
		break // A second document is an error.
	}
	return keys
}

// Section is a part of a policy file that another package reads, by the rules that the
// guards are read by: things of one type by name, below a key at the top. The fields
// are those of the type, by their yaml tags. It is plain data.
type Section[T any] struct {
	// Key is at the top of the file; it begins with x-, so that the guards' reader leaves
	// it alone. Required.
	Key string
	// Noun is what stands below it, such as session. Required.
	Noun string
	// Prefix is what the names of variables that override fields begin with, such as
	// BACKSTAY_CASSANDRA_. Required.
	Prefix string
	// Words are what the values of a type can be; a value that is none of them is told
	// which was likely meant.
	Words map[reflect.Type][]string
	// Check completes a value, and returns what is wrong or doubtful in it. Nil: nothing is.
	Check func(name string, v *T) []resilience.Finding
	_     struct{}
}

// Parse reads the section; file is its name in errors. Overrides, findings and the
// error are as those of the function Parse.
func (s Section[T]) Parse(file string, text []byte, environ ...string) (map[string]T, []Finding, error) {
	d := &decoder{
		file: file, lines: strings.Split(string(text), "\n"), section: s.Key, noun: s.Noun, prefix: s.Prefix, words: s.Words,
		places: map[string]place{}, bad: map[string]bool{},
	}
	read := map[string]*T{}
	roots := map[string]reflect.Value{}
	d.read(text, func(e entry) {
		v := new(T)
		d.value(e.name, "", e.at, e.value, reflect.ValueOf(v).Elem())
		read[e.name], roots[e.name] = v, reflect.ValueOf(v).Elem()
	})
	d.override(roots, environ)
	values := map[string]T{}
	for _, name := range slices.Sorted(maps.Keys(read)) {
		if s.Check != nil {
			for _, f := range s.Check(name, read[name]) {
				if !d.unread(name, f.Field) {
					d.add(d.find(name, f.Field), name, f)
				}
			}
		}
		values[name] = *read[name]
	}
	slices.SortStableFunc(d.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Variable, b.Variable))
	})
	if errs := slices.DeleteFunc(slices.Clone(d.findings), func(f Finding) bool { return f.Severity != resilience.Error }); len(errs) > 0 {
		return nil, d.findings, &Error{File: file, Findings: errs}
	}
	return values, d.findings, nil
}
