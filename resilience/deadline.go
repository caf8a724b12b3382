package resilience

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"
)

// lazyDeadline is the deadline of an attempt as a context.Context: the earliest of
// the attempt timeout, the total timeout and the caller's own deadline.
//
//	runs ──(the time is up)──▶ over: context.DeadlineExceeded
//	runs ──(the caller cancels, or another attempt won)──▶ over: context.Canceled
//	runs ──(the work has ended, and no Hold is left)──▶ over: context.Canceled
//
// What the call returns counts even after its deadline. A late value is a value, and a
// slow success for the breaker; a late error counts as a timeout if it says that it is
// one. With Detach or Hedge the caller does not wait for it. The timer and the channel
// are made only when Done is called, so that a call that never waits on its context
// does not pay for them. They belong to a context of the standard library, which Value
// shows to package context, so that children attach to it without a goroutine. Safe for
// concurrent use. Its zero value is not usable.
type lazyDeadline struct {
	parent context.Context
	cfg    *opConfig
	end    int64 // the deadline as an offset from the guard's base, in ns
	// theirs is set if end is the parent's deadline.
	theirs bool
	// over is set by finish.
	over  atomic.Bool
	inner atomic.Pointer[standard]
}

// standard is the context that lazyDeadline makes on demand.
type standard struct {
	context.Context
	cancel context.CancelFunc
}

// Deadline implements context.Context.
func (d *lazyDeadline) Deadline() (time.Time, bool) {
	if d.theirs {
		return d.parent.Deadline()
	}
	return d.cfg.guard.at(d.end), true
}

// Done implements context.Context.
func (d *lazyDeadline) Done() <-chan struct{} { return d.demand().Done() }

// Err implements context.Context.
func (d *lazyDeadline) Err() error {
	if s := d.inner.Load(); s != nil {
		return s.Err()
	}
	if d.over.Load() {
		return context.Canceled
	}
	if d.parent.Err() == nil && d.cfg.guard.now() < d.end {
		return nil
	}
	// The answer must never change again, so the standard context decides it.
	return d.demand().Err()
}

// demand returns the standard context, and makes it if there is none yet.
func (d *lazyDeadline) demand() *standard {
	if s := d.inner.Load(); s != nil {
		return s
	}
	made := new(standard)
	if d.over.Load() {
		// Err has said Canceled, and must go on to, whatever the parent does.
		made.Context, made.cancel = context.WithCancel(context.WithoutCancel(d.parent))
	} else {
		made.Context, made.cancel = d.cfg.guard.clock.WithDeadline(d.parent, d.cfg.guard.at(d.end))
	}
	if !d.inner.CompareAndSwap(nil, made) {
		made.cancel()
		return d.inner.Load()
	}
	// finish sets over before it looks for inner, and here inner was set before
	// looking at over: one of the two sees the other.
	if d.over.Load() {
		made.cancel()
	}
	return made
}

// finish ends the context. It may be called more than once.
func (d *lazyDeadline) finish() {
	d.over.Store(true)
	if s := d.inner.Load(); s != nil {
		s.cancel()
	}
}

// later returns t + d, bounded by the largest time there is.
func later(t int64, d time.Duration) int64 {
	sum := t + int64(d)
	switch {
	case d > 0 && sum < t:
		return math.MaxInt64
	case d < 0 && sum > t:
		return math.MinInt64
	}
	return sum
}

// endOf returns why a context has ended: its error, and its cause if that says more. It
// returns nil while the context has not ended.
func endOf(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && cause != err {
		return &endedError{err, cause}
	}
	return err
}

// endedError is the error of a context together with the cause that its owner gave.
type endedError struct{ err, cause error }

func (e *endedError) Error() string   { return e.err.Error() + ": " + e.cause.Error() }
func (e *endedError) Unwrap() []error { return []error{e.err, e.cause} }
func (e *endedError) Timeout() bool   { return isDeadline(e.err) }
func (e *endedError) Temporary() bool { return isDeadline(e.err) }

func isDeadline(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

// isTimeout also matches the errors of packages net and os when a context's deadline
// cut them.
func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return isDeadline(err) || errors.As(err, &t) && t.Timeout()
}

// saysTimeout reports whether err itself, and not only its chain, is a time-out to
// os.IsTimeout and to callers that assert net.Error.
func saysTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

func isCanceled(err error) bool { return errors.Is(err, context.Canceled) }
