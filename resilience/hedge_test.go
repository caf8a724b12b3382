package resilience_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

func hedging() resilience.Policy {
	p := policy()
	p.Default.Idempotent = true
	p.Default.Hedge = &resilience.HedgePolicy{Delay: 100 * time.Millisecond}
	return p
}

func TestHedgeWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &log{}
		g := mustNew(t, hedging(), resilience.WithListener(l))
		start := time.Now()
		var n atomic.Int32
		var canceled atomic.Bool
		res, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
			if n.Add(1) == 1 {
				<-ctx.Done()
				canceled.Store(errors.Is(ctx.Err(), context.Canceled))
				return 0, ctx.Err()
			}
			info, ok := resilience.AttemptFrom(ctx)
			if !ok || !info.Hedged || info.Number != 2 {
				t.Errorf("%+v %v", info, ok)
			}
			return takes(10 * time.Millisecond)(ctx)
		})
		if err != nil || res.Source != resilience.Hedge || res.Attempts != 2 || time.Since(start) != 110*time.Millisecond {
			t.Errorf("%+v, %v after %v", res, err, time.Since(start))
		}
		synctest.Wait()
		if !canceled.Load() {
			t.Error("the loser was not cancelled")
		}
		won := 0
		for _, e := range l.of(resilience.AttemptEnded) {
			if e.Won {
				won++
			}
		}
		if won != 1 || len(l.of(resilience.AttemptEnded)) != 2 {
			t.Errorf("%d winners of %d", won, len(l.of(resilience.AttemptEnded)))
		}
		wantIdle(t, g)
	})
}

func TestHedgeFirstSuccessNotFirstAnswerWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, hedging())
		var n atomic.Int32
		res, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
			if n.Add(1) == 2 {
				return 0, errDown
			}
			return takes(200 * time.Millisecond)(ctx)
		})
		if err != nil || res.Source != resilience.Live {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

func TestHedgeLoserIsDisposedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, hedging())
		var n, disposed atomic.Int32
		_, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
			if n.Add(1) == 1 {
				return deaf(300 * time.Millisecond)(ctx)
			}
			return 1, nil
		}, resilience.Dispose(func(v int) { disposed.Store(int32(v)) }))
		if err != nil {
			t.Fatal(err)
		}
		if in := g.Snapshot().InFlight; in != 1 {
			t.Errorf("%d permits; want that of the loser, which still runs", in)
		}
		time.Sleep(time.Second)
		if disposed.Load() != 42 {
			t.Error("the loser's value was not disposed of")
		}
		wantIdle(t, g)
	})
}

func TestHedgeByMeasuredQuantile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hedging()
		p.Default.Hedge = &resilience.HedgePolicy{Quantile: 0.9}
		p.Budget = &resilience.BudgetPolicy{Ratio: 1, Burst: 100}
		g := mustNew(t, p)
		for range 50 {
			if res, err := resilience.Do(t.Context(), g, takes(20*time.Millisecond)); err != nil || res.Attempts != 1 {
				t.Fatalf("%+v, %v", res, err)
			}
		}
		start := time.Now()
		var n atomic.Int32
		_, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
			if n.Add(1) == 1 {
				return takes(time.Hour)(ctx)
			}
			return 1, nil
		})
		if took := time.Since(start); err != nil || took < 20*time.Millisecond || took > 23*time.Millisecond {
			t.Errorf("hedged after %v, %v; want a little over 20ms", took, err)
		}
	})
}

// TestHedgeKeepsEarlierErrors: when time runs out in a race, what went wrong before
// is not lost.
func TestHedgeKeepsEarlierErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, hedging())
		var n atomic.Int32
		_, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
			if n.Add(1) == 1 {
				time.Sleep(200 * time.Millisecond)
				return 0, errDown
			}
			return takes(time.Hour)(ctx)
		})
		if !errors.Is(err, errDown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v; want the first attempt's error and the deadline", err)
		}
	})
}

// TestHedgeEndsWithAnAnswer: "not found" is what the dependency says; waiting for
// the other attempt would not change it.
func TestHedgeEndsWithAnAnswer(t *testing.T) {
	notFound := judged{resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}}
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, hedging())
		var n atomic.Int32
		start := time.Now()
		_, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
			if n.Add(1) == 2 {
				return 0, notFound
			}
			return takes(900 * time.Millisecond)(ctx)
		})
		if !errors.Is(err, notFound) || time.Since(start) != 100*time.Millisecond {
			t.Errorf("%v after %v; want not found after 100ms", err, time.Since(start))
		}
		synctest.Wait()
		wantIdle(t, g)
	})
}
