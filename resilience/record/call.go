package record

import (
	"context"
	"errors"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// Cause is the kind of error that a call ended with, or that a fallback stood in for.
type Cause string

// The causes.
const (
	// None: the value is live, comes from a hedge, or is fresh from a cache.
	None Cause = "-"
	// Open, Full, RateLimited, Throttled and Closed are refusals.
	Open        Cause = "open"
	Full        Cause = "full"
	RateLimited Cause = "rate_limited"
	Throttled   Cause = "throttled"
	Closed      Cause = "closed"
	// Timeout: the time of the call was over.
	Timeout Cause = "timeout"
	// Canceled: the caller gave up.
	Canceled Cause = "canceled"
	// Failed is every other error.
	Failed Cause = "failed"
)

// Call is one call, as a line of a record states it. It is a value.
type Call struct {
	// Start is when the call began, counted from the record's beginning.
	Start time.Duration
	// Dependency and Operation are the names of the guard and of its operation.
	Dependency, Operation string
	// Criticality is the call's class.
	Criticality resilience.Criticality
	// Answered says that the call had a value, from Source.
	Answered bool
	Source   resilience.Source
	// Cause is why the value is not live, or the error's kind.
	Cause Cause
	// Took is the time from Start to the call's end.
	Took time.Duration
	// Patience is the time from Start to the caller's own deadline. Zero if it had none, or if
	// the record does not state it.
	Patience time.Duration
	// Attempts holds all that were started, in order.
	Attempts []Attempt
}

// Attempt is one attempt of a call.
type Attempt struct {
	Outcome resilience.Outcome
	// Start is counted from the start of the call.
	Start time.Duration
	// Took is the duration of the attempt.
	Took time.Duration
	// After is for how long the dependency asked not to be called again (Retry-After). Zero
	// if it did not, or if the record does not state it.
	After time.Duration
	// Hedge says that the attempt was a hedge.
	Hedge bool
	// Cut says that the attempt ended before the dependency answered: it timed out, was
	// cancelled, or was still running when the call ended (Outcome is then Ignored).
	Cut bool
}

// Record is a whole record. It is a value.
type Record struct {
	// Began is the time from which starts are counted.
	Began time.Time
	// Calls are sorted by their start.
	Calls []Call
	// Dropped is the number of missing calls: those that the record itself reports, and
	// one for each line that was left out.
	Dropped int64
	// Faults says for each line that was left out what is wrong with it. The errors match
	// ErrFormat; the first 20 are kept.
	Faults []error
}

// causeOf returns the kind of the error of a call to the dependency. A refusal by another
// guard, inside the work of the call, is a failure.
func causeOf(dependency string, err error) Cause {
	if err == nil {
		return None
	}
	refusal, refused := resilience.RefusalOf(err, dependency)
	switch {
	case refused && refusal.By == resilience.ErrOpen:
		return Open
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case refused && refusal.By == resilience.ErrFull:
		return Full
	case refused && refusal.By == resilience.ErrRateLimited:
		return RateLimited
	case refused && refusal.By == resilience.ErrThrottled:
		return Throttled
	case refused:
		return Closed
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Failed
}
