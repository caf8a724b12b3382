package policyfile

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/backstay-go/backstay/resilience"
)

// Policies are a file's policies, by guard.
type Policies map[string]resilience.Policy

const (
	// maxBytes bounds a file, so that one that is none does not fill memory.
	maxBytes = 1 << 20
	// maxAliases bounds the references that are followed: a few lines of them can stand
	// for more text than there is memory.
	maxAliases = 10_000
)

// Load reads a file. See Parse.
func Load(file string, environ ...string) (Policies, []Finding, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, unreadable(err)
	}
	return Parse(file, text, environ...)
}

func unreadable(err error) error {
	return fmt.Errorf("policyfile: %w; the file must exist and be readable", err)
}

// Parse reads policies from YAML; file is its name in errors. Of environ, lines as
// os.Environ returns them, those that begin with BACKSTAY_POLICY_ override fields of
// the file's guards; see the package comment. Findings are all that is wrong or
// doubtful, in the order of the file. If one of them is an error, there are no
// policies, and the error is an *Error.
func Parse(file string, text []byte, environ ...string) (Policies, []Finding, error) {
	guards := Section[resilience.Policy]{Key: Key, Noun: "guard", Prefix: prefix, Check: func(name string, p *resilience.Policy) []resilience.Finding {
		var found []resilience.Finding
		if p.Name != "" && p.Name != name {
			found = append(found, resilience.Finding{Field: "name", Severity: resilience.Error, Problem: fmt.Sprintf("is %q", p.Name), Change: "leave it out; the key is the name"})
		}
		p.Name = name
		return append(found, p.Check()...)
	}}
	return guards.Parse(file, text, environ...)
}

// place is where something stands: in the file, or in a variable.
type place struct {
	line, column int
	variable     string
}

// decoder reads one file and collects what is wrong with it.
type decoder struct {
	file     string
	lines    []string
	section  string // the key at the top that is read
	noun     string // what stands below it
	prefix   string // of variables
	words    map[reflect.Type][]string
	findings []Finding
	// places has the key of every field that was seen, by its path: guard, a NUL,
	// field. anchors are the file's, and open those that are being read.
	places  map[string]place
	anchors map[string]ast.Node
	open    map[string]bool
	aliases int // followed so far
	// bad has the fields that could not be read, keyed as places.
	bad map[string]bool
}

func (d *decoder) add(at place, guard string, f resilience.Finding) {
	found := Finding{File: d.file, Line: at.line, Column: at.column, Variable: at.variable, Section: d.section, Guard: guard, Finding: f}
	if at.variable != "" {
		found.Line, found.Column = 0, 0
	} else if at.line >= 1 && at.line <= len(d.lines) {
		found.excerpt = strings.TrimSuffix(d.lines[at.line-1], "\r")
	}
	d.findings = append(d.findings, found)
}

func (d *decoder) wrong(at place, guard, field, problem, change string) {
	d.bad[guard+"\x00"+field] = true
	d.add(at, guard, resilience.Finding{Severity: resilience.Error, Field: field, Problem: problem, Change: change})
}

// unread reports whether a field, or what holds it, could not be read: that it then
// is zero is no second mistake.
func (d *decoder) unread(guard, field string) bool {
	for {
		if d.bad[guard+"\x00"+field] {
			return true
		}
		if field == "" {
			return false
		}
		field = field[:max(strings.LastIndexByte(field, '.'), 0)]
	}
}

// find is where a field is, or the nearest thing around it that is there.
func (d *decoder) find(guard, field string) place {
	for {
		if at, ok := d.places[guard+"\x00"+field]; ok {
			return at
		}
		if field == "" {
			return place{line: 1, column: 1}
		}
		field = field[:max(strings.LastIndexByte(field, '.'), 0)]
	}
}

// read calls each for what the file has below the section, as far as it can be read.
func (d *decoder) read(text []byte, each func(entry)) {
	top := place{line: 1, column: 1}
	if len(text) > maxBytes {
		d.wrong(top, "", "", fmt.Sprintf("the file has %d bytes", len(text)), fmt.Sprintf("a policy file has at most %d", maxBytes))
		return
	}
	tree, err := parse(text)
	if err != nil {
		at, message := top, err.Error()
		var placed yaml.Error
		if errors.As(err, &placed) {
			message = placed.GetMessage()
			if t := placed.GetToken(); t != nil && t.Position != nil {
				at = place{line: t.Position.Line, column: t.Position.Column}
			}
		}
		d.wrong(at, "", "", "no YAML: "+message, "mend the syntax")
		return
	}
	d.anchors, d.open = map[string]ast.Node{}, map[string]bool{}
	found := false
	for i, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if i > 0 && found {
			d.wrong(at(doc.Body), "", "", "a second document", "keep one document a file")
			break
		}
		ast.Walk(anchors(d.anchors), doc.Body)
		found = true
		d.top(doc.Body, each)
	}
	if !found {
		d.wrong(top, "", d.section, "is missing", d.atLeast())
	}
}

// atLeast says what a section needs.
func (d *decoder) atLeast() string { return "name at least one " + d.noun + " below it" }

// parse turns a panic of the YAML parser into an error, so that no file can end the process.
func parse(text []byte) (tree *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			tree, err = nil, fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	return parser.ParseBytes(text, 0)
}

// anchors collects a document's anchors.
type anchors map[string]ast.Node

// Visit implements ast.Visitor.
func (a anchors) Visit(n ast.Node) ast.Visitor {
	if anchor, ok := n.(*ast.AnchorNode); ok && anchor.Name != nil {
		a[anchor.Name.GetToken().Value] = anchor.Value
	}
	return a
}

// top reads the outermost mapping.
func (d *decoder) top(body ast.Node, each func(entry)) {
	seen, n := false, 0
	var others []string
	for _, e := range d.entries(body, "", "", "a file holds guards: and below it guards by name") {
		switch {
		case e.name == d.section:
			seen = true
			for _, g := range d.entries(e.value, "", d.section, "write "+d.noun+"s by name below it") {
				d.places[g.name+"\x00"] = g.at
				each(g)
				n++
			}
			if n == 0 && len(d.findings) == 0 {
				d.wrong(e.at, "", d.section, "is empty", d.atLeast())
			}
		case strings.HasPrefix(e.name, "x-"): // a place for anchors, and for others
			others = append(others, e.name)
		case e.name == Key: // read by itself
		default:
			d.unknown(e, "", "", []string{Key})
		}
	}
	if !seen && len(d.findings) == 0 {
		problem := "is missing"
		if like := similar(d.section, others); like != "" {
			problem += "; there is " + like
		}
		d.wrong(place{line: 1, column: 1}, "", d.section, problem, d.atLeast())
	}
}
