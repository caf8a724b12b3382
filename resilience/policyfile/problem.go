package policyfile

import (
	"errors"

	"github.com/backstay-go/backstay/internal/strictyaml"
	"github.com/backstay-go/backstay/resilience"
)

// ErrFile is the kind of every error about a file's content.
var ErrFile = errors.New("policyfile: bad policy file")

// A Problem is something that is wrong or doubtful in a file. Its fields are File, Line and Column
// (from 1), Variable (the environment variable that set the field; empty if the file did), Field
// (the path, such as guards.catalog.bulkhead.limit), Message (what is wrong), Suggestion (what to
// do), Warning (the file is accepted, but may not mean what its author thinks) and Excerpt (the
// line, with a mark below the place). Its String is one line, as linters print it.
type Problem = strictyaml.Problem

// Error is a file that was refused: its Problems are all that is wrong, without warnings. It
// matches ErrFile.
type Error = strictyaml.Error

// problems are findings about what stands at a path.
func problems(path string, findings []resilience.Finding) []Problem {
	list := make([]Problem, len(findings))
	for i, f := range findings {
		field := path
		if f.Field != "" {
			field = strictyaml.Join(path, f.Field)
		}
		list[i] = Problem{Field: field, Message: f.Problem, Suggestion: f.Change, Warning: f.Severity != resilience.Error}
	}
	return list
}
