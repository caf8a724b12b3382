package resilience

import (
	"context"
	"errors"
	"math"
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
// one. With Detach or Hedge the caller does not wait for it.
//
// The channel is made only when Done is called, so that a call that never waits on its
// context does not pay for it. It is the channel of a context of the standard library
// that the parent ends; when the time is up, the gate's alarms end it. That context is
// not shown to package context, because its own error is always Canceled; contexts that
// derive from the attempt use AfterFunc. In virtual time, and in a testing/synctest
// bubble to which the guard does not belong, the context that is made has a timer, and
// Value shows it. Safe for concurrent use. Its zero value is not usable.
type lazyDeadline struct {
	attemptState
	alarm  int32 // the place in the heap of the alarms plus 1; guarded by their mu
	parent context.Context
	cfg    *opConfig
	end    int64 // the deadline as an offset from the guard's base, in ns
	// inner and cancel never change once the state says demanded, which is set under
	// the mu of the alarms.
	inner  context.Context
	cancel context.CancelFunc
	number int32 // of the attempt
	// theirs is set if end is the parent's deadline.
	theirs bool
	hedged bool
	apart  bool // the attempt may outlive the call
	// left is set if the attempt ran when the caller of its race left. Only that caller
	// reads it.
	left bool
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

// AfterFunc lets package context attach contexts that derive from this one without a
// goroutine.
func (d *lazyDeadline) AfterFunc(f func()) (stop func() bool) {
	return context.AfterFunc(d.demand(), f)
}

// Err implements context.Context.
func (d *lazyDeadline) Err() error {
	switch s := d.Load(); {
	case s&demanded != 0:
		if err := d.inner.Err(); err == nil || s&standalone != 0 {
			return err
		}
	case s&endReason != 0:
	case d.parent.Err() != nil:
	case d.cfg.guard.now() < d.end:
		return nil
	case d.cfg.guard.clock != nil:
		return d.demand().Err()
	default:
		d.timeIsUp()
	}
	switch d.setEnd(endedByParent) & endReason {
	case endedByTime:
		return context.DeadlineExceeded
	case endedByGuard:
		return context.Canceled
	}
	return d.parent.Err()
}

// demand returns the context that has the channel, and makes it if there is none yet.
func (d *lazyDeadline) demand() context.Context {
	if d.has(demanded) {
		return d.inner
	}
	var made context.Context
	var cancel context.CancelFunc
	bits, timed := demanded, false
	switch reason := d.Load() & endReason; {
	case reason == endedByTime || reason == endedByGuard:
		made, cancel = context.WithCancel(context.WithoutCancel(d.parent))
		cancel()
	case d.standsAlone():
		bits |= standalone
		made, cancel = d.cfg.guard.clock.WithDeadline(d.parent, d.cfg.guard.at(d.end))
	default:
		made, cancel = context.WithCancel(d.canceler())
		timed = d.needsAlarm()
	}
	if !d.cfg.guard.alarmFor(d).publish(d, made, cancel, bits, timed) {
		cancel()
	}
	return d.inner
}

// canceler returns the context whose end is the parent's end. If that is the end of an
// enclosing attempt, it is the inner context of that attempt, to which package context
// attaches others at less cost.
func (d *lazyDeadline) canceler() context.Context {
	if outer := attemptOf(d.parent); outer != nil {
		done := d.parent.Done()
		if outer.has(demanded) && outer.inner.Done() == done {
			return outer.inner
		}
	}
	return d.parent
}

// standsAlone reports whether the time of the attempt is not that of the guard's alarms.
func (d *lazyDeadline) standsAlone() bool {
	return d.cfg.guard.clock != nil || isForeign(d.end)
}

// isForeign reports whether an offset belongs to another synctest bubble than the guard,
// or to none. Such times differ by decades.
func isForeign(offset int64) bool {
	const decades = 20 * 365 * 24 * time.Hour
	return offset < 0 || offset > int64(decades)
}

// needsAlarm reports whether the parent does not end by itself when the time is up.
func (d *lazyDeadline) needsAlarm() bool { return !d.theirs || d.parent.Done() == nil }

// timeIsUp ends the context because its deadline has passed.
func (d *lazyDeadline) timeIsUp() {
	if before := d.setEnd(endedByTime); before&endReason == 0 && before&demanded != 0 {
		d.cancel()
	}
}

// finish ends the context. It may be called more than once.
func (d *lazyDeadline) finish() { d.release(d.setEnd(endedByGuard)) }

// release gives back what the context holds. The state before tells what that is.
func (d *lazyDeadline) release(before uint32) {
	if before&demanded == 0 {
		return
	}
	d.cancel()
	if before&standalone == 0 && d.needsAlarm() {
		d.cfg.guard.alarmFor(d).remove(d)
	}
}

// endedContext returns a context that has ended for the same reason, with the values of the
// parent. The parent's own end no longer matters to it.
func (d *lazyDeadline) endedContext(reason uint32) context.Context {
	ctx, cancel := context.WithoutCancel(d.parent), context.CancelFunc(nil)
	if reason == endedByTime {
		ctx, cancel = context.WithDeadline(ctx, time.Time{})
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	cancel()
	return ctx
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
