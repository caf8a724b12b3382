package resilience_test

import (
	"errors"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// TestRefusingAllocatesNothing has each refusal that does not wait, and the happy
// path with everything on, which allocates the attempt and nothing else.
func TestRefusingAllocatesNothing(t *testing.T) {
	forced := full()
	forced.Breaker.Mode = resilience.BreakerForcedOpen
	limited := full()
	limited.RateLimit = &resilience.RateLimitPolicy{PerSecond: 1e-9, Burst: 1}
	closed := mustNew(t, full())
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	adaptive := full()
	adaptive.Bulkhead = resilience.BulkheadPolicy{Limit: 1000, Adaptive: &resilience.AdaptivePolicy{Objective: time.Hour, Max: 1000}}
	spent := mustNew(t, limited)
	if _, err := resilience.Do(t.Context(), spent, answer); err != nil {
		t.Fatal(err)
	}
	quota := full()
	quota.Breaker, quota.Throttle = nil, &resilience.ThrottlePolicy{K: 1}
	throttled := mustNew(t, quota)
	for range 500_000 { // until chance lets none of those below through
		_, _ = resilience.Do(t.Context(), throttled, fail)
	}
	shared := full()
	shared.Bulkhead = resilience.BulkheadPolicy{Limit: 4, MaxShare: 0.5}
	hogged := mustNew(t, shared)
	for range 2 {
		permit, err := resilience.Acquire(t.Context(), hogged)
		if err != nil {
			t.Fatal(err)
		}
		defer permit.Done(nil)
	}
	for _, c := range []struct {
		name   string
		on     *resilience.Guard
		want   error
		allocs float64
	}{
		{"success", mustNew(t, full()), nil, 1},
		{"success under an adaptive limit", mustNew(t, adaptive), nil, 1},
		{"open", openGuard(t), resilience.ErrOpen, 0},
		{"forced open", mustNew(t, forced), resilience.ErrOpen, 0},
		{"full", fullGuard(t), resilience.ErrFull, 0},
		{"rate limited", spent, resilience.ErrRateLimited, 0},
		{"throttled", throttled, resilience.ErrThrottled, 0},
		{"share used up", hogged, resilience.ErrFull, 0},
		{"closed", closed, resilience.ErrClosed, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			allocs := testing.AllocsPerRun(200, func() {
				if _, err := resilience.Do(ctx, c.on, answer); !errors.Is(err, c.want) {
					t.Fatal(err)
				}
			})
			if allocs > c.allocs {
				t.Errorf("%v allocations; want %v", allocs, c.allocs)
			}
			// A fallback costs nothing more.
			allocs = testing.AllocsPerRun(200, func() {
				if _, err := resilience.Do(ctx, c.on, answer, resilience.Fallback(zero)); err != nil {
					t.Fatal(err)
				}
			})
			if allocs > c.allocs {
				t.Errorf("%v allocations with a fallback; want %v", allocs, c.allocs)
			}
		})
	}
}
