package resilience

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Listener receives what a guard does. Its contract:
//
//   - goroutine: that of the call, or of an attempt that it did not wait for; of the
//     guard's own timers for changes of state; so it must be safe for concurrent use;
//   - locks: none is held;
//   - order: a call's events in their order; a guard's changes of state in theirs;
//     attempts that a call did not wait for end after it;
//   - re-entry: it may use the guard, also Snapshot and Update;
//   - panic: is recovered, counted in the snapshot, and never stops a call; Goexit
//     ends the goroutine, and nothing that the call held is lost;
//   - context: the call's or attempt's that the event belongs to, also if another
//     goroutine tells it; it may be done. The guard's own for what no call caused.
//
// The context that it returns for CallStarted and AttemptStarted provides the values
// with which the call continues, so that spans nest. Deadline and cancellation remain
// those of the context that the listener was given. For other kinds the returned
// context is ignored. Nil stands for the context as given.
type Listener interface {
	Handle(ctx context.Context, e Event) context.Context
}

// EventKind says what happened.
type EventKind uint8

// The kinds of event.
const (
	// CallStarted: Do begins. Has Criticality.
	CallStarted EventKind = iota + 1
	// CallEnded: Do is about to return. Has Source, Age, Cause, Err, Verdict (of the
	// attempt that returned the error), Attempt (the number of attempts), Took,
	// Criticality.
	CallEnded
	// AttemptStarted: an attempt has its permit and begins. Has Attempt, Hedged, Apart.
	AttemptStarted
	// AttemptEnded: has Attempt, Hedged, Apart, Err, Verdict, Took, Won (of hedges).
	AttemptEnded
	// Waited: the call waited for a permit. Has Took.
	Waited
	// BackedOff: the call pauses before a retry. Has Took (how long it will), Err.
	BackedOff
	// Refused: a policy refused. Has Err (a *Refusal), and Hedged if the refused
	// attempt was a hedge; then the call continues.
	Refused
	// FellBack: a fallback stood in. Has Source, Age, Err (the cause).
	FellBack
	// BreakerChanged: has From, To, Err (the last failure, for openings).
	BreakerChanged
	// LimitChanged: an adaptive limit moved. Has Limit.
	LimitChanged
	// PolicyUpdated: Update swapped the policy.
	PolicyUpdated
	// BreakerBlind: as many attempts in a row as the breaker needs to decide
	// (MinimumCalls) were cut by their callers' own deadlines, so the breaker has
	// learned nothing from them. Some caller has a shorter timeout than this policy:
	// raise that timeout, shorten the policy's, or set SlowCall. The event is emitted
	// at most once while a policy is in force.
	BreakerBlind
)

// Event is one thing that happened. It is a value. Fields that are not named at its
// kind are zero.
type Event struct {
	Dependency  string
	Operation   string
	Kind        EventKind
	Hedged      bool
	Won         bool
	Apart       bool // of work that may outlive its call: coalesced, or a refresh in the background
	Source      Source
	Criticality Criticality // the call's class
	From, To    BreakerState
	Attempt     int
	Age         time.Duration
	Took        time.Duration
	// Err is what went wrong. Cause is the error for which a fallback was served.
	Err, Cause error
	Verdict    Verdict
	Limit      int
}

// BreakerState is the state of a circuit breaker.
type BreakerState uint8

// The states of a breaker.
const (
	// BreakerClosed admits calls.
	BreakerClosed BreakerState = iota
	// BreakerHalfOpen admits a ramp of probes.
	BreakerHalfOpen
	// BreakerOpen refuses.
	BreakerOpen
)

// String returns closed, half-open or open.
func (s BreakerState) String() string {
	switch s {
	case BreakerClosed:
		return "closed"
	case BreakerHalfOpen:
		return "half-open"
	case BreakerOpen:
		return "open"
	}
	return "unknown"
}

// MarshalText makes a state readable in JSON and YAML.
func (s BreakerState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *BreakerState) UnmarshalText(text []byte) error {
	return unmarshalName(s, text, "breaker state", BreakerClosed, BreakerHalfOpen, BreakerOpen)
}

// unmarshalName sets *to to the value whose name is text.
func unmarshalName[T fmt.Stringer](to *T, text []byte, what string, values ...T) error {
	names := make([]string, len(values))
	for i, v := range values {
		if names[i] = v.String(); names[i] == string(text) {
			*to = v
			return nil
		}
	}
	return fmt.Errorf("resilience: %s %q is none of %s", what, text, strings.Join(names, ", "))
}
