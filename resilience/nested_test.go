package resilience_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// TestNestedCallsDoNotWaitForEachOther: each call held the permit that the other's nested
// call waited for, until all of them had timed out.
func TestNestedCallsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 4, Queue: 10}
		p.Default.Timeout = 5 * time.Second
		g := mustNew(t, p)
		began := time.Now()
		var most atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
					time.Sleep(time.Millisecond)
					most.Store(max(most.Load(), int64(g.Snapshot().InFlight)))
					res, err := resilience.Do(ctx, g, func(ctx context.Context) (int, error) {
						res, err := resilience.Do(ctx, g, answer) // deeper still
						return res.Value, err
					})
					return res.Value, err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took > 10*time.Millisecond || most.Load() > 4 {
			t.Errorf("took %v, with %d permits in use", took, most.Load())
		}
		wantIdle(t, g)
	})
}

// TestAPermitIsLentOnce: of two nested calls at once the second is refused, at once, and
// the refusal says nothing of the dependency but lets a fallback stand in.
func TestAPermitIsLentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 1, Queue: 10}
		p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 100}
		g := mustNew(t, p)
		began := time.Now()
		res, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
			res, err := resilience.Do(ctx, g, func(context.Context) (int, error) {
				res, err := resilience.Do(ctx, g, answer) // the context of the outermost
				return res.Value, err
			})
			return res.Value, err
		}, resilience.FallbackValue(7))
		if err != nil || res.Value != 7 || !errors.Is(res.Cause, resilience.ErrFull) || time.Since(began) > 0 {
			t.Errorf("%+v, %v after %v", res, err, time.Since(began))
		}
		if s := g.Snapshot(); s.Failures != 0 {
			t.Errorf("%d failures", s.Failures)
		}
		wantIdle(t, g)
	})
}

// TestAProbeMayNest: the nested call of a probe was refused, because a probe was running.
func TestAProbeMayNest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 1, OpenFor: time.Second, Jitter: -1, Probes: 1}
		g := mustNew(t, p)
		if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
			res, err := resilience.Do(ctx, g, answer)
			return res.Value, err
		}); err != nil || g.Snapshot().Breaker != resilience.BreakerClosed {
			t.Errorf("%v, breaker %v", err, g.Snapshot().Breaker)
		}
		wantIdle(t, g)
	})
}

// TestHeldWorkCanFailLate: a probe whose body breaks off in the middle has not succeeded.
func TestHeldWorkCanFailLate(t *testing.T) {
	for _, late := range []error{nil, errDown, context.Canceled} {
		synctest.Test(t, func(t *testing.T) {
			p := policy()
			p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 1, OpenFor: time.Second, Jitter: -1, Probes: 1}
			g := mustNew(t, p)
			if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			res, err := resilience.Do(t.Context(), g, func(ctx context.Context) (func(error), error) {
				return resilience.Hold(ctx), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			res.Value(late)
			res.Value(nil)
			want := resilience.BreakerClosed
			if late != nil {
				want = resilience.BreakerOpen
			}
			if s := g.Snapshot(); s.Breaker != want || s.InFlight != 0 {
				t.Errorf("%v: breaker %v, %d in flight; want %v", late, s.Breaker, s.InFlight, want)
			}
		})
	}
}
