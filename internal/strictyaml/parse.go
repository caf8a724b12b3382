package strictyaml

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

const (
	// maxBytes bounds the size of a file, so that a wrong file does not fill memory.
	maxBytes = 1 << 20
	// maxProblems bounds the number of problems that are reported about one file.
	maxProblems = 100
)

// A Format describes how one kind of file is read. It is plain data.
type Format struct {
	// Noun is the name of this kind of file in problems, such as plan. Required.
	Noun string
	// Kind is the error that errors about the content match. Required.
	Kind error
	// Example is a minimal file. It is suggested for an empty one.
	Example string
	// Values lists the possible values of a type, in the order in which they are shown.
	Values map[reflect.Type][]string
	// Parts are types that a user may confuse, so that a field is in the wrong one of them. The
	// suggestion then names the right type, in lower case.
	Parts []reflect.Type
}

// A Document is one file that is being read.
type Document struct {
	format   Format
	file     string
	lines    []string
	root     *yaml.Node // nil if the text has no content or could not be parsed
	top      []entry    // of the root; set when they are first needed
	problems []Problem
	places   map[string]place // of each field that was seen, by its path
	unread   map[string]bool  // fields that could not be read
	unknown  map[string]bool  // structs that have an unknown field
	open     map[*yaml.Node]bool
	expanded int // values that were read through aliases
}

// place says where a field was set: in the file or in a variable.
type place struct {
	line, column int
	variable     string
}

// ReadFile reads a file. It reads only as much as Parse needs to see that the file is too long.
func ReadFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w; the file must exist and be readable", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%w; the file must exist and be readable", err)
	}
	return text, nil
}

// Parse reads YAML or JSON text. file is the file's name in problems. If the text is wrong, the
// document holds the problems.
func (f Format) Parse(file string, text []byte) *Document {
	d := &Document{
		format: f, file: file,
		places: map[string]place{}, unread: map[string]bool{}, unknown: map[string]bool{}, open: map[*yaml.Node]bool{},
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	switch {
	case len(text) > maxBytes:
		d.add(place{1, 1, ""}, Problem{Message: fmt.Sprintf("the file has more than %d KiB", maxBytes>>10), Suggestion: fmt.Sprintf("a %s has at most that", f.Noun)})
		return d
	case !utf8.Valid(text):
		at := place{line: 1, column: 1}
		for i, line := range bytes.Split(text, []byte("\n")) {
			if !utf8.Valid(line) {
				good := bytes.ToValidUTF8(line, []byte("\ufffd"))
				at = place{line: i + 1, column: 1 + utf8.RuneCount(line[:firstBad(line)])}
				d.lines = append(make([]string, i), string(good))
				break
			}
		}
		d.add(at, Problem{Message: "the text is not UTF-8", Suggestion: "save the file as UTF-8"})
		return d
	}
	d.lines = strings.Split(breaks.Replace(string(text)), "\n")
	d.parse(withoutVersion(text))
	return d
}

// breaks turns every kind of line break that YAML knows into \n.
var breaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

func firstBad(line []byte) int {
	for i := 0; i < len(line); {
		r, n := utf8.DecodeRune(line[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(line)
}

// withoutVersion turns a %YAML directive into a comment, because the parser refuses version 1.2
// although that is the version that it reads.
func withoutVersion(text []byte) []byte {
	if bytes.HasPrefix(text, []byte("%YAML 1.")) {
		text = slices.Clone(text)
		text[0] = '#'
	}
	return text
}

// parse builds the tree of the text.
func (d *Document) parse(text []byte) {
	defer func() { // no file may end the process
		if r := recover(); r != nil {
			d.root = nil
			d.add(place{line: 1, column: 1}, Problem{Message: "the text is not YAML or JSON", Suggestion: fmt.Sprint("the parser gave up: ", r)})
		}
	}()
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		d.syntax(err)
		return
	}
	var first, second yaml.Node
	switch err := loader.Load(&first); {
	case errors.Is(err, io.EOF):
	case err != nil:
		d.syntax(err)
		return
	}
	if first.Kind == yaml.DocumentNode && len(first.Content) == 1 {
		d.root = first.Content[0]
	}
	if d.root == nil || d.root.Kind == yaml.ScalarNode && d.root.Value == "" && d.root.Style == 0 {
		d.root = nil
		p := Problem{Message: "the " + d.format.Noun + " is empty"}
		if d.format.Example != "" {
			p.Suggestion = "the least is " + d.format.Example
		}
		d.add(place{line: 1, column: 1}, p)
		return
	}
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		d.syntax(err)
	default:
		d.add(at(&second), Problem{Message: "a second document begins here", Suggestion: "keep one per file"})
	}
}

// syntax reports text that the parser can't read.
func (d *Document) syntax(err error) {
	d.root = nil
	p, where := Problem{Message: "is no valid YAML: " + err.Error()}, place{line: 1, column: 1}
	var load *yaml.LoadError
	if errors.As(err, &load) {
		p.Message = "invalid YAML: " + load.Message
		if load.ContextMsg != "" {
			p.Message += " " + load.ContextMsg
			if from := load.ContextMark; from.Line > 0 && from.Line != load.Mark.Line {
				p.Message += fmt.Sprintf(" that begins in line %d", from.Line)
			}
		}
		if load.Mark.Line > 0 {
			where = place{line: load.Mark.Line, column: max(1, load.Mark.Column)}
		}
	}
	p.Suggestion = d.remedy(load, where)
	where.line = min(where.line, len(d.lines))
	if where.line > 1 && where.line == len(d.lines) && d.lines[where.line-1] == "" { // this is the end of the text
		where.line--
		where.column = utf8.RuneCountInString(d.lines[where.line-1]) + 1
	}
	d.add(where, p)
}

// remedy suggests how to correct the most common syntax errors.
func (d *Document) remedy(load *yaml.LoadError, where place) string {
	line := ""
	if where.line <= len(d.lines) {
		line = d.lines[where.line-1]
	}
	switch {
	case load == nil:
	case strings.HasPrefix(load.Message, "unknown anchor"):
		return "an anchor stands before what refers to it"
	case strings.HasPrefix(strings.TrimLeft(line, " "), "\t"):
		return "indent with spaces, not with tabs"
	case strings.HasPrefix(load.Message, "mapping values are not allowed"):
		return "put a text that holds a colon in quotes, or begin a new line"
	case strings.Contains(load.Message, "cannot start any token"):
		return "put the text in quotes"
	}
	return ""
}

func at(n *yaml.Node) place { return place{line: max(1, n.Line), column: max(1, n.Column)} }

// add reports a problem at a place, unless there are too many already.
func (d *Document) add(at place, p Problem) {
	switch n := len(d.problems); {
	case n > maxProblems:
		return
	case n == maxProblems:
		p = Problem{Message: "here and below there are more problems than are shown", Suggestion: "correct those above first"}
	}
	p.File, p.Line, p.Column, p.Variable = d.file, at.line, at.column, at.variable
	if at.variable == "" && at.line >= 1 && at.line <= len(d.lines) {
		p.Excerpt = excerpt(d.lines[at.line-1], at.line, at.column)
	}
	d.problems = append(d.problems, p)
}

// wrong reports that a field could not be read.
func (d *Document) wrong(at place, field, message, suggestion string) {
	d.unread[field] = true
	if field == "" {
		message = "the " + d.format.Noun + " " + message
	}
	d.add(at, Problem{Field: field, Message: message, Suggestion: suggestion})
}

// Check adds the problems that were found in the decoded values. Each problem is shown at the
// place of its field, or of the nearest enclosing part. A problem is left out if it only follows
// from one that was already reported.
func (d *Document) Check(found ...Problem) {
	if d.root == nil {
		return
	}
	for _, p := range found {
		if !d.follows(p.Field) {
			d.add(d.find(p.Field), p)
		}
	}
}

// find returns the place of a field, or of the nearest enclosing part that exists.
func (d *Document) find(field string) place {
	for {
		if at, ok := d.places[field]; ok {
			return at
		}
		if field == "" {
			return place{line: 1, column: 1}
		}
		field = parent(field)
	}
}

func parent(field string) string { return field[:max(strings.LastIndexAny(field, ".["), 0)] }

// follows reports whether a problem of a field only follows from one that was already reported.
func (d *Document) follows(field string) bool {
	for inner := field; ; inner = parent(inner) {
		if d.unread[inner] || inner == field && d.unknown[inner] {
			return true
		}
		if inner == "" {
			return false
		}
		if _, written := d.places[inner]; !written && d.unknown[parent(inner)] {
			return true
		}
	}
}

// Problems returns the problems found so far, including warnings, in the order of the file.
func (d *Document) Problems() []Problem {
	slices.SortStableFunc(d.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Variable, b.Variable))
	})
	return slices.Clone(d.problems)
}

// Err returns nil, or an *Error with the problems that are not warnings.
func (d *Document) Err() error {
	errs := slices.DeleteFunc(d.Problems(), func(p Problem) bool { return p.Warning })
	if len(errs) == 0 {
		return nil
	}
	return &Error{Kind: d.format.Kind, Noun: d.format.Noun, Problems: errs}
}
