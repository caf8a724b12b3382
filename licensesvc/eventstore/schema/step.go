package schema

import (
	"errors"
	"fmt"
	"regexp"
)

// Step is one change of a schema. Its number is its place among the steps, counted from 1. A
// step that is released never changes.
type Step struct {
	// Name identifies the step and says in a few words what it does. Required.
	Name string `json:"name"`
	// Statements run in order, each on its own.
	Statements []Statement `json:"statements"`
	// Loses says what data the step removes. Such a step is taken only if the caller of Apply
	// names it. Empty: it removes nothing.
	Loses string `json:"loses,omitempty"`
	// Breaks says that a program that does not know the step can't work on a store that has it.
	Breaks bool `json:"breaks,omitempty"`
}

// Statement is one statement of a step. It must be safe to repeat.
type Statement struct {
	// Text is the statement in the store's language.
	Text string `json:"text"`
	// Table and Column name the column that the statement adds. If the table has it already, the
	// statement is left out, because not every store can add a column only if it is missing.
	// Empty: the statement can be repeated as it is.
	Table  string `json:"-"`
	Column string `json:"-"`
}

// Schema is the schema that a program needs: the steps, and the tables that they make.
type Schema struct {
	Steps []Step
	// Tables holds the type of each column, by table.
	Tables map[string]map[string]string
}

// losing matches statements that may remove data or make it unreadable.
var losing = regexp.MustCompile(`(?is)^\s*(DROP|TRUNCATE|DELETE|UPDATE)\b|\b(DROP|RENAME|TYPE|default_time_to_live)\b`)

// added matches the statements in which a word such as DROP or TYPE is the name of a column.
var added = regexp.MustCompile(`(?is)^\s*(CREATE\s|ALTER\s+TABLE\s+\S+\s+ADD\s)`)

// Check returns every step that removes data and does not say so, and every name that is missing
// or used twice.
func (s Schema) Check() error {
	var errs []error
	names := map[string]bool{}
	for n, step := range s.Steps {
		if step.Name == "" || names[step.Name] || len(step.Statements) == 0 {
			errs = append(errs, fmt.Errorf("schema: step %d (%q) needs statements, and a name that no other step has", n+1, step.Name))
		}
		names[step.Name] = true
		for _, st := range step.Statements {
			if step.Loses == "" && losing.MatchString(st.Text) && !added.MatchString(st.Text) {
				errs = append(errs, fmt.Errorf("schema: step %d (%s) may remove data by %q and does not say so: set Loses", n+1, step.Name, st.Text))
			}
		}
	}
	return errors.Join(errs...)
}
