package resilience

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/resilience/internal/clock"
)

// Panic is the value with which Do panics if the call panicked on a goroutine other
// than the caller's, because it was hedged, coalesced or detached. A call on the
// caller's goroutine panics with its own value.
type Panic struct {
	// Value is what the call panicked with.
	Value any
	// Stack is the stack of the goroutine that panicked.
	Stack []byte
}

// Error returns the value and the original stack.
func (p *Panic) Error() string { return fmt.Sprintf("%v\n\n%s", p.Value, p.Stack) }

// Unwrap returns the value if it is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// panicOf keeps what was recovered, and the stack below the recovering function.
func panicOf(recovered any) *Panic {
	if p, ok := recovered.(*Panic); ok {
		return p // it has already crossed one goroutine
	}
	return &Panic{Value: recovered, Stack: debug.Stack()}
}

// value returns what the caller panics with. That is the Panic, except for
// http.ErrAbortHandler, which net/http recognizes by identity: it asks to end a
// response silently.
func (p *Panic) value() any {
	if err, ok := p.Value.(error); ok && err.Error() == "net/http: abort Handler" {
		return err // http.ErrAbortHandler, without importing net/http
	}
	return p
}

// outcome is how a call on another goroutine ended.
type outcome[T any] struct {
	attempt  *attempt
	value    T
	err      error
	verdict  Verdict
	panicked *Panic
	exited   bool // by runtime.Goexit
}

// resume continues on the caller's goroutine as the call ended on its own: it returns,
// panics or exits.
func (o *outcome[T]) resume() {
	switch {
	case o.panicked != nil:
		panic(o.panicked.value())
	case o.exited:
		runtime.Goexit()
	}
}

// spawn runs the call on a separate goroutine and passes its outcome to done, however
// the call ends.
func spawn[T any](a *attempt, call func(context.Context) (T, error), done func(outcome[T])) {
	launched := false
	defer func() {
		if !launched { // a listener ended this goroutine
			a.abandon()
		}
	}()
	if a.cfg.listens() {
		a.emitStart()
	}
	launched = true
	a.cfg.guard.clock.Go(func() {
		o := outcome[T]{attempt: a, exited: true, verdict: abandoned}
		defer func() { done(o) }()
		defer func() {
			if p := recover(); p != nil {
				o.panicked, o.exited = panicOf(p), false
			}
		}()
		o.value, o.verdict, o.err = invoke(a, call, false)
		o.exited = false
	})
}

// lose disposes of an outcome for which nobody waits.
func (o *outcome[T]) lose(dispose func(T)) {
	g := o.attempt.cfg.guard
	if o.panicked != nil {
		g.lostPanics.Add(1)
	}
	if o.panicked == nil && !o.exited && o.err == nil {
		discard(g, o.value, dispose)
	}
}

// discard passes a value that nobody will see to dispose. A panic in dispose is
// counted.
func discard[T any](g *Guard, v T, dispose func(T)) {
	if dispose == nil {
		return
	}
	defer func() {
		if recover() != nil {
			g.lostPanics.Add(1)
		}
	}()
	dispose(v)
}

// detached runs the call on a separate goroutine. It returns at the attempt's deadline
// or when the caller cancels, even if the call continues.
//
//	runs ──(the work ended)──▶ its end is the caller's: value, error, panic, Goexit
//	runs ──(the deadline came, or the caller left)──▶ left: judged now, a value is disposed of later
//	left ──(the work ended)──▶ permit and probe come back
//
// Observed: the first of the two ends. What the attempt holds stays with the work until
// the work ends.
func detached[T any](r *run, a *attempt, call func(context.Context) (T, error), dispose func(T)) (v T, verdict Verdict, err error) {
	const (
		waiting int32 = iota
		gone
		ended
	)
	var state atomic.Int32
	result := make(chan outcome[T], 1)
	spawn(a, call, func(o outcome[T]) {
		if state.CompareAndSwap(waiting, ended) {
			clock.Send(a.cfg.guard.clock, result, o)
		} else {
			o.lose(dispose)
		}
	})
	o, left := clock.Recv(r.ctx, a.cfg.guard.clock, result, time.Duration(a.end-a.start))
	if left != nil { // nobody answered
		o.err = endOf(r.ctx)
		switch {
		case left != clock.ErrExpired:
		case a.theirs:
			o.err = r.timeUp()
		default:
			o.err = context.DeadlineExceeded
		}
		if state.CompareAndSwap(waiting, gone) {
			now := a.cfg.guard.now()
			verdict = a.judge(o.err, now)
			a.report(now, o.err, verdict)
			if a.cfg.listens() {
				a.emitEnd(o.err, verdict, false)
			}
			return v, verdict, o.err
		}
		o = <-result
	}
	if a.cfg.listens() {
		a.emitEnd(o.failure(), o.verdict, true)
	}
	o.resume()
	return o.value, o.verdict, o.err
}

// failure returns the error of the outcome as listeners see it.
func (o *outcome[T]) failure() error {
	switch {
	case o.panicked != nil:
		return o.panicked
	case o.exited:
		return errAbandoned
	}
	return o.err
}
