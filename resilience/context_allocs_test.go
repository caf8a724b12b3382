package resilience_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// selects looks whether its context is done, as a call that waits for the network does.
func selects(ctx context.Context) (int, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	default:
		return 42, nil
	}
}

// TestContextAllocations bounds what a call allocates by how it uses its context. A
// context of the standard library with a timeout allocates 5 times for a call that
// selects on it.
func TestContextAllocations(t *testing.T) {
	withDeadline, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		call   func(context.Context) (int, error)
		allocs float64
	}{
		{"the context is not used", t.Context(), answer, 1},
		{"the caller has a deadline", withDeadline, answer, 1},
		{"Err and Deadline", t.Context(), func(ctx context.Context) (int, error) {
			_, _ = ctx.Deadline()
			return 42, ctx.Err()
		}, 1},
		{"Done", t.Context(), selects, 4},
		{"Done, the caller has a deadline", withDeadline, selects, 4},
		{"Done, the caller's context never ends", context.Background(), selects, 4},
		{"Done, through a value", context.WithValue(t.Context(), scene{}, 1), selects, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := mustNew(t, full())
			allocs := testing.AllocsPerRun(200, func() {
				if _, err := resilience.Do(c.ctx, g, c.call); err != nil {
					t.Fatal(err)
				}
			})
			if allocs > c.allocs {
				t.Errorf("%v allocations; want %v", allocs, c.allocs)
			}
		})
	}
	t.Run("Done, within an attempt of another guard", func(t *testing.T) {
		outer, inner := mustNew(t, full()), mustNew(t, full())
		allocs := testing.AllocsPerRun(200, func() {
			if _, err := resilience.Do(t.Context(), outer, func(ctx context.Context) (int, error) {
				res, err := resilience.Do(ctx, inner, selects)
				return res.Value, err
			}); err != nil {
				t.Fatal(err)
			}
		})
		// Four for each attempt, two for the map that joins their contexts, and the
		// function of the outer call.
		if allocs > 11 {
			t.Errorf("%v allocations; want 11", allocs)
		}
	})
}

// fallbacks returns the allocations of a call that fails, without and with a fallback
// value of a type.
func fallbacks[T any](t *testing.T, g *resilience.Guard, err error, value T) (without, with float64) {
	call := func(context.Context) (T, error) {
		var none T
		return none, err
	}
	without = testing.AllocsPerRun(200, func() { _, _ = resilience.Do(t.Context(), g, call) })
	with = testing.AllocsPerRun(200, func() {
		if _, err := resilience.Do(t.Context(), g, call, resilience.FallbackValue(value)); err != nil {
			t.Fatal(err)
		}
	})
	return without, with
}

// TestFallbackValueAllocatesNothing has values of several sizes, after each way in which
// a call can fail at once.
func TestFallbackValueAllocatesNothing(t *testing.T) {
	forced := full()
	forced.Breaker.Mode = resilience.BreakerForcedClosed
	forced.Default.Retry = nil
	judged := forced
	judged.Breaker = nil
	for name, g := range map[string]*resilience.Guard{
		"fails": mustNew(t, forced), "fails without a breaker": mustNew(t, judged), "open": openGuard(t), "full": fullGuard(t),
	} {
		t.Run(name, func(t *testing.T) {
			type large [8]string
			check := func(kind string, without, with float64) {
				if with > without {
					t.Errorf("%s: %v allocations; without a fallback %v", kind, with, without)
				}
			}
			without, with := fallbacks(t, g, errDown, 1)
			check("int", without, with)
			without, with = fallbacks(t, g, errDown, "text")
			check("string", without, with)
			without, with = fallbacks(t, g, errDown, []string{"text"})
			check("slice", without, with)
			without, with = fallbacks(t, g, errDown, large{})
			check("large", without, with)
			without, with = fallbacks(t, g, errDown, &large{})
			check("pointer", without, with)
		})
	}
}

// TestAGuardOfTheBubble is closed outside of it, where its timers must not be touched.
func TestAGuardOfTheBubble(t *testing.T) {
	var g *resilience.Guard
	synctest.Test(t, func(t *testing.T) {
		var err error
		if g, err = resilience.New(policy()); err != nil {
			t.Fatal(err)
		}
		if _, err := resilience.Do(t.Context(), g, selects); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := resilience.Do(t.Context(), g, selects); err != nil {
		t.Error(err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

// TestAGuardOutsideTheBubble: a guard that a package made for all of its tests is used
// from within a synctest bubble, where timers of the outside must not be touched.
func TestAGuardOutsideTheBubble(t *testing.T) {
	g := mustNew(t, policy())
	if _, err := resilience.Do(t.Context(), g, selects); err != nil { // has timers now
		t.Fatal(err)
	}
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			_, err := resilience.Do(t.Context(), g, takes(time.Hour))
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
			_, err = resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
				child, cancel := context.WithCancel(ctx)
				defer cancel()
				<-child.Done()
				return 0, child.Err()
			})
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 2*time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
	}
	if _, err := resilience.Do(t.Context(), g, selects); err != nil {
		t.Fatal(err)
	}
}
