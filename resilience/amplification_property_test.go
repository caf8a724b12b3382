package resilience_test

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"pgregory.net/rapid"
)

// layer is one guard of a stack, and what the property test knows of its policy.
type layer struct {
	ratio    float64
	burst    int
	attempts int
	hedges   int // 0: none
}

var layers = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) layer {
	return layer{
		ratio:    float64(rapid.IntRange(1, 100).Draw(t, "ratio")) / 100,
		burst:    rapid.IntRange(1, 10).Draw(t, "burst"),
		attempts: rapid.IntRange(2, 5).Draw(t, "attempts"),
		hedges:   rapid.IntRange(0, 2).Draw(t, "hedges"),
	}
}), 1, 4)

func (l layer) policy() resilience.Policy {
	p := policy()
	p.Bulkhead.Limit = 10_000
	p.Budget = &resilience.BudgetPolicy{Ratio: l.ratio, Burst: l.burst}
	p.Default = resilience.OperationPolicy{
		Timeout: time.Minute, AttemptTimeout: 10 * time.Second, Idempotent: true,
		Retry: &resilience.RetryPolicy{MaxAttempts: l.attempts, BaseDelay: time.Millisecond},
	}
	if l.hedges > 0 {
		p.Default.Hedge = &resilience.HedgePolicy{Delay: 2 * time.Millisecond, MaxHedges: l.hedges}
	}
	return p
}

// TestAmplificationAddsUpOverLayers: through a stack of guards that all repeat, n
// requests become at most (1 + the sum of ratios) x n + the sum of bursts attempts
// at the bottom, and each guard keeps to its own bound, whatever the dependency
// does: it answers, fails and is slow as drawn, to requests that run side by side.
func TestAmplificationAddsUpOverLayers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		stack := layers.Draw(rt, "layers")
		n := rapid.IntRange(1, 60).Draw(rt, "requests")
		fails := rapid.IntRange(0, 100).Draw(rt, "percent that fails")
		slow := rapid.IntRange(0, 100).Draw(rt, "percent that is slow")
		seed := rapid.Uint64().Draw(rt, "seed")
		synctest.Test(t, func(t *testing.T) {
			var bottom atomic.Int64
			call := func(ctx context.Context) (int, error) {
				// What the dependency does depends on nothing but the number of the call.
				chance := (uint64(bottom.Add(1)) ^ seed) * 0x9E3779B97F4A7C15
				if int(chance>>32%100) < slow {
					if _, err := takes(5 * time.Millisecond)(ctx); err != nil {
						return 0, err
					}
				}
				if int(chance>>16%100) < fails {
					return 0, errDown
				}
				return 1, nil
			}
			ratios, bursts := 0.0, 0
			logs := make([]*log, len(stack))
			for i, l := range stack {
				p := l.policy()
				if got := p.Amplification(); math.Abs(got-1-l.ratio) > 1e-9 {
					t.Errorf("the policy states %v; want 1 + %v", got, l.ratio)
				}
				ratios, bursts = ratios+l.ratio, bursts+l.burst
				logs[i] = &log{}
				g, below := mustNew(t, p, resilience.WithListener(logs[i])), call
				call = func(ctx context.Context) (int, error) {
					res, err := resilience.Do(ctx, g, below)
					return res.Value, err
				}
			}
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() { _, _ = call(t.Context()) })
				time.Sleep(time.Millisecond)
			}
			wg.Wait()
			synctest.Wait()
			if most := int64((1+ratios)*float64(n)+1e-6) + int64(bursts); bottom.Load() > most {
				t.Errorf("%d requests through %+v made %d attempts at the bottom; want at most %d", n, stack, bottom.Load(), most)
			}
			for i, l := range stack {
				calls, attempts := len(logs[i].of(resilience.CallStarted)), len(logs[i].of(resilience.AttemptStarted))
				if most := l.policy().Worst().Attempts(calls); attempts > most {
					t.Errorf("layer %d: %d calls made %d attempts; want at most %d", i, calls, attempts, most)
				}
			}
		})
		if t.Failed() {
			rt.FailNow()
		}
	})
}

func TestAmplificationOfAPolicyThatDoesNotRepeat(t *testing.T) {
	if a := policy().Amplification(); a != 1 {
		t.Errorf("%v; want 1", a)
	}
	p := policy()
	p.Default.Idempotent, p.Default.Hedge = true, &resilience.HedgePolicy{Delay: time.Millisecond}
	if a := p.Amplification(); a != 1.2 {
		t.Errorf("%v; want 1.2, by the default ratio", a)
	}
	if s := mustNew(t, p).Snapshot(); s.Amplification != 1.2 {
		t.Errorf("the snapshot has %v; want 1.2", s.Amplification)
	}
}
