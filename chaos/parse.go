package chaos

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxPlanBytes bounds a plan's text, maxNesting how deep its lists may nest.
const (
	maxPlanBytes = 256 << 10
	maxNesting   = 64
)

// Load reads a plan from a YAML or JSON file, as Parse does.
func Load(file string, checks ...func(Plan) error) (Plan, error) {
	f, err := os.Open(file)
	if err != nil {
		return Plan{}, fmt.Errorf("chaos: read plan: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPlanBytes+1))
	if err != nil {
		return Plan{}, fmt.Errorf("chaos: read plan: %w", err)
	}
	return Parse(file, text, checks...)
}

// Parse reads a plan from YAML or JSON text; file is its name in errors. It
// accepts only what it understands entirely: unknown words, wrong types,
// durations without a unit and contradictions are problems, and all of them are
// reported at once: the error about the content is a *PlanError with each problem's
// line, an excerpt and, for a misspelt word, a suggestion.
//
// Checks are what else must hold of the plan where it is to run, such as its CheckNames:
// what they find is told with its line too. They may see a plan with other problems.
func Parse(file string, text []byte, checks ...func(Plan) error) (Plan, error) {
	var plan Plan
	check := func() error {
		errs := []error{plan.Check()}
		for _, c := range checks {
			errs = append(errs, c(plan))
		}
		return errors.Join(errs...)
	}
	if err := Decode(file, text, &plan, "plan", check); err != nil {
		return Plan{}, err
	}
	return plan, nil
}

// Keys are the names of the fields at the top of a YAML or JSON text, by which a plan is
// told from other files. What can't be read has none; Parse says why.
func Keys(text []byte) (keys []string) {
	if hostile(string(text), "file") != "" {
		return nil
	}
	file, err := parseYAML(string(text))
	if err != nil || len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil
	}
	entries, _ := mapping(file.Docs[0].Body)
	for _, e := range entries {
		keys = append(keys, e.Key.GetToken().Value)
	}
	return keys
}

// Decode reads YAML or JSON text into a struct of fields with yaml tags by the rules
// of Parse: a file of another package that holds a plan is read as strictly. noun is
// what the file is called in errors; check finds what is wrong with the values, once
// they are there: each Problem of a *PlanError is located by its Field, also of several
// that are joined. The error about the content is a *PlanError; into is then not to be
// used.
func Decode(file string, text []byte, into any, noun string, check func() error) error {
	d := &decoder{text: string(text), noun: noun}
	if d.document(into) {
		d.check(problemsOf(check()))
	}
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
		return &PlanError{File: file, Problems: d.problems}
	}
	return nil
}

// check adds what is wrong with the values, but not what only follows from a
// problem that is known: a misspelt field is not missing besides.
func (d *decoder) check(found []Problem) {
	known := slices.Clone(d.problems)
	for _, p := range found {
		follows := func(k Problem) bool { return strings.HasPrefix(p.Field, k.Field) }
		if !slices.ContainsFunc(known, follows) {
			d.locate(&p)
			d.problems = append(d.problems, p)
		}
	}
}

// problemsOf takes an error of checks apart.
func problemsOf(err error) []Problem {
	switch e := err.(type) {
	case nil:
		return nil
	case *PlanError:
		return e.Problems
	case interface{ Unwrap() []error }:
		var all []Problem
		for _, one := range e.Unwrap() {
			all = append(all, problemsOf(one)...)
		}
		return all
	}
	return []Problem{{Message: err.Error()}}
}

// document decodes the text; false if it is no document at all.
func (d *decoder) document(into any) bool {
	if msg := hostile(d.text, d.noun); msg != "" {
		d.problems = append(d.problems, Problem{Message: msg})
		return false
	}
	file, err := parseYAML(d.text)
	if err != nil {
		p := Problem{Message: err.Error()}
		if ye := yaml.Error(nil); errors.As(err, &ye) && ye.GetToken() != nil && ye.GetToken().Position != nil {
			pos := ye.GetToken().Position
			p.Message = ye.GetMessage()
			p.Line, p.Column = pos.Line, pos.Column
			p.Excerpt = excerpt(d.text, pos.Line, pos.Column)
		}
		d.problems = append(d.problems, p)
		return false
	}
	if len(file.Docs) > 1 {
		d.problems = append(d.problems, Problem{Message: fmt.Sprintf("the file holds %d documents; a %s is one", len(file.Docs), d.noun)})
		return false
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		d.problems = append(d.problems, Problem{Message: "the " + d.noun + " is empty" + least[d.noun]})
		return false
	}
	d.decode(file.Docs[0].Body, into)
	return true
}

// least is what an empty file could hold.
var least = map[string]string{"plan": `; the least is "rules: []"`}

// parseYAML turns a panic of the parser into an error: fuzzing finds texts that
// it does not expect.
func parseYAML(text string) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, fmt.Errorf("the text is not YAML or JSON (%v)", r)
		}
	}()
	return parser.ParseBytes([]byte(text), 0)
}

// hostile finds texts that cost the parser too much: too long, too deep, not text.
func hostile(text, noun string) string {
	if len(text) > maxPlanBytes {
		return fmt.Sprintf("the %s is longer than %d KiB", noun, maxPlanBytes>>10)
	}
	if !utf8.ValidString(text) {
		return "the " + noun + " is not UTF-8 text"
	}
	depth := 0
	for _, c := range text {
		switch c {
		case '[', '{':
			if depth++; depth > maxNesting {
				return fmt.Sprintf("the %s nests deeper than %d", noun, maxNesting)
			}
		case ']', '}':
			depth = max(0, depth-1)
		case 0:
			return "the " + noun + " is not text: it holds a NUL"
		}
	}
	for line := range strings.Lines(text) {
		if strings.Count(line, "- ")+strings.Count(line, "-\t")+strings.Count(line, "? ") > 1000 {
			return "the " + noun + " has a line with more than 1000 dashes"
		}
	}
	return ""
}
