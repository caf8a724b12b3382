package resilience

import "time"

// Outcome is what a finished attempt means for the breaker and the limit.
type Outcome uint8

// The outcomes of an attempt.
const (
	// Success counts for the breaker as good.
	Success Outcome = iota
	// Failure counts for the breaker as bad.
	Failure
	// Overload is a marked refusal by the dependency: it lowers an adaptive limit
	// and is no failure for the breaker.
	Overload
	// Ignored counts neither way: the caller's own cancellation, its own deadline if
	// that was shorter than what the policy grants, a wrong request, "not found".
	Ignored
)

// Repeat says whether an attempt may be repeated.
type Repeat uint8

// The answers to "may it be repeated?".
const (
	// RepeatIfIdempotent: it failed, and may have been processed.
	RepeatIfIdempotent Repeat = iota
	// RepeatNever: repeating cannot help, or must not be done.
	RepeatNever
	// RepeatAlways: it was certainly not processed.
	RepeatAlways
)

// Verdict is what an attempt's error means. It is a value; its zero value is a success.
type Verdict struct {
	// Outcome is what the attempt counts as.
	Outcome Outcome
	// Repeat says whether it may be repeated.
	Repeat Repeat
	// After is the earliest time for a repeat as the dependency asked (Retry-After),
	// from now. Zero: the policy's pause.
	After time.Duration
	// callerDeadlinePassed: the caller's own deadline cut the attempt before the policy's would
	// have. It is Ignored, unless it was slow.
	callerDeadlinePassed bool
}

// isAnswer reports whether the dependency has answered, if not as was hoped.
func (v Verdict) isAnswer() bool { return v.Outcome == Ignored && v.Repeat == RepeatNever }

// Classifier judges the error of an attempt. It must be safe for concurrent use. It
// is called without locks, from the
// goroutine of the attempt, for errors only; a panic in it is the call's panic.
// A client library gives its own (clients/cassandra, clients/rest).
type Classifier func(err error) Verdict

// Judged is implemented by errors that bring their own verdict. DefaultClassifier
// finds it in the chain.
type Judged interface{ Verdict() Verdict }
