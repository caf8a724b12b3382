package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/resilience"
)

var errCause = errors.New("the caller's cause")

// scene is one attempt, and what happens around it. Deadlines, cancellations and work
// never end at the same moment.
type scene struct {
	begins, timeout time.Duration
	canceled        time.Duration // when the caller cancels; 0: never
	deadline        time.Duration // the caller's own; 0: none
	work            time.Duration
	nested          bool // the caller is itself an attempt of the guard
	wrapped         bool // the caller's context has a value
	child           bool // the work waits on a context that derives from the attempt's
	polls           bool // the work asks Err and never waits on Done
}

func drawScene(t *rapid.T) scene {
	tens := func(label string, from, to int, plus time.Duration) time.Duration {
		return time.Duration(rapid.IntRange(from, to).Draw(t, label))*10*time.Millisecond + plus
	}
	s := scene{
		begins: tens("begins", 0, 10, 0), timeout: tens("timeout", 1, 5, 0), work: tens("work", 0, 8, 5*time.Millisecond),
		nested: rapid.Bool().Draw(t, "nested"), wrapped: rapid.Bool().Draw(t, "wrapped"),
		child: rapid.Bool().Draw(t, "child"), polls: rapid.Bool().Draw(t, "polls"),
	}
	if rapid.Bool().Draw(t, "is canceled") {
		s.canceled = tens("canceled", 0, 8, 3*time.Millisecond)
	}
	if rapid.Bool().Draw(t, "has a deadline") {
		s.deadline = tens("deadline", 0, 8, 7*time.Millisecond)
	}
	return s
}

// seen is what the work of a scene sees of its context.
type seen struct {
	after      time.Duration
	err, cause error
	childErr   error
	childCause error
}

func (s seen) String() string {
	return fmt.Sprint(s.after, ", ", s.err, ", ", s.cause, ", child ", s.childErr, ", ", s.childCause)
}

// observe waits as the work of the scene does, and returns what it saw.
func (s scene) observe(ctx context.Context) (o seen) {
	start := time.Now()
	child, cancel := ctx, context.CancelFunc(func() {})
	if s.child {
		child, cancel = context.WithCancel(ctx)
	}
	defer cancel()
	if s.polls {
		time.Sleep(500 * time.Microsecond)
		for ctx.Err() == nil && time.Since(start) < s.work {
			time.Sleep(time.Millisecond)
		}
	} else {
		select {
		case <-child.Done():
		case <-time.After(s.work):
		}
	}
	time.Sleep(time.Microsecond) // contexts that derive from others may end a moment later
	return seen{time.Since(start), ctx.Err(), context.Cause(ctx), child.Err(), context.Cause(child)}
}

// run makes the caller's context and calls do with it; what do returns is compared.
func (s scene) run(ctx context.Context, do func(context.Context) (seen, context.Context)) (o, later seen) {
	time.Sleep(s.begins)
	caller, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if s.canceled > 0 {
		defer time.AfterFunc(s.canceled, func() { cancel(errCause) }).Stop()
	}
	if s.deadline > 0 {
		var stop context.CancelFunc
		caller, stop = context.WithTimeoutCause(caller, s.deadline, errCause)
		defer stop()
	}
	if s.wrapped {
		caller = context.WithValue(caller, scene{}, "value")
	}
	o, kept := do(caller)
	// Whatever happens to the caller later, what was said of the attempt stays.
	cancel(errors.New("later"))
	time.Sleep(time.Microsecond)
	return o, seen{0, kept.Err(), context.Cause(kept), nil, nil}
}

// TestAnAttemptEndsAsAContextDoes has many attempts of one guard at once, each of which
// must end when, and with the error and the cause with which, a context of the standard
// library ends that has the same parent and the same timeout.
func TestAnAttemptEndsAsAContextDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		scenes := rapid.SliceOfN(rapid.Custom(drawScene), 1, 12).Draw(rt, "scenes")
		synctest.Test(t, func(t *testing.T) {
			p := policy()
			p.Bulkhead.Limit = 1000
			p.Operations = map[string]resilience.OperationPolicy{"outer": {Timeout: time.Hour}}
			for _, s := range scenes {
				p.Operations[s.timeout.String()] = resilience.OperationPolicy{Timeout: s.timeout}
			}
			g := mustNew(t, p)
			var wg sync.WaitGroup
			for _, s := range scenes {
				wg.Go(func() {
					want, wantLater := s.run(t.Context(), func(ctx context.Context) (seen, context.Context) {
						ctx, cancel := context.WithTimeout(ctx, s.timeout)
						defer cancel()
						return s.observe(ctx), ctx
					})
					got, gotLater := s.run(t.Context(), func(ctx context.Context) (o seen, kept context.Context) {
						inner := func(ctx context.Context) error {
							return resilience.Run(ctx, g.Operation(s.timeout.String()), func(ctx context.Context) error {
								o, kept = s.observe(ctx), ctx
								return ctx.Err()
							})
						}
						if s.nested {
							_ = resilience.Run(ctx, g.Operation("outer"), inner)
						} else {
							_ = inner(ctx)
						}
						return o, kept
					})
					if got != want {
						rt.Errorf("%+v:\n got %v\nwant %v", s, got, want)
					}
					if gotLater.err != wantLater.err || got.err != nil && gotLater.cause != want.cause {
						rt.Errorf("%+v: later\n got %v\nwant %v", s, gotLater, wantLater)
					}
				})
			}
			wg.Wait()
			wantIdle(t, g)
		})
	})
}
