package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// TestARunawayNeighbourStarvesNobody: many callers of one operation, or of one tenant,
// leave the calls of another one through, whether calls may wait or not, and whatever the
// order in which waiters are served.
func TestARunawayNeighbourStarvesNobody(t *testing.T) {
	for name, b := range map[string]resilience.BulkheadPolicy{
		"a share, no queue":      {Limit: 4, MaxShare: 0.75},
		"a queue":                {Limit: 4, Queue: 20},
		"a queue, LIFO":          {Limit: 4, Queue: 20, LIFO: true},
		"a queue and a share":    {Limit: 4, Queue: 20, MaxShare: 0.75},
		"a share and adaptive":   {Limit: 4, MaxShare: 0.75, Adaptive: &resilience.AdaptivePolicy{Objective: time.Second, Max: 4}},
		"a share, LIFO, a queue": {Limit: 4, Queue: 20, LIFO: true, MaxShare: 0.75},
	} {
		for _, by := range []string{"operation", "tenant"} {
			t.Run(name+", by "+by, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := policy()
					p.Bulkhead = b
					p.Operations = map[string]resilience.OperationPolicy{"hot": {Timeout: time.Second}, "cold": {Timeout: time.Second}}
					g := mustNew(t, p)
					do := func(who string) error {
						ctx, on := t.Context(), g.Operation(who)
						if by == "tenant" {
							ctx, on = resilience.WithShareKey(ctx, who), g.Operation("hot")
						}
						_, err := resilience.Do(ctx, on, takes(10*time.Millisecond))
						if err != nil && !errors.Is(err, resilience.ErrFull) {
							t.Error(err)
						}
						return err
					}
					end := time.Now().Add(2 * time.Second)
					var all sync.WaitGroup
					for range 100 {
						all.Go(func() {
							for time.Now().Before(end) {
								if do("hot") != nil {
									time.Sleep(time.Millisecond)
								}
							}
						})
					}
					refused := 0
					for time.Sleep(5 * time.Millisecond); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
						if do("cold") != nil {
							refused++
						}
					}
					all.Wait()
					// The order of LIFO is unfair by design: some waits last too long.
					if refused > 0 && !b.LIFO || refused > 2 {
						t.Errorf("%d calls refused, of a neighbour that makes 20 calls in a second", refused)
					}
					wantIdle(t, g)
				})
			})
		}
	}
}

// TestAShareIsKept by those that run, over updates, nested calls, and however they end.
func TestAShareIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 10, MaxShare: 0.3}
		g := mustNew(t, p)
		running := func(n int) (refused int) {
			var all sync.WaitGroup
			var mu sync.Mutex
			for range n {
				all.Go(func() {
					_, err := resilience.Do(t.Context(), g, takes(time.Millisecond))
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						refused++
					}
				})
			}
			all.Wait()
			return refused
		}
		for _, c := range []struct {
			share  float64
			limit  int
			queue  int
			refuse int
		}{{0.3, 10, 0, 5}, {0.5, 10, 0, 3}, {0.01, 10, 0, 7}, {1, 4, 0, 4}, {0, 6, 0, 2}, {0.5, 10, 2, 1}, {0.25, 8, 10, 0}, {0.3, 10, 0, 5}} {
			p.Bulkhead = resilience.BulkheadPolicy{Limit: c.limit, Queue: c.queue, MaxShare: c.share}
			if err := g.Update(p); err != nil {
				t.Fatal(err)
			}
			if got := running(8); got != c.refuse {
				t.Errorf("%+v: %d of 8 refused", c, got)
			}
			wantIdle(t, g)
		}
		for range 10 { // none of these may keep its share
			func() {
				defer func() { _ = recover() }()
				_, _ = resilience.Do(t.Context(), g, func(context.Context) (int, error) { panic("x") })
			}()
			_, _ = resilience.Do(t.Context(), g, fail)
		}
		if got := running(3); got != 0 {
			t.Errorf("%d of 3 refused after panics and failures", got)
		}
	})
}

// TestAShareRefusesWithItsOwnWords, and allocates nothing for it.
func TestAShareRefusesWithItsOwnWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 4, MaxShare: 0.25}
		g := mustNew(t, p)
		defer occupy(t, g, 1)()
		_, err := resilience.Do(t.Context(), g, answer)
		if got := fmt.Sprint(err); !errors.Is(err, resilience.ErrFull) || got != "resilience: bulkhead full: dep/default: it holds its whole share of the permits, bulkhead.max_share; back off" {
			t.Error(got)
		}
	})
}

// TestASnapshotShowsSharesAndThrottle while they are on.
func TestASnapshotShowsSharesAndThrottle(t *testing.T) {
	p := policy()
	g := mustNew(t, p)
	for _, key := range []string{"a", "a", "b"} {
		permit, err := resilience.Acquire(resilience.WithShareKey(t.Context(), key), g)
		if err != nil {
			t.Fatal(err)
		}
		defer permit.Done(nil)
	}
	if s := g.Snapshot(); s.ShareKeys != 0 || s.LargestShare != 0 || s.Throttled != 0 {
		t.Errorf("both are off: %+v", s)
	}
	p.Bulkhead.MaxShare, p.Throttle = 0.9, &resilience.ThrottlePolicy{K: 1}
	g = mustNew(t, p)
	for _, key := range []string{"a", "a", "b"} {
		permit, err := resilience.Acquire(resilience.WithShareKey(t.Context(), key), g)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			permit.Done(nil)
			if s := g.Snapshot(); s.InFlight == 0 && (s.ShareKeys != 0 || s.LargestShare != 0) {
				t.Errorf("nobody holds a permit: %+v", s)
			}
		}()
	}
	if s := g.Snapshot(); s.ShareKeys != 2 || s.LargestShare != 2 || s.Throttled != 0 {
		t.Errorf("%+v", s)
	}
	for range 9 { // sent or refused, each counts as a request that was not accepted
		_, _ = resilience.Do(t.Context(), g, fail)
	}
	if s := g.Snapshot(); s.Throttled != 0.9 {
		t.Errorf("%v of the attempts are refused; want 9 of 10", s.Throttled)
	}
}
