package resilience_test

// Each test here is a defect that another library has or had; the comment names it.
// There are 21 of them; the numbers are ours, and two have two tests.

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

// halfOpen returns a guard whose circuit has just become half-open.
func halfOpen(t *testing.T, p resilience.Policy, opts ...resilience.Option) *resilience.Guard {
	t.Helper()
	g := mustNew(t, p, opts...)
	trip(t, g)
	time.Sleep(time.Until(g.Snapshot().OpenUntil))
	synctest.Wait()
	if s := state(g); s != resilience.BreakerHalfOpen {
		t.Fatalf("breaker is %v; want half-open", s)
	}
	return g
}

// TestPitfall05CallersCancellationIsNoFailure: failsafe-go, gobreaker by default,
// rubyist/circuitbreaker#42.
func TestPitfall05CallersCancellationIsNoFailure(t *testing.T) {
	ways := map[string]func(*resilience.OperationPolicy){
		"plain":    func(*resilience.OperationPolicy) {},
		"hedged":   func(o *resilience.OperationPolicy) { o.Hedge = &resilience.HedgePolicy{Delay: time.Millisecond} },
		"detached": func(o *resilience.OperationPolicy) { o.Detach = true },
	}
	for way, set := range ways {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := breaking()
				p.Default.Idempotent = true
				set(&p.Default)
				g := mustNew(t, p)
				for range 10 {
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(10*time.Millisecond, cancel)
					if _, err := resilience.Do(ctx, g, takes(time.Minute)); !errors.Is(err, context.Canceled) {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if s := g.Snapshot(); s.Calls != 0 || s.Failures != 0 || s.Breaker != resilience.BreakerClosed {
					t.Errorf("%+v", s)
				}
				// Nor does it fail, or use up, a probe.
				for range 4 {
					if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Until(g.Snapshot().OpenUntil))
				synctest.Wait()
				for range 10 {
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(10*time.Millisecond, cancel)
					if _, err := resilience.Do(ctx, g, takes(time.Minute)); !errors.Is(err, context.Canceled) {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				if s := state(g); s != resilience.BreakerHalfOpen {
					t.Fatalf("%v; want half-open", s)
				}
				for range 3 {
					if _, err := resilience.Do(t.Context(), g, answer); err != nil {
						t.Fatal(err)
					}
				}
				if s := state(g); s != resilience.BreakerClosed {
					t.Errorf("%v; want closed", s)
				}
			})
		})
	}
}

// TestPitfall06NoHerdAtHalfOpen: Polly#216, resilience4j#343, #1432. Of a crowd that waits
// for the dependency, the ramp lets 1, 2, 4 through.
func TestPitfall06NoHerdAtHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := breaking()
		p.Bulkhead.Limit = 1000
		p.Breaker.Probes = 7
		g := halfOpen(t, p)
		for _, want := range []int64{1, 2, 4} {
			var ran, refused atomic.Int64
			var crowd sync.WaitGroup
			for range 200 {
				crowd.Go(func() {
					_, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
						ran.Add(1)
						return takes(100 * time.Millisecond)(ctx)
					})
					if errors.Is(err, resilience.ErrOpen) {
						refused.Add(1)
					} else if err != nil {
						t.Error(err)
					}
				})
			}
			crowd.Wait()
			if ran.Load() != want || refused.Load() != 200-want {
				t.Errorf("%d ran, %d were refused; want %d to run", ran.Load(), refused.Load(), want)
			}
		}
		if s := state(g); s != resilience.BreakerClosed {
			t.Errorf("%v; want closed", s)
		}
	})
}

// TestPitfall06FleetDoesNotProbeInStep: open periods are spread, so that instances that
// opened together do not come back together.
func TestPitfall06FleetDoesNotProbeInStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := breaking()
		p.Breaker.Jitter = 0.2
		var least, most time.Duration
		for i := range 100 {
			g := mustNew(t, p)
			trip(t, g)
			d := time.Until(g.Snapshot().OpenUntil)
			if d < 4*time.Second || d > 6*time.Second {
				t.Fatalf("open for %v; want 4s to 6s", d)
			}
			if i == 0 {
				least, most = d, d
			}
			least, most = min(least, d), max(most, d)
		}
		if most-least < time.Second {
			t.Errorf("100 open periods lie between %v and %v", least, most)
		}
	})
}

// TestPitfall07HungProbeDoesNotWedge: resilience4j#935, sentinel-golang#196, gobreaker.
func TestPitfall07HungProbeDoesNotWedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := breaking()
		p.Breaker.ProbeTimeout = 200 * time.Millisecond
		g := halfOpen(t, p)
		release := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { <-release; return 1, nil }); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if s := state(g); s != resilience.BreakerOpen {
			t.Fatalf("%v; want open: the probe did not report", s)
		}
		time.Sleep(10 * time.Second) // the second open period
		synctest.Wait()
		for range 3 {
			if _, err := resilience.Do(t.Context(), g, answer); err != nil {
				t.Fatal(err)
			}
		}
		if s := state(g); s != resilience.BreakerClosed {
			t.Errorf("%v; want closed, though the first probe still hangs", s)
		}
		if n := g.Snapshot().InFlight; n != 1 {
			t.Errorf("%d permits; want 1, the hung probe's", n)
		}
		close(release)
		wg.Wait()
		wantIdle(t, g)
	})
}

// TestPitfall08LateResultsAreNotCounted: failsafe-go closed, with no probe finished, on 20
// late successes; resilience4j likewise; Hystrix#1350.
func TestPitfall08LateResultsAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := breaking()
		p.Bulkhead.Limit = 100
		p.Default.Timeout = time.Minute
		g := mustNew(t, p)
		var wg sync.WaitGroup
		late := func(n int, after time.Duration, err error) {
			for range n {
				wg.Go(func() {
					_, got := resilience.Do(t.Context(), g, func(context.Context) (int, error) { time.Sleep(after); return 1, err })
					if !errors.Is(got, err) {
						t.Error(got)
					}
				})
			}
			synctest.Wait()
		}
		late(20, 6*time.Second, nil)      // successes that end while half-open
		late(20, 6*time.Second, errDown)  // failures too
		late(20, 10*time.Second, errDown) // and failures that end when closed again
		trip(t, g)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s := state(g); s != resilience.BreakerHalfOpen {
			t.Fatal(s)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s := state(g); s != resilience.BreakerHalfOpen {
			t.Fatalf("%v after 40 late results; want half-open", s)
		}
		for range 3 {
			if _, err := resilience.Do(t.Context(), g, answer); err != nil {
				t.Fatal(err)
			}
		}
		wg.Wait()
		if s := g.Snapshot(); s.Breaker != resilience.BreakerClosed || s.Failures != 0 {
			t.Errorf("%+v after 20 late failures; want closed, none counted", s)
		}
	})
}

// TestPitfall09RefusalByAnotherPolicyUsesNoProbe: a call that the bulkhead, the rate limit
// or the deadline stopped has not asked the dependency anything.
func TestPitfall09RefusalByAnotherPolicyUsesNoProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := breaking()
		p.Bulkhead.Limit = 1
		p.RateLimit = &resilience.RateLimitPolicy{PerSecond: 1, Burst: 5}
		p.Default.Timeout = time.Minute
		g := mustNew(t, p)
		release := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { <-release; return 1, nil }); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		// The permit is taken; open the circuit behind its back.
		p.Bulkhead.Limit = 2
		if err := g.Update(p); err != nil {
			t.Fatal(err)
		}
		trip(t, g)
		p.Bulkhead.Limit = 1
		if err := g.Update(p); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for range 20 {
			if _, err := resilience.Do(t.Context(), g, answer); !errors.Is(err, resilience.ErrFull) {
				t.Fatalf("%v; want full", err)
			}
		}
		close(release)
		wg.Wait()
		for range 3 { // all probes, and the rate limit's tokens, are still there
			if _, err := resilience.Do(t.Context(), g, answer); err != nil {
				t.Fatal(err)
			}
		}
		if s := state(g); s != resilience.BreakerClosed {
			t.Errorf("%v; want closed", s)
		}
	})
}
