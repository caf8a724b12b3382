package resilience_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// deaf is a call that ignores its context and takes d.
func deaf(d time.Duration) func(context.Context) (int, error) {
	return func(context.Context) (int, error) {
		time.Sleep(d)
		return 42, nil
	}
}

func TestTimeoutIsARealDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, policy())
		start := time.Now()
		_, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
			d, ok := ctx.Deadline()
			if !ok || !d.Equal(start.Add(time.Second)) {
				t.Errorf("deadline %v, %v; want %v", d, ok, start.Add(time.Second))
			}
			return takes(time.Hour)(ctx)
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v; want a deadline", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v; want 1s", took)
		}
		wantIdle(t, g)
	})
}

func TestAttemptNeverOutlivesTheTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Default = resilience.OperationPolicy{
			Timeout: time.Second, AttemptTimeout: 600 * time.Millisecond, Idempotent: true,
			Retry: &resilience.RetryPolicy{BaseDelay: time.Millisecond, MaxDelay: time.Millisecond},
		}
		g := mustNew(t, p)
		start := time.Now()
		var ends []time.Duration
		res, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
			d, _ := ctx.Deadline()
			ends = append(ends, d.Sub(start))
			return takes(time.Hour)(ctx)
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		if len(ends) != 2 || ends[0] != 600*time.Millisecond || ends[1] != time.Second || res.Attempts != 2 {
			t.Errorf("attempts ended at %v (%d); want 600ms and 1s", ends, res.Attempts)
		}
	})
}

func TestCallersEarlierDeadlineWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, policy())
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := resilience.Do(ctx, g, takes(time.Hour))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 100*time.Millisecond {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
	})
}

func TestLateValueIsStillAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, policy())
		res, err := resilience.Do(t.Context(), g, deaf(3*time.Second))
		if err != nil || res.Value != 42 || res.Source != resilience.Live {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

func TestDetachReturnsAtTheDeadlineAndKeepsThePermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Default.Detach = true
		g := mustNew(t, p)
		start := time.Now()
		disposed := 0
		_, err := resilience.Do(t.Context(), g, deaf(3*time.Second), resilience.Dispose(func(v int) { disposed = v }))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		if n := g.Snapshot().InFlight; n != 1 {
			t.Errorf("%d permits while the work runs; want 1", n)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		wantIdle(t, g)
		if disposed != 42 {
			t.Errorf("the late value was not disposed of")
		}
	})
}

// TestContextOfAnAttempt holds the attempt's context against what package context promises.
func TestContextOfAnAttempt(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, policy())
		parent := context.WithValue(t.Context(), key{}, "value")
		var kept context.Context
		_, err := resilience.Do(parent, g, func(ctx context.Context) (int, error) {
			kept = ctx
			if ctx.Err() != nil || ctx.Value(key{}) != "value" {
				t.Errorf("err %v, value %v", ctx.Err(), ctx.Value(key{}))
			}
			child, cancel := context.WithCancel(context.WithValue(ctx, key{}, "child"))
			defer cancel()
			stopped := context.AfterFunc(child, func() {})
			if !stopped() {
				t.Error("AfterFunc ran early")
			}
			<-child.Done()
			if !errors.Is(child.Err(), context.DeadlineExceeded) || !errors.Is(context.Cause(child), context.DeadlineExceeded) {
				t.Errorf("child %v, cause %v", child.Err(), context.Cause(child))
			}
			return 0, ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(kept.Err(), context.DeadlineExceeded) {
			t.Errorf("error %v, context %v", err, kept.Err())
		}

		for _, ask := range []bool{false, true} { // whether Done was called while it ran
			_, err = resilience.Do(parent, g, func(ctx context.Context) (int, error) {
				kept = ctx
				if ask {
					_ = ctx.Done()
				}
				return 0, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if !errors.Is(kept.Err(), context.Canceled) {
					t.Errorf("after the call: %v; want canceled", kept.Err())
				}
				<-kept.Done()
				time.Sleep(2 * time.Second) // past the deadline: the answer stays
			}
		}
	})
}
