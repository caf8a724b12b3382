package chaos

import (
	"errors"
	"slices"

	"github.com/backstay-go/backstay/internal/strictyaml"
	"github.com/backstay-go/backstay/internal/suggest"
)

// ErrPlan matches every error about a plan's content. Such errors are of type *PlanError.
var ErrPlan = errors.New("chaos: bad plan")

// A Problem is one thing that is wrong in a plan. Its fields are File, Line and Column (from 1; 0
// if the plan came from Go), Field (the path, such as rules[2].when.from; empty for the whole),
// Name (of the rule, shown where there is no line), Message (what is wrong), Suggestion (what to
// do, if the message does not say it), Warning and Excerpt (the line, with a mark below the place).
type Problem = strictyaml.Problem

// PlanError holds every problem of a plan, in its field Problems and in the order of the file. It
// matches ErrPlan. NewPlanError makes one.
type PlanError = strictyaml.Error

// NewPlanError returns the error of a plan that has these problems.
func NewPlanError(problems ...Problem) *PlanError {
	return &PlanError{Kind: ErrPlan, Noun: "plan", Problems: problems}
}

// suggestion returns a phrase with the word that was probably meant, or an empty text.
func suggestion(word string, words []string) string {
	return suggest.Phrase(word, slices.Values(words))
}
