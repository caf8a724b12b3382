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

// TestPitfall13DeadlineIsReal: failsafe-go never sets ctx.Deadline, its timeout is not
// context.DeadlineExceeded, and it throws a late success away.
func TestPitfall13DeadlineIsReal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Default.AttemptTimeout = 300 * time.Millisecond
		g := mustNew(t, p)
		start := time.Now()
		_, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
			if d, ok := ctx.Deadline(); !ok || d.Sub(start) != 300*time.Millisecond {
				t.Errorf("deadline %v, %v; want 300ms from the start", d.Sub(start), ok)
			}
			return takes(time.Minute)(ctx)
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 300*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		res, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) {
			time.Sleep(2 * time.Second)
			return 7, nil
		})
		if err != nil || res.Value != 7 {
			t.Errorf("a late success: %+v, %v", res, err)
		}
	})
}

// TestPitfall17OnlyWhatMayBeIsRepeated: failsafehttp repeats a POST, and ignores the date
// form of Retry-After (which arrives here as Verdict.After).
func TestPitfall17OnlyWhatMayBeIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := retrying()
		p.Default.Idempotent = false
		g := mustNew(t, p)
		n := 0
		if _, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { n++; return 0, errDown }); !errors.Is(err, errDown) || n != 1 {
			t.Errorf("%v after %d attempts; want 1", err, n)
		}
		n = 0
		start := time.Now()
		_, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) {
			if n++; n == 1 {
				return 0, judged{resilience.Verdict{Outcome: resilience.Overload, Repeat: resilience.RepeatAlways, After: 3 * time.Second}}
			}
			return 1, nil
		})
		if err != nil || n != 2 || time.Since(start) != 3*time.Second {
			t.Errorf("%v, %d attempts in %v; want the second after 3s", err, n, time.Since(start))
		}
	})
}

// TestPitfall18PauseThatCannotFinishIsNotWaited: a back-off longer than the deadline is
// waited out elsewhere, and on expiry the last real error is lost.
func TestPitfall18PauseThatCannotFinishIsNotWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, retrying())
		start := time.Now()
		down := judged{resilience.Verdict{Outcome: resilience.Failure, After: time.Minute}}
		_, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { return 0, down })
		if !errors.Is(err, down) || time.Since(start) != 0 {
			t.Errorf("%v after %v; want the call's error at once", err, time.Since(start))
		}
		if b := g.Snapshot().Budget; b != 10 {
			t.Errorf("%v tokens; want 10: nothing was repeated", b)
		}
		// And when time runs out in the middle of an attempt, the errors before stay.
		n := 0
		_, err = resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
			if n++; n == 1 {
				time.Sleep(9500 * time.Millisecond)
				return 0, errDown
			}
			return takes(time.Minute)(ctx)
		})
		if !errors.Is(err, errDown) || !errors.Is(err, context.DeadlineExceeded) || n != 2 {
			t.Errorf("%v after %d attempts", err, n)
		}
	})
}

// TestPitfall19LayersDoNotMultiply: three layers of three attempts make 27 calls elsewhere.
func TestPitfall19LayersDoNotMultiply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := retrying()
		top, middle, bottom := mustNew(t, p), mustNew(t, p), mustNew(t, p)
		n := 0
		_, err := resilience.Do(t.Context(), top, func(ctx context.Context) (int, error) {
			res, err := resilience.Do(ctx, middle, func(ctx context.Context) (int, error) {
				res, err := resilience.Do(ctx, bottom, func(context.Context) (int, error) { n++; return 0, errDown })
				return res.Value, err
			})
			return res.Value, err
		})
		// The first attempt of each layer is no repeat, so the bottom makes 3, the
		// middle adds 2 and the top 2.
		if !errors.Is(err, errDown) || n != 7 {
			t.Errorf("%d calls, %v; want 7", n, err)
		}
	})
}

// TestPitfall19RetriesDoNotHammerAnOpenBreaker: a retry that finds the circuit open ends
// the call, and takes no token.
func TestPitfall19RetriesDoNotHammerAnOpenBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := retrying()
		p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 2, Jitter: -1}
		l := &log{}
		g := mustNew(t, p, resilience.WithListener(l))
		n := 0
		_, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { n++; return 0, errDown })
		var ce *resilience.CallError
		if n != 2 || !errors.Is(err, resilience.ErrOpen) || !errors.Is(err, errDown) || !errors.As(err, &ce) || ce.Gave != "refused" {
			t.Errorf("%d attempts, %v; want 2, then the open circuit", n, err)
		}
		if refused := len(l.of(resilience.Refused)); refused != 1 {
			t.Errorf("asked the open circuit %d times; want once", refused)
		}
		if b := g.Snapshot().Budget; b != 9 {
			t.Errorf("%v tokens; want 9: one retry ran, the refused one's came back", b)
		}
	})
}

// TestPitfall20BudgetRefundsAndKeepsTheBackoff: tokens not refunded (aws-sdk-go-v2#3186), an
// exhausted budget disables the pause (#3413), bounds nobody can reason about
// (grpc-go#7539).
func TestPitfall20BudgetRefundsAndKeepsTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := retrying()
		p.Budget = &resilience.BudgetPolicy{Ratio: 0.1, Burst: 2}
		l := &log{}
		g := mustNew(t, p, resilience.WithListener(l))
		calls, ran := 1000, 0
		for range calls {
			if _, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { ran++; return 0, errDown }); !errors.Is(err, errDown) {
				t.Fatal(err)
			}
		}
		if most := p.Worst().Attempts(calls); ran > most || ran < most-2 {
			t.Errorf("%d attempts of %d calls; want about, and at most, %d", ran, calls, most)
		}
		if pauses := len(l.of(resilience.BackedOff)); pauses != ran-calls {
			t.Errorf("%d pauses before %d retries", pauses, ran-calls)
		}
		// A caller that goes during the pause gives its token back.
		for g.Snapshot().Budget < 1 {
			if _, err := resilience.Do(t.Context(), g, answer); err != nil {
				t.Fatal(err)
			}
		}
		before := g.Snapshot().Budget
		ctx, cancel := context.WithCancel(t.Context())
		after := judged{resilience.Verdict{Outcome: resilience.Failure, After: time.Second}}
		time.AfterFunc(time.Second/2, cancel)
		if _, err := resilience.Do(ctx, g, func(context.Context) (int, error) { return 0, after }); !errors.Is(err, context.Canceled) || !errors.Is(err, after) {
			t.Error(err)
		}
		if b := g.Snapshot().Budget; b < before || b > before+0.11 {
			t.Errorf("%v tokens; want %v and what a first attempt earns", b, before)
		}
	})
}

// TestPitfall21RejectionsDoNotPoisonTheLimit: Netflix concurrency-limits#176 takes the time
// of a rejection for the dependency's; baselines drift up in its PR#134 and in
// failsafe-go#127. Here only what ran is a signal, and what is good is given, not measured.
func TestPitfall21RejectionsDoNotPoisonTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 10, Adaptive: &resilience.AdaptivePolicy{Objective: 400 * time.Millisecond, Max: 50}}
		g := mustNew(t, p)
		latency := 500 * time.Millisecond // nothing is answered within the objective
		var refused atomic.Int64
		load := func(seconds int) {
			var wg sync.WaitGroup
			defer wg.Wait()
			for range seconds * 200 {
				wg.Go(func() {
					_, err := resilience.Do(t.Context(), g, takes(latency))
					if errors.Is(err, resilience.ErrFull) {
						refused.Add(1)
					} else if err != nil {
						t.Error(err)
					}
				})
				time.Sleep(5 * time.Millisecond)
			}
		}
		load(10)
		if s := g.Snapshot(); s.Limit > 5 || refused.Load() < 1500 {
			t.Errorf("limit %d after %d refusals; want 5 at most: thousands of quick refusals say nothing", s.Limit, refused.Load())
		}
		// An hour of being too slow does not become normal.
		for range 3600 {
			if _, err := resilience.Do(t.Context(), g, takes(latency)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(700 * time.Millisecond)
		}
		if s := g.Snapshot(); s.Limit > 5 {
			t.Errorf("limit %d after an hour; want 5 at most", s.Limit)
		}
		latency = 100 * time.Millisecond
		load(10)
		if s := g.Snapshot(); s.Limit < 20 {
			t.Errorf("limit %d; want it to have grown to what 200 calls per second of 100ms need", s.Limit)
		}
		wantIdle(t, g)
	})
}
