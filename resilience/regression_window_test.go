package resilience_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// TestPitfall11WallClockStepsChangeNothing: Polly's breaker, hoglet PR#25. An hour forward
// would empty a window and end an open period; an hour back would freeze both. It
// runs in real time: a bubble of synctest has no monotonic clock.
func TestPitfall11WallClockStepsChangeNothing(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			p := breaking()
			p.Breaker.OpenFor = 50 * time.Millisecond
			p.Default.Timeout = time.Hour
			p.Default.AttemptTimeout = 10 * time.Millisecond
			g := mustNew(t, p)
			for range 3 {
				if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) {
					t.Fatal(err)
				}
			}
			g.StepWallClock(step)
			start := time.Now()
			if _, err := resilience.Do(t.Context(), g, takes(time.Minute)); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) < 10*time.Millisecond {
				t.Errorf("%v after %v; want the attempt timeout", err, time.Since(start))
			}
			// The window still has the three from before the step.
			if s := g.Snapshot(); s.Breaker == resilience.BreakerClosed {
				t.Fatalf("%+v; want open by the fourth failure", s)
			}
			limit := time.After(time.Minute)
			for state(g) == resilience.BreakerOpen {
				select {
				case <-limit:
					t.Fatal("still open after a minute")
				case <-time.After(time.Millisecond):
				}
			}
			if d := time.Since(start); d < 60*time.Millisecond {
				t.Errorf("half-open %v after the attempt of 10ms began; want 50ms open", d)
			}
		})
	}
}

// TestPitfall12IdleGapLosesNoCounts: a regression test of cep21/circuit; counts from before
// a gap that are still in the window stay, those out of it go, also after days.
func TestPitfall12IdleGapLosesNoCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, breaking())
		do := func() {
			if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) {
				t.Fatal(err)
			}
		}
		do()
		for _, c := range []struct {
			gap  time.Duration
			want int
		}{
			{5 * time.Second, 2},
			{4 * time.Second, 3},
			{9 * time.Second, 2}, // those of 9 s ago have just gone or are about to
			{11 * time.Second, 1},
			{30 * 24 * time.Hour, 1},
		} {
			time.Sleep(c.gap)
			do()
			if n := g.Snapshot().Failures; n != c.want {
				t.Fatalf("after a gap of %v: %d failures; want %d", c.gap, n, c.want)
			}
		}
	})
}
