package policyfile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/backstay-go/backstay/resilience"
)

// ErrFile is the kind of every error about a file's content.
var ErrFile = errors.New("policyfile: bad policy file")

// Finding is something that is wrong or doubtful, and where.
type Finding struct {
	// File, Line and Column say where, counted from 1. A field that is missing is
	// shown at what should hold it.
	File         string
	Line, Column int
	// Variable is the environment variable that set the field; empty if the file did.
	Variable string
	// Section is the key at the top of the file: guards, or what another package reads.
	Section string
	// Guard is the name below the section; empty if the finding is about none.
	Guard string
	// Finding has the field below that name; empty if the finding is about none.
	resilience.Finding
	// excerpt is the line of the file.
	excerpt string
}

// String is the finding as a linter prints it, in one line:
// file:line:column: severity: field problem; change.
func (f Finding) String() string {
	var b strings.Builder
	if f.Variable != "" {
		fmt.Fprintf(&b, "environment: %s: %s: ", f.Severity, f.Variable)
	} else {
		fmt.Fprintf(&b, "%s:%d:%d: %s: ", f.File, f.Line, f.Column, f.Severity)
	}
	if field := f.path(); field != "" {
		b.WriteString(field + " ")
	}
	b.WriteString(f.Problem)
	if f.Change != "" {
		b.WriteString("; " + f.Change)
	}
	return b.String()
}

// path is the field's path in the file.
func (f Finding) path() string {
	if f.Guard == "" {
		return f.Field
	}
	return strings.TrimSuffix(f.Section+"."+f.Guard+"."+f.Field, ".")
}

// Excerpt is the line of the file with a mark below the place, or empty.
func (f Finding) Excerpt() string {
	if f.excerpt == "" {
		return ""
	}
	// Tabs stay, so that the mark stands below its place.
	indent := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string([]rune(f.excerpt)[:min(f.Column-1, len([]rune(f.excerpt)))]))
	return "    " + f.excerpt + "\n    " + indent + "^"
}

// Error is a file that was refused. It matches ErrFile.
type Error struct {
	// File is its name.
	File string
	// Findings holds the errors, all of them, and no warnings.
	Findings []Finding
}

// Error names every problem, with an excerpt.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s", ErrFile, e.File)
	for _, f := range e.Findings {
		b.WriteString("\n" + f.String())
		if excerpt := f.Excerpt(); excerpt != "" {
			b.WriteString("\n" + excerpt)
		}
	}
	return b.String()
}

// Unwrap returns ErrFile.
func (e *Error) Unwrap() error { return ErrFile }
