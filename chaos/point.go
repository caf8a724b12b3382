package chaos

import (
	"context"
	"time"
)

// A Point is a place in a program where faults can be injected into calls of
// functions. Make it once with Injector.Point and keep it. It is safe for
// concurrent use. A nil Point is valid and never injects.
type Point struct {
	injector *Injector
	call     Call
	errors   map[string]error
}

// Point makes a point for calls of an operation of a dependency. errs are the
// real errors that a rule can ask for by What.Code; it may be nil. The Point of a
// nil Injector is nil.
func (i *Injector) Point(dependency, operation string, errs map[string]error) *Point {
	if i == nil {
		return nil
	}
	return &Point{injector: i, call: Call{Dependency: dependency, Operation: operation, Protocol: InProcess}, errors: errs}
}

// Do calls fn with the faults that the plan has for the call: it may wait before
// or after, fail instead, hang until the context or the fault ends, panic with an
// *InjectedError, or spoil the result. wrong makes a wrong result of a right one
// for the kind wrong_result; without it, that is the zero value.
//
// When the injector is off it costs a nil check and an atomic load. Panics and
// Goexit of fn pass through.
func Do[T any](ctx context.Context, p *Point, fn func(context.Context) (T, error), wrong ...func(T) T) (T, error) {
	if p.on() {
		fn = faulty(p, fn, wrong)
	}
	return fn(ctx)
}

// Wrap returns fn with Do around it, for guards and other code that takes a function.
func Wrap[T any](p *Point, fn func(context.Context) (T, error), wrong ...func(T) T) func(context.Context) (T, error) {
	return func(ctx context.Context) (T, error) { return Do(ctx, p, fn, wrong...) }
}

// on reports whether a fault may happen to a call.
func (p *Point) on() bool { return p != nil && p.injector.run.Load() != nil }

// faulty calls fn with the faults of one call.
func faulty[T any](p *Point, fn func(context.Context) (T, error), wrong []func(T) T) func(context.Context) (T, error) {
	return func(ctx context.Context) (T, error) { return do(ctx, p, fn, wrong) }
}

func do[T any](ctx context.Context, p *Point, fn func(context.Context) (T, error), wrong []func(T) T) (T, error) {
	var zero T
	before, err := p.before(ctx)
	if err != nil {
		return zero, err
	}
	v, err := fn(ctx)
	for _, f := range before.late {
		if e := p.injector.Sleep(ctx, f, delayOf(f)); e != nil {
			return zero, e // the caller is gone; what fn did stays done
		}
	}
	if !before.spoil || err != nil {
		return v, err
	}
	if len(wrong) == 0 {
		return zero, nil
	}
	for _, w := range wrong {
		v = w(v)
	}
	return v, nil
}

// begun holds the faults that act after the call.
type begun struct {
	late  []Fault // to wait for
	spoil bool    // the result is to be wrong
}

// before applies the faults that come before the call, and returns those that are left. If it
// returns an error, that is the result of the call, and fn must not be called.
func (p *Point) before(ctx context.Context) (left begun, err error) {
	i := p.injector
	decided, slept := false, false
	for _, f := range i.Decide(ctx, p.call) {
		waits := f.What.Kind.Waits()
		switch {
		case slept && i.Over(f):
			continue // its rule ended while the call waited by another
		case !waits && decided:
			continue // of those that do more than wait the first wins
		}
		decided = decided || !waits
		switch f.What.Kind {
		case Latency, Hang:
			i.Report(ctx, p.call, f)
			if f.What.At == "after" {
				left.late = append(left.late, f)
				continue
			}
			slept = true
			if err := i.Sleep(ctx, f, delayOf(f)); err != nil {
				return left, err
			}
		case Error:
			i.Report(ctx, p.call, f)
			err := f.Err(p.call)
			err.Err = p.errors[f.What.Code]
			return left, err
		case Panic:
			i.Report(ctx, p.call, f)
			panic(f.Err(p.call))
		case WrongResult:
			i.Report(ctx, p.call, f)
			left.spoil = true
		}
	}
	return left, nil
}

// delayOf returns how long a fault that waits delays the call.
func delayOf(f Fault) time.Duration {
	if f.What.Kind == Hang {
		return MaxTTL
	}
	return f.Delay
}

// Clock returns now with the skew of the open rules of kind clock_skew. A nil now stands
// for time.Now; the Clock of a nil Point is now itself. A clock has no calls and no
// requests, so only where, the window and what of such a rule have an effect. Listeners get
// one event, with ctx, when the clock is first read with the skew.
func (p *Point) Clock(ctx context.Context, now func() time.Time) func() time.Time {
	if now == nil {
		now = time.Now
	}
	if p == nil {
		return now
	}
	call := p.call
	return func() time.Time {
		t := now()
		r := p.injector.run.Load()
		if r == nil || r.lapsed() {
			return t
		}
		elapsed := r.elapsed()
		for _, rule := range r.rules {
			if rule.What.Kind == ClockSkew && rule.open(elapsed) && rule.Where.matches(&call) {
				t = t.Add(rule.What.Skew)
				if rule.done.Add(1) == 1 {
					p.injector.Report(ctx, call, Fault{Rule: rule.name, What: rule.What, Ends: rule.to})
				}
			}
		}
		return t
	}
}
