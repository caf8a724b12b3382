package resilience

import (
	"errors"
	"time"

	"github.com/backstay-go/backstay/internal/plural"
)

// The kinds of error that a guard itself makes. Match them with errors.Is, which also
// finds the errors that the call returned.
var (
	// ErrRefused matches every refusal. If Result.Attempts is zero, the call was not
	// started; otherwise a further attempt was refused.
	ErrRefused = errors.New("resilience: refused")
	// ErrOpen: the circuit breaker is open. Also matches ErrRefused.
	ErrOpen = errors.New("resilience: circuit open")
	// ErrFull: all permits are taken and the queue is full, or the wait would
	// outlast the deadline. Also matches ErrRefused.
	ErrFull = errors.New("resilience: bulkhead full")
	// ErrRateLimited: the rate limit has no token. Also matches ErrRefused.
	ErrRateLimited = errors.New("resilience: rate limited")
	// ErrThrottled: the dependency does not take all calls at present, and
	// Policy.Throttle holds back a part of them. Also matches ErrRefused.
	ErrThrottled = errors.New("resilience: throttled")
	// ErrClosed: the guard was closed. Also matches ErrRefused.
	ErrClosed = errors.New("resilience: guard closed")
	// ErrPolicy: the policy, or the way the guard was used, is not valid.
	ErrPolicy = errors.New("resilience: invalid policy")
)

// Refusal is the error of a call that was not started. It matches ErrRefused and its
// kind. It is made when the refusing policy changes state and not for each refusal, so
// that refusing allocates nothing. All callers that are refused in that time get the
// same Refusal, so its fields must not be changed.
type Refusal struct {
	// Dependency and Operation name what was called.
	Dependency, Operation string
	// By is the kind: ErrOpen, ErrFull, ErrRateLimited, ErrThrottled or ErrClosed.
	By error
	// Until is when it is worth calling again; the zero time if that is not known.
	Until time.Time
	text  string
	kind  error // as By, but protected from changes by callers
	guard *Guard
}

// Error says which dependency was not called, and why.
func (r *Refusal) Error() string { return r.text }

// Is matches ErrRefused and the refusal's kind.
func (r *Refusal) Is(target error) bool {
	// A refusal that no guard made has only By.
	return target == ErrRefused || target == r.kind || r.kind == nil && r.By != nil && target == r.By
}

// RefusalOf returns the refusal in err's chain that was made by the guard of the named
// dependency. Refusals by other guards, which the call met further down, are not
// considered: they are failures of what was called.
func RefusalOf(err error, dependency string) (*Refusal, bool) {
	for err != nil {
		if r, ok := err.(*Refusal); ok && r.guard != nil && r.guard.name == dependency {
			return r, true
		}
		switch u := err.(type) {
		case interface{ Unwrap() error }:
			err = u.Unwrap()
		case interface{ Unwrap() []error }:
			for _, e := range u.Unwrap() {
				if r, ok := RefusalOf(e, dependency); ok {
					return r, true
				}
			}
			return nil, false
		default:
			return nil, false
		}
	}
	return nil, false
}

// CallError is the error of a call that was started and did not succeed. It is used if
// there is more to say than the call's own error does: several attempts, a deadline, or
// a refusal after a first attempt. It unwraps to every attempt's error.
type CallError struct {
	// Dependency and Operation name what was called.
	Dependency, Operation string
	// Attempts is the number of attempts that were started.
	Attempts int
	// Errs holds the errors of the attempts in order, followed by what ended the call,
	// if it was something else: a deadline (context.DeadlineExceeded), a Refusal, or
	// the caller's cancellation.
	Errs []error
	// Gave says in a few words why no further attempt was made, for example
	// "not idempotent" or "retry budget empty".
	Gave string
}

// Error names the dependency, the attempts and every error.
func (e *CallError) Error() string {
	text := "call to " + e.Dependency + "/" + e.Operation + " failed "
	if e.Attempts == 0 {
		text += "before its first attempt"
	} else {
		text += "after " + plural.Count(e.Attempts, "attempt")
	}
	if e.Gave != "" {
		text += " (" + e.Gave + ")"
	}
	for i, err := range e.Errs {
		if i == 0 {
			text += ": "
		} else {
			text += "; "
		}
		text += err.Error()
	}
	return text
}

// Unwrap returns every attempt's error and what ended the call.
func (e *CallError) Unwrap() []error { return e.Errs }

// Timeout reports whether the call ran out of time, for os.IsTimeout and net.Error.
func (e *CallError) Timeout() bool {
	return e.Gave == gaveTimeout || len(e.Errs) > 0 && isTimeout(e.Errs[len(e.Errs)-1])
}

// Temporary is Timeout; package net demands it.
func (e *CallError) Temporary() bool { return e.Timeout() }

// refusals are an operation's prebuilt refusals.
type refusals struct {
	forced, full, share, nested, late, waited, evicted, limited, throttled, closed *Refusal
}

func makeRefusals(g *Guard, operation string) refusals {
	who := g.name + "/" + operation + ": "
	make := func(by error, why string) *Refusal {
		return &Refusal{Dependency: g.name, Operation: operation, By: by, kind: by, guard: g, text: by.Error() + ": " + who + why}
	}
	return refusals{
		forced:    make(ErrOpen, "the breaker is forced open, by breaker.mode or Force; calls go on once that is taken back"),
		full:      make(ErrFull, "all permits are taken, and no more calls may wait; back off"),
		share:     make(ErrFull, "it holds its whole share of the permits, bulkhead.max_share; back off"),
		nested:    make(ErrFull, "all permits are taken, and the caller, which holds one of this guard, has lent it already; make nested calls one after the other, or before the outer one"),
		late:      make(ErrFull, "the wait for a permit would outlast the deadline; back off, or allow more time"),
		waited:    make(ErrFull, "no permit came free in time; back off"),
		evicted:   make(ErrFull, "a more important call took its place in the queue; back off"),
		limited:   make(ErrRateLimited, "the rate limit has no token left; back off"),
		throttled: make(ErrThrottled, "the dependency takes only a part of the calls, and this is one of the others; back off"),
		closed:    make(ErrClosed, "the guard was closed; make a new one"),
	}
}

// openRefusal is the refusal of one stay in one state.
type openRefusal struct {
	circuit *circuit
	refusal *Refusal
}

// refuseOpen returns the refusal for a circuit that is open, or half-open with every
// place for a probe taken. It is made once per stay in a state.
func (c *opConfig) refuseOpen(now *circuit) *Refusal {
	if c.shared.Breaker.Mode == BreakerForcedOpen {
		return c.refuse.forced
	}
	if o := c.open.Load(); o != nil && o.circuit == now {
		return o.refusal
	}
	why := "too many calls failed or were slow; try again after " + now.until.Format("15:04:05.000")
	if now.kind == BreakerHalfOpen {
		why = "it is half-open and being probed; try again soon"
	}
	r := &Refusal{Dependency: c.dependency(), Operation: c.name, By: ErrOpen, kind: ErrOpen, Until: now.until, guard: c.guard,
		text: ErrOpen.Error() + ": " + c.dependency() + "/" + c.name + ": " + why}
	c.open.Store(&openRefusal{circuit: now, refusal: r})
	return r
}

// The reasons why a wait for a permit ended without one.
var (
	errQueueFull = errors.New("queue full")
	errTooLate   = errors.New("too late")
	errWaited    = errors.New("waited in vain")
	errEvicted   = errors.New("evicted")
)

// refuseWait returns the refusal for the reason for which a wait ended. It returns nil
// if the caller's own context ended it.
func (r *refusals) refuseWait(err error) *Refusal {
	switch err {
	case errQueueFull:
		return r.full
	case errTooLate:
		return r.late
	case errWaited:
		return r.waited
	case errEvicted:
		return r.evicted
	}
	return nil
}
