package rest

import (
	"context"
	"net/http/httptrace"
	"time"
)

// traceKey is where net/http looks for a trace. It has no name outside, so it is
// asked for.
var traceKey = func() any {
	var asked asking
	httptrace.ContextClientTrace(&asked)
	return asked.key
}()

// asking is a context that remembers what it was asked for.
type asking struct {
	nothing
	key any
}

func (a *asking) Value(key any) any { a.key = key; return nil }

// nothing is a context without anything.
type nothing struct{}

func (nothing) Deadline() (time.Time, bool) { return time.Time{}, false }
func (nothing) Done() <-chan struct{}       { return nil }
func (nothing) Err() error                  { return nil }
func (nothing) Value(any) any               { return nil }

// Deadline implements context.Context.
func (a *attempt) Deadline() (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.deadline.IsZero() {
		return a.caller.Deadline()
	}
	return a.deadline, true
}

// Done implements context.Context.
func (a *attempt) Done() <-chan struct{} { return a.done }

// Err implements context.Context.
func (a *attempt) Err() error {
	select {
	case <-a.done:
		return a.err
	default:
		return nil
	}
}

// Value implements context.Context.
func (a *attempt) Value(key any) any {
	if key == traceKey {
		return a.trace
	}
	return a.guarded.Value(key)
}

// String describes the context, as those of package context do.
func (a *attempt) String() string { return "rest.attempt" }

// AfterFunc is what package context asks for, so that its contexts attach to this one
// without a goroutine.
func (a *attempt) AfterFunc(f func()) (stop func() bool) {
	e := &ending{f}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		go f() // as the interface has it: the caller holds locks
		return func() bool { return false }
	}
	a.ends = append(a.ends, e)
	return func() bool { return a.forget(e) }
}

func (a *attempt) forget(e *ending) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, other := range a.ends {
		if other == e {
			a.ends[i] = a.ends[len(a.ends)-1]
			a.ends = a.ends[:len(a.ends)-1]
			return true
		}
	}
	return false
}

// cancel ends the attempt. Only the first end counts.
func (a *attempt) cancel(cause error) { a.end(context.Canceled, cause) }

func (a *attempt) end(err, cause error) {
	a.mu.Lock()
	if a.err != nil {
		a.mu.Unlock()
		return
	}
	a.err, a.cause = err, cause
	close(a.done)
	ends, timer, stopCaller, stopGuard := a.ends, a.timer, a.stopCaller, a.stopGuard
	a.ends, a.timer = nil, nil
	a.mu.Unlock()
	if timer != nil {
		timer.Stop()
	}
	if stopCaller != nil {
		stopCaller()
	}
	if stopGuard != nil {
		stopGuard()
	}
	for _, e := range ends {
		e.f()
	}
}

// why is the cause of the end; nil before it.
func (a *attempt) why() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cause
}

// leave takes the attempt from under the guard: from here on only the caller ends it,
// or a stall.
func (a *attempt) leave() {
	a.mu.Lock()
	stop := a.stopGuard
	a.stopGuard, a.deadline = nil, time.Time{}
	a.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// watch begins to look for stalls: reads that bring nothing for longer than this.
func (a *attempt) watch(stall time.Duration) {
	if stall <= 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stall = stall
	switch {
	case a.err != nil:
	case a.timer == nil:
		a.timer = time.AfterFunc(stall, a.expire)
	case a.deadline.IsZero() || stall < time.Until(a.deadline):
		a.timer.Reset(stall)
	}
}

// expire is called when the deadline is due, or a stall may be. One timer serves both,
// and a read does not touch it.
func (a *attempt) expire() {
	now := time.Now()
	a.mu.Lock()
	next, cause := a.expiresLocked(now)
	if cause == nil && a.timer != nil && next > 0 {
		a.timer.Reset(next)
	}
	a.mu.Unlock()
	switch cause {
	case nil:
	case context.DeadlineExceeded:
		a.end(cause, cause)
	default:
		a.end(context.Canceled, cause)
	}
}

// expiresLocked says why the attempt is over, or when to look again; 0: never.
func (a *attempt) expiresLocked(now time.Time) (next time.Duration, cause error) {
	if a.err != nil {
		return 0, nil
	}
	if !a.deadline.IsZero() {
		if next = a.deadline.Sub(now); next <= 0 {
			return 0, context.DeadlineExceeded
		}
	}
	if a.stall > 0 {
		left := a.stall
		if since := a.reading.Load(); since != 0 {
			if left -= now.Sub(epoch) - time.Duration(since); left <= 0 {
				return 0, ErrStalled
			}
		}
		if next == 0 || left < next {
			next = left
		}
	}
	return next, nil
}
