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
	// Ignored counts neither way: the caller's own cancellation, the caller's own
	// deadline if that was shorter than what the policy grants, a wrong request, "not
	// found". A context.Canceled that the dependency returns while its caller still
	// waits is different; DefaultClassifier judges it as a Failure.
	//
	// Ignored with RepeatNever is an answer: it is final, and it shows a half-open
	// breaker that the dependency is alive. Where nothing was heard of the dependency,
	// use another Repeat; an Ignored attempt is never repeated in either case.
	Ignored
)

// Repeat says whether an attempt may be repeated.
type Repeat uint8

// The answers to "may it be repeated?".
const (
	// RepeatIfIdempotent: the attempt failed, and the dependency may have processed it.
	RepeatIfIdempotent Repeat = iota
	// RepeatNever: repeating cannot help, or must not be done.
	RepeatNever
	// RepeatAlways: the dependency certainly did not process the attempt.
	RepeatAlways
)

// Verdict is what an attempt's error means. It is a value; its zero value is a success.
type Verdict struct {
	// Outcome is what the attempt counts as.
	Outcome Outcome
	// Repeat says whether it may be repeated.
	Repeat Repeat
	// After is how long the dependency asked to wait before a repeat (Retry-After),
	// counted from now. Zero: the policy's pause applies.
	After time.Duration
	// callerDeadlinePassed is set if the caller's own deadline cut the attempt before
	// the policy's would have. Such an attempt is Ignored, unless it was slow.
	callerDeadlinePassed bool
	// refused is set if the guard itself refused a call that was nested in the attempt.
	refused bool
	// left is set if the attempt ended because its caller left or another attempt won.
	left bool
}

// isAnswer reports whether the dependency has answered, even if the answer is
// unwelcome. Such a call is not repeated, and no fallback may hide the answer.
func (v Verdict) isAnswer() bool {
	return v.Outcome == Success || v.Outcome == Ignored && v.Repeat == RepeatNever && !v.refused
}

// isSignOfLife reports whether the dependency has answered, even if the answer counts
// neither as a success nor as a failure. A half-open breaker and the throttle count it
// as good.
func (v Verdict) isSignOfLife() bool { return v.isAnswer() && !v.left && !v.callerDeadlinePassed }

// Classifier judges the error of an attempt. It is called only for errors, on the
// goroutine of the attempt and without locks, and must be safe for concurrent use. A
// panic in it counts as the call's panic. Client libraries have their own classifiers
// (clients/cassandra, clients/rest).
type Classifier func(err error) Verdict

// Judged is implemented by errors that carry their own verdict. DefaultClassifier finds
// such an error in the chain.
type Judged interface{ Verdict() Verdict }

// WithVerdict returns err with a verdict attached, which DefaultClassifier uses. A nil
// err stays nil.
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
