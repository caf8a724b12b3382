package chaos

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// decoder fills Go values from a YAML tree and collects every problem. The YAML
// package's own decoder stops at the first, takes a duration without unit for
// nanoseconds, and follows aliases; a plan is better off without.
type decoder struct {
	text     string
	noun     string
	problems []Problem
	at       map[string]*token.Token // where each field was found, by its path
}

var durationType = reflect.TypeFor[time.Duration]()

func (d *decoder) decode(n ast.Node, into any) {
	d.at = make(map[string]*token.Token)
	d.value(n, reflect.ValueOf(into).Elem(), "")
}

func (d *decoder) problem(tok *token.Token, path, format string, args ...any) {
	p := Problem{Field: path, Message: fmt.Sprintf(format, args...)}
	d.place(&p, tok)
	d.problems = append(d.problems, p)
}

func (d *decoder) place(p *Problem, tok *token.Token) {
	if tok != nil && tok.Position != nil {
		p.Line, p.Column = tok.Position.Line, tok.Position.Column
		p.Excerpt = excerpt(d.text, p.Line, p.Column)
	}
}

// locate finds the place of a problem that was found after decoding: that of its
// field or of the nearest one around it.
func (d *decoder) locate(p *Problem) {
	for path := p.Field; path != ""; {
		if tok := d.at[path]; tok != nil {
			d.place(p, tok)
			return
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	d.place(p, d.at[""])
}

func (d *decoder) value(n ast.Node, v reflect.Value, path string) {
	if n == nil {
		d.problem(nil, path, "has no value; give one or leave the field out")
		return
	}
	if d.at[path] == nil {
		d.at[path] = n.GetToken()
	}
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.problem(n.GetToken(), path, "a %s has no anchors, aliases or tags; write it out", d.noun)
		return
	case *ast.NullNode:
		d.problem(n.GetToken(), path, "has no value; give one or leave the field out")
		return
	}
	switch {
	case v.Type() == durationType:
		d.duration(n, v, path)
		return
	case v.Kind() == reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		d.value(n, p.Elem(), path)
		v.Set(p)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.Map:
		d.words(n, v, path)
	case reflect.String:
		if s, ok := text(n); ok {
			v.SetString(s)
		} else {
			d.notText(n, path)
		}
	case reflect.Bool:
		if b, ok := n.(*ast.BoolNode); ok {
			v.SetBool(b.Value)
		} else {
			d.problem(n.GetToken(), path, "must be true or false, not %s", shown(n))
		}
	case reflect.Float64:
		d.float(n, v, path)
	default:
		d.integer(n, v, path)
	}
}

func (d *decoder) structure(n ast.Node, v reflect.Value, path string) {
	entries, ok := mapping(n)
	if !ok {
		d.problem(n.GetToken(), path, "must be fields like %q, not %s", fieldNames(v.Type())[0]+": …", shown(n))
		return
	}
	seen := make(map[string]bool)
	for _, e := range entries {
		key, ok := e.Key.(*ast.StringNode)
		if !ok {
			d.problem(e.Key.GetToken(), path, "the name of a field must be plain text")
			continue
		}
		name := join(path, key.Value)
		f, ok := fieldOf(v, key.Value)
		if !ok {
			d.problem(key.Token, path, "unknown field %q%s", key.Value, d.where(v.Type(), key.Value))
			continue
		}
		if seen[key.Value] {
			d.problem(key.Token, name, "is given twice")
			continue
		}
		seen[key.Value] = true
		d.at[name] = key.Token
		d.value(e.Value, f, name)
	}
}

// where suggests a field for an unknown word: one of this struct or, if the word
// fits another part of a rule, that part.
func (d *decoder) where(t reflect.Type, word string) string {
	names := fieldNames(t)
	if s := suggest(word, names); s != "" {
		return s
	}
	parts := []reflect.Type{reflect.TypeFor[Rule](), reflect.TypeFor[Plan](), reflect.TypeFor[Where](), reflect.TypeFor[When](), reflect.TypeFor[Often](), reflect.TypeFor[What](), reflect.TypeFor[Whom]()}
	for _, part := range parts {
		if slices.Contains(parts, t) && part != t && slices.Contains(fieldNames(part), word) {
			return fmt.Sprintf("; it belongs in %q", strings.ToLower(part.Name()))
		}
	}
	return "; known are " + strings.Join(names, ", ")
}

func (d *decoder) list(n ast.Node, v reflect.Value, path string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.problem(n.GetToken(), path, "must be a list, not %s", shown(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, e := range seq.Values {
		d.value(e, out.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
	if out.Len() > 0 {
		v.Set(out)
	}
}

func (d *decoder) words(n ast.Node, v reflect.Value, path string) {
	entries, ok := mapping(n)
	if !ok {
		d.problem(n.GetToken(), path, "must be names with texts, not %s", shown(n))
		return
	}
	out := make(map[string]string, len(entries))
	for _, e := range entries {
		key, ok := e.Key.(*ast.StringNode)
		if !ok {
			d.problem(e.Key.GetToken(), path, "a name must be text; put it in quotes")
			continue
		}
		if e.Value == nil {
			d.problem(key.Token, join(path, key.Value), "has no value")
			continue
		}
		s, ok := text(e.Value)
		if !ok {
			d.notText(e.Value, join(path, key.Value))
		}
		if _, twice := out[key.Value]; twice {
			d.problem(key.Token, join(path, key.Value), "is given twice")
		}
		out[key.Value] = s
		d.at[join(path, key.Value)] = key.Token
	}
	if len(out) > 0 {
		v.Set(reflect.ValueOf(out))
	}
}

func (d *decoder) notText(n ast.Node, path string) {
	if _, scalar := n.(ast.ScalarNode); scalar {
		d.problem(n.GetToken(), path, "must be text; put %s in quotes", shown(n))
		return
	}
	d.problem(n.GetToken(), path, "must be text, not %s", shown(n))
}

func (d *decoder) duration(n ast.Node, v reflect.Value, path string) {
	s, ok := text(n)
	if !ok {
		if i, isInt := n.(*ast.IntegerNode); isInt {
			if fmt.Sprint(i.Value) == "0" {
				return
			}
			d.problem(n.GetToken(), path, "is a duration and needs a unit, like %vms or %vs", i.Value, i.Value)
			return
		}
		d.problem(n.GetToken(), path, "must be a duration like 250ms or 1m30s, not %s", shown(n))
		return
	}
	dur, err := time.ParseDuration(s)
	if err != nil {
		d.problem(n.GetToken(), path, "must be a duration like 250ms or 1m30s, not %q", s)
		return
	}
	v.SetInt(int64(dur))
}

func (d *decoder) float(n ast.Node, v reflect.Value, path string) {
	switch n := n.(type) {
	case *ast.FloatNode:
		v.SetFloat(n.Value)
	case *ast.IntegerNode:
		switch i := n.Value.(type) {
		case int64:
			v.SetFloat(float64(i))
		case uint64:
			v.SetFloat(float64(i))
		}
	default:
		d.problem(n.GetToken(), path, "must be a number, not %s", shown(n))
	}
}

func (d *decoder) integer(n ast.Node, v reflect.Value, path string) {
	in, ok := n.(*ast.IntegerNode)
	if !ok {
		d.problem(n.GetToken(), path, "must be a whole number, not %s", shown(n))
		return
	}
	negative, size := false, uint64(0)
	switch i := in.Value.(type) {
	case int64:
		negative, size = i < 0, uint64(i)
	case uint64:
		size = i
	}
	if v.CanUint() {
		if negative || v.OverflowUint(size) {
			d.problem(n.GetToken(), path, "must be 0 or more, not %v", in.Value)
			return
		}
		v.SetUint(size)
		return
	}
	if !negative && size > 1<<63-1 || v.OverflowInt(int64(size)) {
		d.problem(n.GetToken(), path, "%v is too large", in.Value)
		return
	}
	v.SetInt(int64(size))
}

func mapping(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

func text(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

// shown names what stands in the file, short.
func shown(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "fields"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode:
		return fmt.Sprintf("%.40q", n.Value)
	}
	if t := n.GetToken(); t != nil {
		return fmt.Sprintf("%.40s", t.Value)
	}
	return "this"
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// fieldNames lists a struct's fields as they are written in a plan.
func fieldNames(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		if tag := f.Tag.Get("yaml"); tag != "" {
			names = append(names, tag)
		}
	}
	return names
}

func fieldOf(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == name && name != "" { // fields without a tag have no name
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}
