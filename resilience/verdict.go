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
	// that was shorter than what the policy grants, a wrong request, "not found". A
	// context.Canceled that the dependency returns while its caller waits is none of
	// these; DefaultClassifier judges it as a Failure.
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
	// refused: the guard itself refused a call that was nested in the attempt.
	refused bool
}

// isAnswer reports whether the dependency has answered, if not as was hoped: nothing
// is to be repeated, and nothing may hide it.
func (v Verdict) isAnswer() bool {
	return v.Outcome == Success || v.Outcome == Ignored && v.Repeat == RepeatNever && !v.refused
}

// Classifier judges the error of an attempt. It must be safe for concurrent use. It
// is called without locks, from the
// goroutine of the attempt, for errors only; a panic in it is the call's panic.
// A client library gives its own (clients/cassandra, clients/rest).
type Classifier func(err error) Verdict

// Judged is implemented by errors that bring their own verdict. DefaultClassifier
// finds it in the chain.
type Judged interface{ Verdict() Verdict }

// WithVerdict returns err with a verdict of its own, for DefaultClassifier. A nil err
// stays nil.
func WithVerdict(err error, v Verdict) error {
	if err == nil {
		return nil
	}
	return &judgedError{err, v}
}

type judgedError struct {
	error
	verdict Verdict
}

func (e *judgedError) Unwrap() error    { return e.error }
func (e *judgedError) Verdict() Verdict { return e.verdict }
