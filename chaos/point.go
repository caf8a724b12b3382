package chaos

import (
	"context"
	"time"
)

// A Point is a place in a program where faults can be injected into calls of
// functions. Make it once with Injector.Point and keep it. It is safe for
// concurrent use; nil is valid and never injects.
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

// Wrap is fn with Do around it, for guards and others that take a function.
func Wrap[T any](p *Point, fn func(context.Context) (T, error), wrong ...func(T) T) func(context.Context) (T, error) {
	return func(ctx context.Context) (T, error) { return Do(ctx, p, fn, wrong...) }
}

// on says whether anything may happen to a call.
func (p *Point) on() bool { return p != nil && p.injector.run.Load() != nil }

// faulty is fn with the faults of one call.
func faulty[T any](p *Point, fn func(context.Context) (T, error), wrong []func(T) T) func(context.Context) (T, error) {
	return func(ctx context.Context) (T, error) { return do(ctx, p, fn, wrong) }
}

func do[T any](ctx context.Context, p *Point, fn func(context.Context) (T, error), wrong []func(T) T) (T, error) {
	var zero T
	i := p.injector
	var late []Fault
	spoil, decided, slept := false, false, false
	for _, f := range i.Decide(ctx, p.call) {
		if slept && i.Over(f) {
			continue // its rule ended while the call waited by another
		}
		if !f.What.Kind.Waits() && decided {
			continue // of those that do more than wait the first wins
		}
		decided = decided || !f.What.Kind.Waits()
		switch f.What.Kind {
		case Latency:
			i.Report(ctx, p.call, f)
			if f.What.At == "after" {
				late = append(late, f)
				continue
			}
			slept = true
			if err := i.Sleep(ctx, f, f.Delay); err != nil {
				return zero, err
			}
		case Error:
			i.Report(ctx, p.call, f)
			err := f.Err(p.call)
			err.Err = p.errors[f.What.Code]
			return zero, err
		case Hang:
			i.Report(ctx, p.call, f)
			if f.What.At == "after" {
				late = append(late, f)
				continue
			}
			if err := i.Sleep(ctx, f, MaxTTL); err != nil {
				return zero, err
			}
		case Panic:
			i.Report(ctx, p.call, f)
			panic(f.Err(p.call))
		case WrongResult:
			i.Report(ctx, p.call, f)
			spoil = true
		}
	}
	v, err := fn(ctx)
	for _, f := range late {
		d := f.Delay
		if f.What.Kind == Hang {
			d = MaxTTL
		}
		if e := i.Sleep(ctx, f, d); e != nil {
			return zero, e // the caller is gone; what fn did stays done
		}
	}
	if spoil && err == nil {
		if len(wrong) == 0 {
			return zero, nil
		}
		for _, w := range wrong {
			v = w(v)
		}
	}
	return v, err
}

// Clock is now with the skew of the rules of kind clock_skew that are open. A
// nil now is time.Now; the Clock of a nil Point is now itself. Listeners get ctx. A clock has no
// calls and no requests, so that of such a rule only where, the window and what
// count. Listeners get one event, when the clock is first read with the skew.
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
