package chaos

import (
	"errors"
	"fmt"
	"strings"
)

// ErrPlan is the kind of every error about a plan's content; the type is *PlanError.
var ErrPlan = errors.New("chaos: bad plan")

// A Problem is one thing wrong in a plan.
type Problem struct {
	Field   string // path in the plan, like rules[2].when.from; empty for the whole
	Rule    string // name of the rule that the path is in, of a plan that came from Go
	Message string // what is wrong and what to change
	Line    int    // from 1; 0 if the plan came from Go
	Column  int    // from 1
	Excerpt string // the line in the file, with a mark below the place
}

func (p Problem) String() string {
	switch {
	case p.Field == "":
		return p.Message
	case p.Rule != "" && p.Line == 0:
		return fmt.Sprintf("%s: %q: %s", p.Field, p.Rule, p.Message)
	}
	return p.Field + ": " + p.Message
}

// PlanError holds every problem of a plan, in the order of the file. It matches
// ErrPlan.
type PlanError struct {
	File     string // empty if the plan came from Go
	Problems []Problem
}

func (e *PlanError) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		file := e.File
		if file == "" {
			file = "plan"
		}
		if p.Line > 0 {
			fmt.Fprintf(&b, "%s:%d:%d: %s", file, p.Line, p.Column, p)
		} else {
			fmt.Fprintf(&b, "%s: %s", file, p)
		}
		if p.Excerpt != "" {
			b.WriteByte('\n')
			b.WriteString(p.Excerpt)
		}
	}
	return b.String()
}

// Is makes errors.Is(err, ErrPlan) true.
func (e *PlanError) Is(target error) bool { return target == ErrPlan }

// excerpt shows a line of the text and a mark below the column.
func excerpt(text string, line, column int) string {
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	const width = 100
	s := []rune(strings.TrimRight(lines[line-1], "\r"))
	column = max(1, min(column, len(s)+1))
	if column > width-20 { // keep the place in sight on a long line
		cut := column - width/2
		s, column = s[cut:], column-cut
	}
	if len(s) > width {
		s = s[:width]
	}
	number := fmt.Sprintf("%5d | ", line)
	pad := make([]rune, 0, column)
	for _, r := range s[:min(column-1, len(s))] {
		if r != '\t' {
			r = ' '
		}
		pad = append(pad, r)
	}
	return number + string(s) + "\n" + strings.Repeat(" ", len(number)-2) + "| " + string(pad) + "^"
}

// suggest names the word nearest to what was written, as a phrase, or nothing.
func suggest(word string, words []string) string {
	best, least := "", len(word)/3+2
	lower := strings.ToLower(word)
	for _, w := range words {
		d := distance(lower, strings.ToLower(w))
		if d < least {
			best, least = w, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is the number of letters to change, add, leave out or swap with their
// neighbour (optimal string alignment) between a and b.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
