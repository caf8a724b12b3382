package policyfile

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/backstay-go/backstay/resilience"
)

// ErrFile is the kind of every error about a file's content.
var ErrFile = errors.New("policyfile: bad policy file")

// Policies are a file's policies, by guard.
type Policies map[string]resilience.Policy

// Finding is what a policy's check says, and where in the file.
type Finding struct {
	File  string
	Line  int
	Guard string
	resilience.Finding
}

// String is the finding as a linter prints it: file:line: severity: text.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: guards.%s.%s", f.File, f.Line, f.Severity, f.Guard, f.Finding)
}

// Load reads a file. See Parse.
func Load(file string) (Policies, []Finding, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("policyfile: %w", err)
	}
	return Parse(file, text)
}

// Parse reads policies from YAML; file is its name in errors. Findings are all that
// the policies' checks say, warnings too, in the order of the file. If one of them is
// an error, or the text can't be read, there are no policies, and the error matches
// ErrFile.
func Parse(file string, text []byte) (Policies, []Finding, error) {
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s:%w", ErrFile, file, err)
	}
	var content struct {
		Guards map[string]resilience.Policy `yaml:"guards"`
	}
	if err := yaml.UnmarshalWithOptions(text, &content, yaml.Strict()); err != nil {
		return nil, nil, fmt.Errorf("%w: %s:%w", ErrFile, file, placed(tree, err))
	}
	if len(content.Guards) == 0 {
		return nil, nil, fmt.Errorf("%w: %s:1: guards is empty: name at least one guard below it", ErrFile, file)
	}
	policies := Policies{}
	var findings []Finding
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(content.Guards)) {
		p := content.Guards[name]
		if p.Name != "" && p.Name != name {
			errs = append(errs, fmt.Errorf("%s:%d: guards.%s.name is %q: leave it out, the key is the name", file, line(tree, name, "name"), name, p.Name))
		}
		p.Name = name
		policies[name] = p
		for _, f := range p.Check() {
			found := Finding{File: file, Line: line(tree, name, f.Field), Guard: name, Finding: f}
			findings = append(findings, found)
			if f.Severity == resilience.Error {
				errs = append(errs, errors.New(found.String()))
			}
		}
	}
	slices.SortStableFunc(findings, func(a, b Finding) int { return a.Line - b.Line })
	if len(errs) > 0 {
		return nil, findings, fmt.Errorf("%w:\n%w", ErrFile, errors.Join(errs...))
	}
	return policies, findings, nil
}

// placed adds the place to an error that names a value and not where it is, as those
// of durations do.
func placed(tree *ast.File, err error) error {
	parts := strings.Split(err.Error(), `"`)
	var at yaml.Error
	if errors.As(err, &at) || len(parts) < 3 {
		return err
	}
	finder := &finder{value: parts[len(parts)-2]}
	for _, doc := range tree.Docs {
		ast.Walk(finder, doc)
	}
	if finder.found == nil {
		return err
	}
	position := finder.found.GetToken().Position
	return fmt.Errorf("[%d:%d] %w; give a duration such as 250ms or 1m30s", position.Line, position.Column, err)
}

// finder finds a scalar by its value.
type finder struct {
	value string
	found ast.Node
}

// Visit implements ast.Visitor.
func (f *finder) Visit(n ast.Node) ast.Visitor {
	if f.found != nil {
		return nil
	}
	if s, ok := n.(*ast.StringNode); ok && s.Value == f.value {
		f.found = n
		return nil
	}
	return f
}

// line finds the line of a field, or of the nearest thing around it that is there.
func line(tree *ast.File, guard, field string) int {
	parts := append([]string{"guards", guard}, strings.Split(field, ".")...)
	for n := len(parts); n > 0; n-- {
		builder := (&yaml.PathBuilder{}).Root()
		for _, p := range parts[:n] {
			builder = builder.Child(p)
		}
		node, err := builder.Build().FilterFile(tree)
		if err == nil && node != nil && node.GetToken() != nil {
			at := node.GetToken().Position.Line
			if _, block := node.(*ast.MappingNode); block && at > 1 && n < len(parts) {
				at-- // A block begins below its key.
			}
			return at
		}
	}
	return 1
}
