package resilience_test

// Each test here holds one clause of Listener's contract.

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// listen is a listener of one function.
type listen func(ctx context.Context, e resilience.Event) context.Context

func (f listen) Handle(ctx context.Context, e resilience.Event) context.Context { return f(ctx, e) }

// goroutine is the number of the goroutine it runs on, as its stack names it.
func goroutine() string {
	buf := make([]byte, 64)
	buf = buf[:runtime.Stack(buf, false)]
	return string(buf[:slices.Index(buf, '[')])
}

func TestListenerRunsOnTheCallsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := goroutine()
		g := mustNew(t, retrying(), resilience.WithListener(listen(func(_ context.Context, e resilience.Event) context.Context {
			if here := goroutine(); here != own {
				t.Errorf("event %d on %q; want %q", e.Kind, here, own)
			}
			return nil
		})))
		if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) {
			t.Error(err)
		}
	})
}

// TestListenerHoldsNoLock: while a listener is stuck in any event, everything else
// on the guard goes on.
func TestListenerHoldsNoLock(t *testing.T) {
	for name, stuckIn := range map[string]resilience.EventKind{
		"call started": resilience.CallStarted, "attempt started": resilience.AttemptStarted, "attempt ended": resilience.AttemptEnded,
		"call ended": resilience.CallEnded, "breaker changed": resilience.BreakerChanged, "refused": resilience.Refused,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				var stuck atomic.Bool
				p := breaking()
				p.Bulkhead.Limit = 100
				g := mustNew(t, p, resilience.WithListener(listen(func(_ context.Context, e resilience.Event) context.Context {
					if e.Kind == stuckIn && stuck.CompareAndSwap(false, true) {
						<-release
					}
					return nil
				})))
				var wg sync.WaitGroup
				for range 10 { // opens the breaker, and is refused
					wg.Go(func() { _, _ = resilience.Do(t.Context(), g, fail) })
					synctest.Wait()
				}
				if err := g.Update(p); err != nil {
					t.Error(err)
				}
				if s := g.Snapshot(); s.Breaker != resilience.BreakerOpen {
					t.Errorf("%v; want open", s.Breaker)
				}
				if _, err := resilience.Do(t.Context(), g, answer); !errors.Is(err, resilience.ErrOpen) {
					t.Error(err)
				}
				if stuckIn != resilience.BreakerChanged { // changes of state wait for each other
					if err := g.Force(resilience.BreakerForcedClosed); err != nil {
						t.Error(err)
					}
				}
				close(release)
				wg.Wait()
				wantIdle(t, g)
			})
		})
	}
}

// TestListenerIsToldInOrder has a call with everything that a call can tell.
func TestListenerIsToldInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &log{}
		p := retrying()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 1, Queue: 1}
		p.Default.Retry.MaxAttempts = 2
		g := mustNew(t, p, resilience.WithListener(l))
		var wg sync.WaitGroup
		wg.Go(func() { // holds the permit
			_, _ = resilience.Do(t.Context(), g, takes(time.Second/2))
		})
		synctest.Wait()
		before := len(l.events)
		if _, err := resilience.Do(t.Context(), g, fail, resilience.FallbackValue(1)); err != nil {
			t.Error(err)
		}
		wg.Wait()
		var got []resilience.EventKind
		for _, e := range l.events[before:] {
			got = append(got, e.Kind)
		}
		want := []resilience.EventKind{
			resilience.CallStarted,
			resilience.AttemptEnded, resilience.CallEnded, // of the other call
			resilience.Waited, resilience.AttemptStarted, resilience.AttemptEnded, resilience.BackedOff,
			resilience.AttemptStarted, resilience.AttemptEnded, resilience.FellBack, resilience.CallEnded,
		}
		slices.SortStableFunc(got[:4], func(a, b resilience.EventKind) int { // the two calls are not in step
			return slices.Index(want, a) - slices.Index(want, b)
		})
		if !slices.Equal(got, want) {
			t.Errorf("got %v; want %v", got, want)
		}
	})
}

func TestListenerMayUseTheGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g atomic.Pointer[resilience.Guard]
		var inside atomic.Int32
		p := breaking()
		p.Bulkhead.Limit = 100
		guard := mustNew(t, p, resilience.WithListener(listen(func(ctx context.Context, e resilience.Event) context.Context {
			if inside.Add(1); inside.Load() > 1 {
				inside.Add(-1)
				return nil
			}
			defer inside.Add(-1)
			_, _ = resilience.Do(context.WithoutCancel(ctx), g.Load(), answer)
			_ = g.Load().Snapshot()
			if err := g.Load().Update(p); err != nil {
				t.Error(err)
			}
			return nil
		})))
		g.Store(guard)
		for range 10 {
			_, _ = resilience.Do(t.Context(), guard, fail)
		}
		wantIdle(t, guard)
	})
}

// TestListenerCannotStopACall: in each event in turn it panics, and it ends its
// goroutine. A panic changes nothing for the call; Goexit ends the goroutine, as
// it was asked to, and nothing that the call held is lost.
func TestListenerCannotStopACall(t *testing.T) {
	for kind := resilience.CallStarted; kind <= resilience.PolicyUpdated; kind++ {
		for _, way := range []string{"panic", "Goexit"} {
			synctest.Test(t, func(t *testing.T) {
				var armed atomic.Bool
				var hit atomic.Int32
				p := retrying()
				p.Bulkhead = resilience.BulkheadPolicy{Limit: 1, Queue: 2, Adaptive: &resilience.AdaptivePolicy{Objective: time.Second, Max: 1}}
				p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 2, Jitter: -1, Probes: 1, OpenFor: time.Second}
				p.Default.Retry.BaseDelay = time.Millisecond
				p.Operations = map[string]resilience.OperationPolicy{
					"hedged":   {Timeout: time.Second, Idempotent: true, Hedge: &resilience.HedgePolicy{Delay: time.Millisecond}},
					"detached": {Timeout: time.Second, Detach: true},
				}
				g := mustNew(t, p, resilience.WithListener(listen(func(_ context.Context, e resilience.Event) context.Context {
					if armed.Load() && e.Kind == kind {
						hit.Add(1)
						if way == "panic" {
							panic("bad listener")
						}
						runtime.Goexit()
					}
					return nil
				})))
				armed.Store(true)
				var wg sync.WaitGroup
				for _, on := range []resilience.Caller{g, g.Operation("hedged"), g.Operation("detached")} {
					for i, call := range []func(context.Context) (int, error){takes(10 * time.Millisecond), fail, takes(10 * time.Millisecond), fail, fail} {
						if i == 1 {
							synctest.Wait() // the first has the permit, so that others wait for it
						}
						wg.Go(func() {
							returned := false
							defer func() {
								if !returned && way == "panic" {
									t.Errorf("event %d: a listener's panic reached the call", kind)
								}
							}()
							_, _ = resilience.Do(t.Context(), on, call, resilience.FallbackValue(1))
							returned = true
						})
					}
					wg.Go(func() { _ = g.Update(p) })
					time.Sleep(3 * time.Second)
				}
				wg.Wait()
				armed.Store(false)
				time.Sleep(time.Minute)
				synctest.Wait()
				if kind != resilience.LimitChanged && hit.Load() == 0 {
					t.Errorf("event %d never came", kind)
				}
				if way == "panic" && g.Snapshot().ListenerPanics != int64(hit.Load()) {
					t.Errorf("%d panics, %d counted", hit.Load(), g.Snapshot().ListenerPanics)
				}
				wantIdle(t, g)
				if _, err := resilience.Do(t.Context(), g, answer); err != nil {
					t.Errorf("event %d, %s: afterwards %v", kind, way, err)
				}
				if s := state(g); s != resilience.BreakerClosed {
					t.Errorf("event %d, %s: %v; want closed by the probe", kind, way, s)
				}
			})
		}
	}
}

type callerKey struct{}

// TestListenerGetsTheCallsContext: also for a change of state that another
// goroutine delivers; it may be done.
func TestListenerGetsTheCallsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var mu sync.Mutex
		var by []any
		p := breaking()
		g := mustNew(t, p, resilience.WithListener(listen(func(ctx context.Context, e resilience.Event) context.Context {
			switch e.Kind {
			case resilience.PolicyUpdated:
				<-release
			case resilience.BreakerChanged:
				mu.Lock()
				defer mu.Unlock()
				if _, ok := resilience.AttemptFrom(ctx); e.To == resilience.BreakerOpen && !ok {
					t.Error("an opening without its attempt's context")
				}
				by = append(by, ctx.Value(callerKey{}))
			case resilience.CallEnded:
				if e.Err != nil && errors.Is(e.Err, context.Canceled) && ctx.Err() == nil {
					t.Error("the context of a cancelled call is not done")
				}
			}
			return nil
		})))
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := g.Update(p); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait() // it tells, and is stuck
		ctx := context.WithValue(t.Context(), callerKey{}, "who tripped it")
		for range 4 {
			if _, err := resilience.Do(ctx, g, fail); !errors.Is(err, errDown) {
				t.Error(err)
			}
		}
		close(release)
		wg.Wait()
		synctest.Wait() // the guard's own goroutine goes on with what was queued meanwhile
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		_, _ = resilience.Do(canceled, g, answer)
		if !slices.Equal(by, []any{"who tripped it"}) {
			t.Errorf("reported in the context of %v", by)
		}
	})
}
