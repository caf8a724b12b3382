package schema

import (
	"fmt"
	"strings"
)

// Status compares a stored schema with the one that this program needs.
type Status struct {
	// Version is the number of steps that the store has. Needed is the number that this program
	// knows.
	Version int `json:"version"`
	Needed  int `json:"needed"`
	// Pending are the steps that the store lacks, in order. Begun is the number of statements of
	// the first of them that were run already.
	Pending []Step `json:"pending,omitempty"`
	Begun   int    `json:"begun,omitempty"`
	// Problems are sentences that say why this program can't work on the store, and what to do.
	// If there are none, it can.
	Problems []string `json:"problems,omitempty"`
}

// OK reports whether this program can work on the store as it is.
func (s Status) OK() bool { return len(s.Problems) == 0 }

// String returns the problems, or one sentence that says that there are none.
func (s Status) String() string {
	if s.OK() {
		return fmt.Sprintf("schema %d fits", s.Version)
	}
	return strings.Join(s.Problems, "; ")
}
