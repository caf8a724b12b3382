package policyfile

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/backstay-go/backstay/resilience"
)

// entry is one line of a mapping.
type entry struct {
	name  string
	at    place
	value ast.Node
}

func at(n ast.Node) place {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return place{line: t.Position.Line, column: t.Position.Column}
	}
	return place{line: 1, column: 1}
}

// resolve looks through anchors, aliases and tags. The function ends what it began.
func (d *decoder) resolve(n ast.Node) (ast.Node, func(), error) {
	var opened []string
	done := func() {
		for _, name := range opened {
			delete(d.open, name)
		}
	}
	for {
		switch node := n.(type) {
		case *ast.AnchorNode:
			n = node.Value
		case *ast.TagNode:
			n = node.Value
		case *ast.AliasNode:
			name := node.Value.GetToken().Value
			next, ok := d.anchors[name]
			d.aliases++
			switch {
			case d.aliases > maxAliases:
				return n, done, fmt.Errorf("refers to *%s, after %d references before", name, maxAliases)
			case !ok:
				return n, done, fmt.Errorf("refers to *%s, and there is no &%s", name, name)
			case d.open[name]:
				return n, done, fmt.Errorf("refers to *%s, which contains it", name)
			}
			d.open[name] = true
			opened = append(opened, name)
			n = next
		default:
			return n, done, nil
		}
	}
}

// entries returns a mapping's entries, those of merged mappings (<<) first. What is no
// mapping is a finding.
func (d *decoder) entries(n ast.Node, guard, field, want string) []entry {
	from := n
	n, done, err := d.resolve(n)
	defer done()
	if err != nil {
		d.wrong(at(from), guard, field, err.Error(), "define the anchor, or write the fields out")
		return nil
	}
	mapping, ok := n.(ast.MapNode)
	if !ok {
		problem := "is " + kind(n)
		if guard == "" && field == "" {
			problem = "the file " + problem
		}
		d.wrong(at(from), guard, field, problem, want)
		return nil
	}
	var merged, own []entry
	for i := mapping.MapRange(); i.Next(); {
		key := i.Key()
		if key.IsMergeKey() {
			merged = append(merged, d.merge(i.Value(), guard, field, want)...)
			continue
		}
		e := entry{name: strings.TrimSpace(key.GetToken().Value), at: at(key), value: i.Value()}
		if slices.ContainsFunc(own, func(o entry) bool { return o.name == e.name }) {
			d.wrong(e.at, guard, join(field, e.name), "is there twice", "keep one")
			continue
		}
		own = append(own, e)
	}
	return append(slices.DeleteFunc(merged, func(m entry) bool {
		return slices.ContainsFunc(own, func(o entry) bool { return o.name == m.name })
	}), own...)
}

// merge returns the entries of what a << refers to: a mapping, or several, of which
// the first counts.
func (d *decoder) merge(n ast.Node, guard, field, want string) []entry {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		return d.entries(n, guard, field, want)
	}
	var all []entry
	for _, one := range list.Values {
		for _, e := range d.entries(one, guard, field, want) {
			if !slices.ContainsFunc(all, func(o entry) bool { return o.name == e.name }) {
				all = append(all, e)
			}
		}
	}
	return all
}

func join(field, name string) string { return strings.TrimPrefix(field+"."+name, ".") }

// kind says what a node is, for people.
func kind(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode:
		return "empty"
	case ast.MapNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	}
	text := n.GetToken().Value
	if len(text) > 40 {
		text = text[:40] + "..."
	}
	return strconv.Quote(text)
}

// value reads a field of a guard into v. Its key is at.
func (d *decoder) value(guard, field string, key place, n ast.Node, v reflect.Value) {
	from := n
	n, done, err := d.resolve(n)
	defer done()
	where := at(from)
	switch {
	case err != nil:
		d.wrong(where, guard, field, err.Error(), "define the anchor, or write the value out")
	case n == nil || n.Type() == ast.NullType:
		d.wrong(key, guard, field, "is empty", empty(v.Type()))
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(guard, field, key, n, v.Elem())
	case v.Kind() == reflect.Struct:
		fields := fieldsOf(v.Type())
		for _, e := range d.entries(n, guard, field, "write its fields below it: "+strings.Join(names(fields), ", ")) {
			i := slices.IndexFunc(fields, func(f structField) bool { return f.name == e.name })
			if i < 0 {
				d.unknown(e, guard, field, names(fields))
				continue
			}
			name := join(field, e.name)
			d.places[guard+"\x00"+name] = e.at
			d.value(guard, name, e.at, e.value, v.FieldByIndex(fields[i].index))
		}
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, e := range d.entries(n, guard, field, "write names below it") {
			name := join(field, e.name)
			d.places[guard+"\x00"+name] = e.at
			one := reflect.New(v.Type().Elem()).Elem()
			d.value(guard, name, e.at, e.value, one)
			v.SetMapIndex(reflect.ValueOf(e.name), one)
		}
	default:
		d.scalar(guard, field, where, n, v)
	}
}

func empty(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return "write {} for its defaults, or leave it out"
	case reflect.Struct, reflect.Map:
		return "write something below it, or leave it out"
	}
	return "give a value, or leave it out"
}

// scalar reads a single value.
func (d *decoder) scalar(guard, field string, where place, n ast.Node, v reflect.Value) {
	node, ok := n.(ast.ScalarNode)
	if !ok {
		d.wrong(where, guard, field, "is "+kind(n), d.wanted(v.Type(), ""))
		return
	}
	text := node.GetToken().Value
	if literal, ok := n.(*ast.LiteralNode); ok {
		text = literal.Value.Value
	}
	quoted := n.Type() == ast.StringType || n.Type() == ast.LiteralType
	if number := v.Kind() == reflect.Bool || v.Kind() == reflect.Float64 || v.Kind() == reflect.Int; number && quoted || !set(v, text) {
		d.wrong(where, guard, field, "is "+strconv.Quote(text), d.wanted(v.Type(), text))
	}
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	modeType     = reflect.TypeFor[resilience.BreakerMode]()
	classType    = reflect.TypeFor[resilience.Criticality]()
)

// set reads a single value from text, and reports whether it could.
func set(v reflect.Value, text string) bool {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text)) == nil
	}
	switch v.Kind() {
	case reflect.Int64: // a duration
		dur, err := time.ParseDuration(text)
		v.SetInt(int64(dur))
		return err == nil
	case reflect.Int:
		n, err := strconv.ParseInt(text, 10, strconv.IntSize)
		v.SetInt(n)
		return err == nil
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		v.SetFloat(f)
		return err == nil && !strings.ContainsAny(text, "xXpPnN_") // no hexadecimal, Inf, NaN
	case reflect.Bool:
		v.SetBool(text == "true")
		return text == "true" || text == "false"
	case reflect.String:
		v.SetString(text)
		return true
	}
	return false
}

// wanted says what a single value looks like, and which is likely meant by a text.
func (d *decoder) wanted(t reflect.Type, text string) string {
	words := d.words[t]
	like := similar(text, words)
	switch {
	case like != "":
		return "did you mean " + like + "?"
	case len(words) > 0:
		return "give one of " + strings.Join(words, ", ")
	case t == durationType:
		return "give a duration with its unit, such as 250ms or 1m30s"
	case t == classType:
		return "give critical_plus, critical, sheddable_plus or sheddable"
	case t == modeType:
		return "give open, closed or disabled"
	case t.Kind() == reflect.Int:
		return "give a whole number"
	case t.Kind() == reflect.Float64:
		return "give a number"
	case t.Kind() == reflect.Bool:
		return "give true or false"
	}
	return "give a text"
}

// unknown says that there is no such field, and which might be meant.
func (d *decoder) unknown(e entry, guard, field string, known []string) {
	change := "known here: " + strings.Join(known, ", ")
	if like := similar(e.name, known); like != "" {
		change = "did you mean " + like + "?"
	}
	d.wrong(e.at, guard, join(field, e.name), "is not known", change)
}

// structField is a field of a policy as the file names it.
type structField struct {
	name  string
	index []int
}

func fieldsOf(t reflect.Type) []structField {
	var fields []structField
	for i := range t.NumField() {
		f := t.Field(i)
		name, how, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name != "":
			fields = append(fields, structField{name, f.Index})
		case how == "inline":
			for _, inner := range fieldsOf(f.Type) {
				fields = append(fields, structField{inner.name, append(slices.Clone(f.Index), inner.index...)})
			}
		}
	}
	return fields
}

func names(fields []structField) []string {
	var list []string
	for _, f := range fields {
		list = append(list, f.name)
	}
	return list
}

// similar is the known name that differs least, or none if all differ much.
func similar(name string, known []string) string {
	best, least := "", 1+max(len(name)/3, 1)
	name = strings.ToLower(name)
	for _, k := range known {
		n := distance(name, strings.ToLower(k))
		if len(name) > 2 && strings.HasPrefix(strings.ToLower(k), name) {
			n = min(n, 1)
		}
		if n < least {
			best, least = k, n
		}
	}
	return best
}

// distance is how many letters must be changed, added or dropped.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
