package resilience_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// adapting is a guard with an objective of 400 ms: attempts are near it from 200 ms on,
// and late from 300 ms on.
func adapting(t *testing.T, limit, least, most int) *resilience.Guard {
	t.Helper()
	p := policy()
	p.Bulkhead = resilience.BulkheadPolicy{Limit: limit, Adaptive: &resilience.AdaptivePolicy{Objective: 400 * time.Millisecond, Min: least, Max: most}}
	return mustNew(t, p)
}

// rounds makes n crowds of calls, each as many as asked for, at once.
func rounds(t *testing.T, g *resilience.Guard, n int, crowd func() int, call func(context.Context) (int, error)) {
	t.Helper()
	for range n {
		var wg sync.WaitGroup
		for range crowd() {
			wg.Go(func() {
				if _, err := resilience.Do(t.Context(), g, call); err != nil && !errors.Is(err, errDown) && !errors.Is(err, resilience.ErrFull) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

// TestAdaptiveMovesByWhatAttemptsTook runs crowds that all take as long, until the limit
// stays where it is.
func TestAdaptiveMovesByWhatAttemptsTook(t *testing.T) {
	overload := judged{resilience.Verdict{Outcome: resilience.Overload, Repeat: resilience.RepeatNever}}
	for name, c := range map[string]struct {
		crowd int // at once; 0: as many as are let in
		call  func(context.Context) (int, error)
		want  int
	}{
		"quick, and all of it in use":  {0, takes(100 * time.Millisecond), 200},
		"quick, and little of it used": {20, takes(100 * time.Millisecond), 50},
		"just not near":                {0, takes(200 * time.Millisecond), 200},
		"near":                         {0, takes(201 * time.Millisecond), 50},
		"just not late":                {0, takes(300 * time.Millisecond), 50},
		"late":                         {0, takes(301 * time.Millisecond), 5},
		"much too late":                {0, takes(900 * time.Millisecond), 5},
		"asked to hold back":           {0, func(context.Context) (int, error) { return 0, overload }, 5},
		"failing at once":              {0, fail, 50},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := adapting(t, 50, 5, 200)
				rounds(t, g, 60, func() int {
					if c.crowd > 0 {
						return c.crowd
					}
					return g.Snapshot().Limit
				}, func(ctx context.Context) (int, error) {
					v, err := c.call(ctx)
					if errors.Is(err, overload) {
						err = errors.Join(errDown, overload)
					}
					return v, err
				})
				if got := g.Snapshot().Limit; got != c.want {
					t.Errorf("limit %d; want %d", got, c.want)
				}
				wantIdle(t, g)
			})
		})
	}
}

// TestAdaptiveShrinksByHowLateAttemptsAre: by a twentieth at least and by half at most in a
// round, and never below the floor, which goes on to probe.
func TestAdaptiveShrinksByHowLateAttemptsAre(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration
		want  int // after one round
	}{
		"a little":  {301 * time.Millisecond, 95},
		"by a half": {450 * time.Millisecond, 66},
		"very":      {900 * time.Millisecond, 50},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := adapting(t, 100, 0, 0)
				rounds(t, g, 1, func() int { return 25 }, takes(c.takes))
				if got := g.Snapshot().Limit; got != c.want {
					t.Errorf("limit %d; want %d", got, c.want)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		g := adapting(t, 20, 3, 40)
		rounds(t, g, 100, func() int { return g.Snapshot().Limit }, takes(900*time.Millisecond))
		if got := g.Snapshot().Limit; got != 3 {
			t.Fatalf("limit %d; want the floor, 3", got)
		}
		// The dependency is well again: the floor's probes say so.
		rounds(t, g, 100, func() int { return g.Snapshot().Limit }, takes(10*time.Millisecond))
		if got := g.Snapshot().Limit; got != 40 {
			t.Errorf("limit %d; want the ceiling, 40", got)
		}
	})
}
