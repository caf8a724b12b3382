package strictyaml

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Problem is one wrong or doubtful part of what a user wrote. It is a value.
type Problem struct {
	// File, Line and Column say where the problem is, counted from 1. A missing field is shown at
	// the part that should contain it. Line is 0 if the value came from Go code or from a
	// variable.
	File         string
	Line, Column int
	// Variable is the environment variable that set the field. It is empty if the file set it.
	Variable string
	// Field is the path, such as rules[2].when.from. It is empty if the problem concerns the
	// whole file.
	Field string
	// Name is the name of the list entry that contains the field. It is shown if there is no
	// line.
	Name string
	// Message says what is wrong, and quotes the value.
	Message string
	// Suggestion says what to do. It is empty if the message already says so.
	Suggestion string
	// Warning is true if the file is accepted, but may not mean what its author intended.
	Warning bool
	// Excerpt is the line of the file, with a mark below the place of the problem.
	Excerpt string
}

// Severity returns warning or error.
func (p Problem) Severity() string {
	if p.Warning {
		return "warning"
	}
	return "error"
}

// MarshalJSON writes the fields that are not empty, in snake_case, and the severity.
func (p Problem) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		File       string `json:"file,omitempty"`
		Line       int    `json:"line,omitempty"`
		Column     int    `json:"column,omitempty"`
		Variable   string `json:"variable,omitempty"`
		Severity   string `json:"severity"`
		Field      string `json:"field,omitempty"`
		Name       string `json:"name,omitempty"`
		Message    string `json:"message"`
		Suggestion string `json:"suggestion,omitempty"`
		Excerpt    string `json:"excerpt,omitempty"`
	}{p.File, p.Line, p.Column, p.Variable, p.Severity(), p.Field, p.Name, p.Message, p.Suggestion, p.Excerpt})
}

// String returns the problem in one line, in the form that linters use: file:line:column:
// severity: field: message; suggestion.
func (p Problem) String() string {
	var parts []string
	switch {
	case p.Variable != "":
		parts = append(parts, "environment", p.Severity(), p.Variable)
	case p.Line > 0:
		parts = append(parts, fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column), p.Severity())
	case p.File != "":
		parts = append(parts, p.File)
	}
	if p.Field != "" {
		parts = append(parts, p.Field)
	}
	if p.Name != "" && p.Line == 0 {
		parts = append(parts, fmt.Sprintf("%q", p.Name))
	}
	text := strings.Join(append(parts, p.Message), ": ")
	if p.Suggestion != "" {
		text += "; " + p.Suggestion
	}
	return text
}

// Print returns the problems as text, one per line, each followed by its excerpt.
func Print(problems []Problem) string {
	var b strings.Builder
	for i, p := range problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.String())
		if p.Excerpt != "" {
			b.WriteString("\n" + p.Excerpt)
		}
	}
	return b.String()
}

// An Error holds the problems in the content of a file, or of a value from Go code. It matches
// its kind by errors.Is.
type Error struct {
	// Kind is the error that errors.Is compares with.
	Kind error
	// Noun is the name of the value if there is no file, such as plan.
	Noun string
	// Problems are all problems except warnings, in the order of the file.
	Problems []Problem
}

// Error returns every problem with its excerpt.
func (e *Error) Error() string {
	problems := slices.Clone(e.Problems)
	for i := range problems {
		if problems[i].File == "" {
			problems[i].File = e.Noun
		}
	}
	return Print(problems)
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// Problems returns the problems in an error, also if it joins several errors. An error that is
// not an *Error becomes one problem without a place.
func Problems(err error) []Problem {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []Problem
		for _, one := range joined.Unwrap() {
			all = append(all, Problems(one)...)
		}
		return all
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Problems
	}
	return []Problem{{Message: err.Error()}}
}

// excerpt returns a line of the text with a mark below the column.
func excerpt(line string, number, column int) string {
	const width = 100
	s := []rune(strings.TrimRight(line, "\r\n"))
	column = max(1, min(column, len(s)+1))
	if column > width-20 { // keep the column visible in a long line
		cut := column - width/2
		s, column = s[cut:], column-cut
	}
	if len(s) > width {
		s = s[:width]
	}
	pad := make([]rune, 0, column)
	for i, r := range s {
		if r != '\t' && (r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029') {
			s[i] = '\ufffd'
		}
		if i < column-1 {
			if r != '\t' { // tabs stay, so that the mark is below its column
				r = ' '
			}
			pad = append(pad, r)
		}
	}
	head := fmt.Sprintf("%5d | ", number)
	return head + string(s) + "\n" + strings.Repeat(" ", len(head)-2) + "| " + string(pad) + "^"
}
