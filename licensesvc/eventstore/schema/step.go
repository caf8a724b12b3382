package schema

// Step is one change of a schema. The number of a step is its place among the steps, counted
// from 1. A step that is released never changes.
type Step struct {
	// Number is set by the engine.
	Number int `json:"number"`
	// Name says in a few words what the step does.
	Name string `json:"name"`
	// Statements run in order, each on its own.
	Statements []Statement `json:"statements"`
	// Loses says what data the step removes. Such a step is taken only if it is named. Empty: it
	// removes nothing.
	Loses string `json:"loses,omitempty"`
	// Breaks says that programs that don't know the step can't work on a store that has it.
	Breaks bool `json:"breaks,omitempty"`
}

// Statement is one statement of a step. It must be safe to repeat.
type Statement struct {
	// Text is the statement in the store's language.
	Text string `json:"text"`
	// Table and Column name the column that the statement adds. If the table has it already, the
	// statement is left out, because not every store can add a column only if it is missing.
	// Empty: the statement adds no column, or says itself that it may be repeated.
	Table  string `json:"-"`
	Column string `json:"-"`
}
