package clock

import (
	"context"
	"time"
)

// ending is a context with a deadline on a virtual clock.
type ending struct {
	context.Context // the parent
	at              time.Time
	done            chan struct{}
	err             error
	// then holds what to do at the end, by number, in order.
	then []func()
}

// endKey is the key of the innermost ending in a context.
type endKey struct{}

func (c *Clock) withDeadline(parent context.Context, at time.Time) (context.Context, context.CancelFunc) {
	e := &ending{Context: parent, at: at, done: make(chan struct{})}
	if d, ok := parent.Deadline(); ok && d.Before(at) {
		e.at = d
	}
	drop := func() {}
	if outer, ok := parent.Value(endKey{}).(*ending); ok {
		drop = outer.add(func() { e.end(outer.err) })
	}
	timer := c.AfterFunc(e.at.Sub(c.Now()), func() {
		drop()
		e.end(context.DeadlineExceeded)
	})
	return e, func() {
		timer.Stop()
		drop()
		e.end(context.Canceled)
	}
}

// add makes f run at the end, or at once if the end has passed. The returned function
// cancels that.
func (e *ending) add(f func()) (drop func()) {
	if e.err != nil {
		f()
		return func() {}
	}
	i := len(e.then)
	e.then = append(e.then, f)
	return func() {
		if e.err == nil {
			e.then[i] = func() {}
		}
	}
}

func (e *ending) end(err error) {
	if e.err != nil {
		return
	}
	e.err = err
	close(e.done)
	for _, f := range e.then {
		f()
	}
	e.then = nil
}

// Deadline implements context.Context.
func (e *ending) Deadline() (time.Time, bool) { return e.at, true }

// Done implements context.Context.
func (e *ending) Done() <-chan struct{} { return e.done }

// Err implements context.Context.
func (e *ending) Err() error { return e.err }

// Value implements context.Context.
func (e *ending) Value(key any) any {
	if _, ok := key.(endKey); ok {
		return e
	}
	return e.Context.Value(key)
}
