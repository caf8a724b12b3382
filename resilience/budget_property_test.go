package resilience_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"pgregory.net/rapid"
)

// TestBudgetAgreesWithTheModel runs calls that fail a drawn number of times, and
// compares attempts and tokens with a bucket of plain numbers. It also holds the
// amplification bound that the policy states.
func TestBudgetAgreesWithTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := policy()
		p.Default = resilience.OperationPolicy{Timeout: time.Hour, Idempotent: true, Retry: &resilience.RetryPolicy{MaxAttempts: rapid.IntRange(2, 5).Draw(rt, "attempts")}}
		p.Budget = &resilience.BudgetPolicy{Ratio: float64(rapid.IntRange(1, 100).Draw(rt, "ratio")) / 100, Burst: rapid.IntRange(1, 5).Draw(rt, "burst")}
		fails := rapid.SliceOfN(rapid.IntRange(0, 6), 1, 100).Draw(rt, "fails")
		synctest.Test(t, func(t *testing.T) {
			g := mustNew(t, p)
			size := float64(p.Budget.Burst)
			tokens, total := size, 0
			for i, bad := range fails {
				tokens = min(size, tokens+p.Budget.Ratio)
				want := 1
				for ; want <= bad && want < p.Default.Retry.MaxAttempts && tokens >= 1-1e-9; want++ {
					tokens--
				}
				n := 0
				_, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) {
					if n++; n <= bad {
						return 0, errDown
					}
					return n, nil
				})
				total += n
				if n != want || (err == nil) != (n > bad) || math.Abs(g.Snapshot().Budget-tokens) > 1e-3 {
					t.Errorf("call %d: %d attempts, %v, %v tokens; want %d and %v", i, n, err, g.Snapshot().Budget, want, tokens)
					return
				}
				if most := p.Worst().Attempts(i + 1); total > most {
					t.Errorf("%d calls made %d attempts; the policy states at most %d", i+1, total, most)
				}
			}
		})
		if t.Failed() {
			rt.FailNow()
		}
	})
}

// TestAmplificationHoldsWithHedges: hedges draw on the same bucket as retries, also
// when calls run at the same time.
func TestAmplificationHoldsWithHedges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead.Limit = 1000
		p.Default = resilience.OperationPolicy{
			Timeout: time.Minute, AttemptTimeout: time.Second, Idempotent: true,
			Retry: &resilience.RetryPolicy{MaxAttempts: 5}, Hedge: &resilience.HedgePolicy{Delay: time.Millisecond, MaxHedges: 3},
		}
		g := mustNew(t, p)
		attempts, calls := make(chan struct{}, 10000), 500
		done := make(chan struct{}, calls)
		for range calls {
			time.Sleep(time.Millisecond)
			go func() {
				defer func() { done <- struct{}{} }()
				_, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
					attempts <- struct{}{}
					_, err := takes(10 * time.Millisecond)(ctx)
					if err == nil {
						err = errDown
					}
					return 0, err
				})
				if err == nil {
					t.Error("no error")
				}
			}()
		}
		for range calls {
			<-done
		}
		synctest.Wait()
		if n, most := len(attempts), p.Worst().Attempts(calls); n > most || n < calls+50 {
			t.Errorf("%d calls made %d attempts; want at most %d, and some repeats", calls, n, most)
		}
	})
}
