package resiliencetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// ErrScript is the error of a Dependency that was made wrongly: without steps.
var ErrScript = errors.New("resiliencetest: a dependency without steps")

// Step is what a Dependency does with one call, or with several in a row. It is a
// value; its methods return changed copies.
type Step[T any] struct {
	value    T
	err      error
	panics   any
	unwinds  bool // it panics with panics, which may be nil
	takes    time.Duration
	hangs    bool
	stubborn bool
	times    int
}

// Answer is a step that returns v.
func Answer[T any](v T) Step[T] { return Step[T]{value: v, times: 1} }

// Fail is a step that returns err.
func Fail[T any](err error) Step[T] { return Step[T]{err: err, times: 1} }

// Panic is a step that panics with v.
func Panic[T any](v any) Step[T] { return Step[T]{panics: v, unwinds: true, times: 1} }

// Hang is a step that waits until its context ends, or until Release, and then
// returns the context's error, or the zero value.
func Hang[T any]() Step[T] { return Step[T]{hangs: true, times: 1} }

// After makes the step take d first. It ends earlier, with the context's error, if
// the context does.
func (s Step[T]) After(d time.Duration) Step[T] { s.takes = d; return s }

// Times makes the step answer n calls in a row. Zero or less: all calls from then on.
func (s Step[T]) Times(n int) Step[T] { s.times = n; return s }

// Stubborn makes the step ignore its context, as much real code does.
func (s Step[T]) Stubborn() Step[T] { s.stubborn = true; return s }

// Call is one call that a Dependency got.
type Call struct {
	// Start and End are when it came and when it was answered; End is the zero time
	// while it runs.
	Start, End time.Time
	// Deadline is its context's; the zero time for none.
	Deadline time.Time
	// Err is what it was answered with.
	Err error
}

// Dependency answers calls as its steps say, one after the other; the last step
// goes on for ever. It is safe for concurrent use and needs no closing. The zero
// value answers ErrScript.
type Dependency[T any] struct {
	mu       sync.Mutex
	steps    []Step[T]
	calls    []Call
	running  int
	most     int
	released chan struct{}
}

// NewDependency returns a dependency with a script.
func NewDependency[T any](steps ...Step[T]) *Dependency[T] {
	return &Dependency[T]{steps: steps, released: make(chan struct{})}
}

// Then appends steps to the script, after those that were not yet used up.
func (d *Dependency[T]) Then(steps ...Step[T]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.steps = append(d.steps, steps...)
}

// Release ends every Hang, also those to come.
func (d *Dependency[T]) Release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.releasedLocked():
	default:
		close(d.released)
	}
}

// releasedLocked is closed by Release. The zero value makes it on demand.
func (d *Dependency[T]) releasedLocked() chan struct{} {
	if d.released == nil {
		d.released = make(chan struct{})
	}
	return d.released
}

// Call is the guarded function: pass it to resilience.Do.
func (d *Dependency[T]) Call(ctx context.Context) (v T, err error) {
	s, n, released := d.begin(ctx)
	err = errUnwound
	defer func() { d.end(n, err) }()
	done := ctx.Done()
	if s.stubborn {
		done = nil
	}
	if s.takes > 0 {
		timer := time.NewTimer(s.takes)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-done:
			err = ctx.Err()
			return v, err
		}
	}
	if s.hangs {
		select {
		case <-released:
		case <-done:
			err = ctx.Err()
			return v, err
		}
	}
	if s.unwinds {
		panic(s.panics)
	}
	v, err = s.value, s.err
	return v, err
}

// errUnwound is Call.Err of a step that panicked.
var errUnwound = errors.New("resiliencetest: the call panicked")

func (d *Dependency[T]) begin(ctx context.Context) (s Step[T], n int, released chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := Call{Start: time.Now()}
	c.Deadline, _ = ctx.Deadline()
	d.calls = append(d.calls, c)
	d.running++
	d.most = max(d.most, d.running)
	if len(d.steps) == 0 {
		return Fail[T](ErrScript), len(d.calls) - 1, d.releasedLocked()
	}
	s = d.steps[0]
	if s.times > 0 && len(d.steps) > 1 {
		if d.steps[0].times--; d.steps[0].times == 0 {
			d.steps = d.steps[1:]
		}
	}
	return s, len(d.calls) - 1, d.releasedLocked()
}

func (d *Dependency[T]) end(n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running--
	d.calls[n].End, d.calls[n].Err = time.Now(), err
}

// Calls returns the calls so far, in the order they came.
func (d *Dependency[T]) Calls() []Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Call(nil), d.calls...)
}

// Running returns how many calls run now, and how many ever ran at once.
func (d *Dependency[T]) Running() (now, most int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.running, d.most
}

// WantCalls fails the test unless the dependency got n calls.
func (d *Dependency[T]) WantCalls(tb testing.TB, n int) {
	tb.Helper()
	if calls := d.Calls(); len(calls) != n {
		tb.Errorf("the dependency got %d calls; want %d: %+v", len(calls), n, calls)
	}
}

// WantAtMostAtOnce fails the test if more than n calls ran at the same time.
func (d *Dependency[T]) WantAtMostAtOnce(tb testing.TB, n int) {
	tb.Helper()
	if _, most := d.Running(); most > n {
		tb.Errorf("%d calls ran at once; want at most %d", most, n)
	}
}
