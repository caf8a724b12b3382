package resilience_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// TestUpdateConcurrentSafe changes the policy, the breaker's mode and the shadow
// again and again while calls of every kind run. Nothing may race, leak or hang,
// and each call ends in one way.
func TestUpdateConcurrentSafe(t *testing.T) {
	variants := []func(*resilience.Policy){
		func(p *resilience.Policy) {},
		func(p *resilience.Policy) {
			p.Bulkhead = resilience.BulkheadPolicy{Limit: 3, Queue: 5, LIFO: true, Adaptive: &resilience.AdaptivePolicy{Objective: time.Second}}
		},
		func(p *resilience.Policy) { p.Bulkhead = resilience.BulkheadPolicy{Limit: 50} },
		func(p *resilience.Policy) { p.Breaker = nil },
		func(p *resilience.Policy) {
			p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 1, OpenFor: time.Millisecond, Window: time.Second, Probes: 2}
		},
		func(p *resilience.Policy) {
			p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 2, OpenFor: time.Millisecond, Probes: 7}
		},
		func(p *resilience.Policy) { p.RateLimit = &resilience.RateLimitPolicy{PerSecond: 10_000} },
		func(p *resilience.Policy) { p.Budget = &resilience.BudgetPolicy{Ratio: 1, Burst: 100} },
		func(p *resilience.Policy) { p.Operations = nil },
	}
	base := func() resilience.Policy {
		return resilience.Policy{
			Name:     "dep",
			Bulkhead: resilience.BulkheadPolicy{Limit: 8, Queue: 8},
			Breaker:  &resilience.BreakerPolicy{MinimumCalls: 10, OpenFor: time.Millisecond},
			Default:  resilience.OperationPolicy{Timeout: 100 * time.Millisecond, AttemptTimeout: 20 * time.Millisecond, Idempotent: true, Retry: &resilience.RetryPolicy{BaseDelay: time.Millisecond}},
			Operations: map[string]resilience.OperationPolicy{
				"hedged":   {Timeout: 50 * time.Millisecond, Idempotent: true, Hedge: &resilience.HedgePolicy{Delay: time.Millisecond, Quantile: 0.9}},
				"detached": {Timeout: 20 * time.Millisecond, Detach: true, Criticality: resilience.Sheddable},
				"stale":    {Timeout: 20 * time.Millisecond, Stale: &resilience.StalePolicy{MaxAge: time.Minute, FreshFor: 2 * time.Millisecond, RefreshAhead: time.Millisecond}},
			},
		}
	}
	l := &log{}
	g := mustNew(t, base(), resilience.WithListener(l))
	memory := resilience.NewLastGood[int](4)
	var stop atomic.Bool
	var workers, changers sync.WaitGroup
	var ended atomic.Int64
	for i := range 8 {
		workers.Go(func() {
			chance := rand.New(rand.NewPCG(uint64(i), 1))
			call := func(ctx context.Context) (int, error) {
				switch chance := rand.IntN(20); {
				case chance == 0:
					panic("bad call")
				case chance == 1:
					defer resilience.Hold(ctx)(nil)
				case chance == 2:
					return takes(5 * time.Millisecond)(ctx)
				case chance < 8:
					return 0, errDown
				}
				return 1, nil
			}
			operations := []resilience.Caller{g, g.Operation("hedged"), g.Operation("detached"), g.Operation("stale")}
			for !stop.Load() {
				func() {
					defer func() {
						_ = recover()
						ended.Add(1)
					}()
					on := operations[chance.IntN(len(operations))]
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+chance.IntN(200))*time.Millisecond)
					defer cancel()
					opts := [][]resilience.CallOption[int]{nil, {resilience.Coalesce[int]("k")}, {resilience.FallbackValue(3)}}
					if on == operations[len(operations)-1] {
						opts = append(opts, []resilience.CallOption[int]{memory.For("a")})
					}
					_, err := resilience.Do(ctx, on, call, opts[chance.IntN(len(opts))]...)
					known := err == nil || errors.Is(err, errDown) || errors.Is(err, resilience.ErrRefused) || errors.Is(err, context.DeadlineExceeded) ||
						errors.Is(err, context.Canceled) || errors.Is(err, resilience.ErrPolicy)
					if !known {
						t.Error(err)
					}
					if errors.Is(err, resilience.ErrPolicy) { // no such operation just now: not a call
						ended.Add(-1)
					}
				}()
			}
		})
	}
	for i := range 2 {
		changers.Go(func() {
			chance := rand.New(rand.NewPCG(uint64(i), 2))
			for range 150 {
				p := base()
				variants[chance.IntN(len(variants))](&p)
				if err := g.Update(p); err != nil {
					t.Error(err)
				}
				switch chance.IntN(6) {
				case 0:
					if s, err := g.Shadow(p); err != nil {
						t.Error(err)
					} else if s.Report().Dependency != "dep" {
						t.Error(s.Report())
					}
				case 1:
					mode := []resilience.BreakerMode{resilience.BreakerAuto, resilience.BreakerForcedClosed, resilience.BreakerDisabled}[chance.IntN(3)]
					if err := g.Force(mode); err != nil && !errors.Is(err, resilience.ErrPolicy) {
						t.Error(err)
					}
				}
				_ = g.Snapshot()
				runtime.Gosched()
			}
		})
	}
	changers.Wait()
	stop.Store(true)
	workers.Wait()
	// Detached and hedged work may still be ending.
	limit := time.After(time.Minute)
	for g.Snapshot().InFlight > 0 {
		select {
		case <-limit:
			t.Fatalf("%+v after a minute", g.Snapshot())
		case <-time.After(time.Millisecond):
		}
	}
	wantIdle(t, g)
	if n := len(l.of(resilience.CallEnded)); int64(n) != ended.Load() || n != len(l.of(resilience.CallStarted)) {
		t.Errorf("%d calls, %d reported as started, %d as ended", ended.Load(), len(l.of(resilience.CallStarted)), n)
	}
	// Whatever happened, the guard works.
	if err := g.Update(policy()); err != nil {
		t.Fatal(err)
	}
	if _, err := resilience.Do(t.Context(), g, answer); err != nil {
		t.Error(err)
	}
}
