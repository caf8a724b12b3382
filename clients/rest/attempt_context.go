package rest

import (
	"context"
	"time"
)

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
func (a *attempt) Done() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done == nil {
		a.done = make(chan struct{})
		if a.err != nil {
			close(a.done)
		}
	}
	return a.done
}

// Err implements context.Context.
func (a *attempt) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// Value implements context.Context.
func (a *attempt) Value(key any) any {
	switch {
	case key == traceKey && a.trace != nil:
		return &a.trace.ClientTrace
	case key == attemptKey{}:
		return a
	}
	return a.guarded.Value(key)
}

// undone presents an attempt as the context of a request on a connection of a pool. For
// net/http it is never done: the attempt's end closes the connection, which costs
// nothing as long as the attempt does not end early.
type undone attempt

// Deadline implements context.Context.
func (u *undone) Deadline() (time.Time, bool) { return (*attempt)(u).Deadline() }

// Done implements context.Context.
func (u *undone) Done() <-chan struct{} { return nil }

// Err implements context.Context.
func (u *undone) Err() error { return (*attempt)(u).Err() }

// Value implements context.Context.
func (u *undone) Value(key any) any { return (*attempt)(u).Value(key) }

// String describes the context, as those of package context do.
func (a *attempt) String() string { return "rest.attempt" }

// ending is a function that runs when the context ends.
type ending struct {
	of *attempt
	f  func()
}

// AfterFunc is called by package context, so that its contexts attach to this one
// without a goroutine.
func (a *attempt) AfterFunc(f func()) (stop func() bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		go f() // on a goroutine, as the interface demands: the caller holds locks
		return func() bool { return false }
	}
	e := &a.first
	if e.of != nil {
		e = new(ending)
		a.more = append(a.more, e)
	}
	e.of, e.f = a, f
	return e.stop
}

func (e *ending) stop() bool {
	e.of.mu.Lock()
	defer e.of.mu.Unlock()
	had := e.f != nil
	e.f = nil
	return had
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
	if a.done != nil {
		close(a.done)
	}
	timer, stopCaller, stopGuard, conn, silence := a.timer, a.stopCaller, a.stopGuard, a.conn, a.silence
	a.conn, a.silence.conn = nil, nil
	first, more := a.first.f, a.more
	a.first.f, a.more, a.timer = nil, nil, nil
	var rest []func()
	for _, e := range more {
		if e.f != nil {
			rest = append(rest, e.f)
			e.f = nil
		}
	}
	a.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
	silence.conn.leave()
	if err == context.DeadlineExceeded {
		silence.report()
	}
	if timer != nil {
		timer.Stop()
	}
	if stopCaller != nil {
		stopCaller()
	}
	if stopGuard != nil {
		stopGuard()
	}
	if a.backend != nil {
		a.balancer.leave(a.backend)
	}
	if first != nil {
		first()
	}
	for _, f := range rest {
		f()
	}
}

// watch begins to look for stalls, which are reads that bring nothing for longer than
// the given time. Zero and negative values mean no such bound. watch reports whether
// the times of reads must be recorded. They need not be if the deadline comes first.
func (a *attempt) watch(stall time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if stall <= 0 || a.err != nil || !a.deadline.IsZero() && a.left <= stall {
		return false
	}
	a.stall = stall
	switch {
	case a.conn != nil && a.timer == nil:
		a.conn.Alarm(time.Now().Add(stall))
	case a.timer == nil:
		a.timer = time.AfterFunc(stall, a.expireByTimer)
	case a.deadline.IsZero() || stall < time.Until(a.deadline):
		a.timer.Reset(stall)
	}
	return true
}

// Arm sets a timer for the deadline, for as long as no connection watches it. It
// implements h1.User.
func (a *attempt) Arm() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer == nil && a.err == nil && !a.deadline.IsZero() {
		a.timer = time.AfterFunc(max(1, time.Until(a.deadline)), a.expireByTimer)
	}
}

// expireByTimer is called when the deadline has passed or a stall is possible. One
// timer serves both purposes, and reads do not reset it.
func (a *attempt) expireByTimer() {
	if next := a.Expire(); next > 0 {
		a.mu.Lock()
		if a.timer != nil {
			a.timer.Reset(next)
		}
		a.mu.Unlock()
	}
}

// Expire ends an attempt whose time is over. Otherwise it returns the duration after
// which to check again; zero means never. It implements h1.User.
func (a *attempt) Expire() time.Duration {
	a.mu.Lock()
	next, cause := a.expiresLocked(time.Now())
	a.mu.Unlock()
	switch cause {
	case nil:
	case context.DeadlineExceeded:
		a.end(cause, cause)
	default:
		a.end(context.Canceled, cause)
	}
	return next
}

// expiresLocked returns why the attempt is over, or when to check again; 0 means never.
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
