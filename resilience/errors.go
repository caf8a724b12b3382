package resilience

import (
	"errors"
	"time"
)

// The kinds of error that a guard itself makes. Match them with errors.Is. What
// the call returned is matched the same way, through the chain.
var (
	// ErrRefused matches every refusal. With Result.Attempts zero the call was not
	// started; else it is a further attempt that was refused.
	ErrRefused = errors.New("resilience: refused")
	// ErrOpen: the circuit breaker is open. Also matches ErrRefused.
	ErrOpen = errors.New("resilience: circuit open")
	// ErrFull: all permits are taken and the queue is full, or the wait would
	// outlast the deadline. Also matches ErrRefused.
	ErrFull = errors.New("resilience: bulkhead full")
	// ErrRateLimited: the rate limit has no token. Also matches ErrRefused.
	ErrRateLimited = errors.New("resilience: rate limited")
	// ErrThrottled: the dependency does not take all calls just now, and Policy.Throttle
	// spares it a part of them. Also matches ErrRefused.
	ErrThrottled = errors.New("resilience: throttled")
	// ErrClosed: the guard was closed. Also matches ErrRefused.
	ErrClosed = errors.New("resilience: guard closed")
	// ErrPolicy: the policy, or the way the guard was used, is not valid.
	ErrPolicy = errors.New("resilience: invalid policy")
)

// Refusal is the error of a call that was not started. It is made when the
// refusing policy changes state, not when it refuses, so that refusing allocates
// nothing; all callers that are refused get the same one, so do not change its fields.
// It matches ErrRefused and its kind.
type Refusal struct {
	// Dependency and Operation name what was called.
	Dependency, Operation string
	// By is the kind: ErrOpen, ErrFull, ErrRateLimited, ErrThrottled or ErrClosed.
	By error
	// Until is when a call is worth trying again; the zero time if not known.
	Until time.Time
	text  string
	kind  error // as By, and safe from whoever changes that
	guard *Guard
}

// Error says which dependency was not called, and why.
func (r *Refusal) Error() string { return r.text }

// Is matches ErrRefused and the refusal's kind.
func (r *Refusal) Is(target error) bool {
	// One that was not made by a guard has only By.
	return target == ErrRefused || target == r.kind || r.kind == nil && r.By != nil && target == r.By
}

// RefusalOf returns the refusal in err's chain that the guard of the named dependency
// made. The refusals of other guards, which a call met further down, are not looked at:
// they are failures of what was called.
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

// CallError is the error of a call that was started and did not succeed, if there
// is more to say than the call's own error does: several attempts, a deadline, a
// refusal after a first attempt. It unwraps to every attempt's error.
type CallError struct {
	// Dependency and Operation name what was called.
	Dependency, Operation string
	// Attempts is the number of attempts that were started.
	Attempts int
	// Errs holds the attempts' errors in order, then what ended the call: a
	// deadline (context.DeadlineExceeded), a Refusal, the caller's cancellation.
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
		text += "after " + several(e.Attempts, "attempt")
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

// refuseOpen returns the refusal for a circuit that is open, or half-open with
// all probes out. It is made once for each stay.
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

// Why a wait for a permit ended without one.
var (
	errQueueFull = errors.New("queue full")
	errTooLate   = errors.New("too late")
	errWaited    = errors.New("waited in vain")
	errEvicted   = errors.New("evicted")
)

// refuseWait returns the refusal for the way a wait ended; nil if it was the
// caller's own context.
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
