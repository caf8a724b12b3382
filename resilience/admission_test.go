package resilience_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"pgregory.net/rapid"
)

// TestBreakerByCountAgreesWithAModel opens on the rate of the newest calls, however much
// time lies between them, and on failures in a row.
func TestBreakerByCountAgreesWithAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.IntRange(1, 12).Draw(rt, "calls")
		row := rapid.IntRange(0, 6).Draw(rt, "in a row")
		minimum := rapid.IntRange(1, size).Draw(rt, "minimum")
		fails := rapid.SliceOfN(rapid.Bool(), 1, 60).Draw(rt, "fails")
		synctest.Test(t, func(t *testing.T) {
			p := policy()
			p.Breaker = &resilience.BreakerPolicy{WindowCalls: size, MinimumCalls: minimum, ConsecutiveFailures: row, FailureRate: 0.6, OpenFor: 24 * time.Hour, MaxOpenFor: 24 * time.Hour}
			g := mustNew(t, p)
			var all []bool
			streak := 0
			for i, bad := range fails {
				time.Sleep(time.Hour / 10)
				call := answer
				streak++
				if bad {
					call = fail
				} else {
					streak = 0
				}
				_, _ = resilience.Do(t.Context(), g, call)
				all = append(all, bad)
				newest := all[max(0, len(all)-size):]
				n := 0
				for _, b := range newest {
					if b {
						n++
					}
				}
				want := bad && (len(newest) >= minimum && float64(n) >= 0.6*float64(len(newest)) || row > 0 && streak >= row)
				if got := g.Snapshot().Breaker == resilience.BreakerOpen; got != want {
					t.Errorf("call %d of %v, window %d, minimum %d, row %d: open %v; want %v", i, fails[:i+1], size, minimum, row, got, want)
					return
				}
				if want {
					return
				}
			}
		})
		if t.Failed() {
			rt.FailNow()
		}
	})
}

// TestBreakerWindowsAreKeptOverUpdates, from each kind of window to each.
func TestBreakerWindowsAreKeptOverUpdates(t *testing.T) {
	kinds := map[string]resilience.BreakerPolicy{"time": {}, "10 calls": {WindowCalls: 10, MinimumCalls: 10}, "40 calls": {WindowCalls: 40}, "a longer time": {Window: time.Minute}}
	for from, first := range kinds {
		for to, next := range kinds {
			synctest.Test(t, func(t *testing.T) {
				p := policy()
				first.FailureRate, next.FailureRate = 0.9, 0.9
				p.Breaker = &first
				g := mustNew(t, p)
				for i := range 10 {
					if i%2 == 0 {
						_, _ = resilience.Do(t.Context(), g, fail)
					} else {
						_, _ = resilience.Do(t.Context(), g, answer)
					}
				}
				p.Breaker = &next
				if err := g.Update(p); err != nil {
					t.Fatal(err)
				}
				if s := g.Snapshot(); s.Calls != 10 || s.Failures != 5 {
					t.Errorf("from %s to %s: %d calls, %d failures; want 10 and 5", from, to, s.Calls, s.Failures)
				}
			})
		}
	}
}

// TestThrottleSendsWhatIsAccepted: about K times as much, and all once the dependency is
// well again; other policies' refusals and callers that leave count for nothing.
func TestThrottleSendsWhatIsAccepted(t *testing.T) {
	for _, share := range []float64{0, 0.2, 0.9} {
		synctest.Test(t, func(t *testing.T) {
			p := policy()
			p.Throttle = &resilience.ThrottlePolicy{Window: 20 * time.Second}
			g := mustNew(t, p)
			chance := rand.New(rand.NewPCG(1, 2))
			sent, refused := 0, 0
			for range 5_000 {
				time.Sleep(10 * time.Millisecond)
				_, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) {
					if sent++; chance.Float64() < share {
						return 0, nil
					}
					return 0, errDown
				})
				if errors.Is(err, resilience.ErrThrottled) {
					refused++
				}
			}
			if got := float64(sent) / 5_000; share > 0.5 && got < 0.8 || share < 0.5 && got > 0.9 || share == 0 && got > 0.02 {
				t.Errorf("accepts %v: %v of the calls were sent", share, got)
			}
			if sent+refused != 5_000 {
				t.Errorf("%d sent, %d refused", sent, refused)
			}
			// Recovery: what goes through doubles from window to window, until all does.
			row := 0
			for i := 0; row < 5_000 && i < 200_000; i++ {
				time.Sleep(10 * time.Millisecond)
				if _, err := resilience.Do(t.Context(), g, answer); err != nil {
					row = 0
					continue
				}
				row++
			}
			if row < 5_000 {
				t.Errorf("accepts %v: no recovery", share)
			}
			s, err := g.Shadow(p)
			if err != nil {
				t.Fatal(err)
			}
			for range 1000 {
				_, _ = resilience.Do(t.Context(), g, fail)
			}
			if r := s.Report(); r.WouldRefuseThrottled == 0 {
				t.Errorf("the shadow, which has not seen the good times, would have refused none: %+v", r)
			}
		})
	}
}

// TestThrottleForgetsNothingForCallersThatLeave: what callers do is no acceptance by the
// dependency.
func TestThrottleForgetsNothingForCallersThatLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Throttle = &resilience.ThrottlePolicy{Window: time.Hour}
		g := mustNew(t, p)
		for range 100 {
			_, _ = resilience.Do(t.Context(), g, fail)
		}
		before := g.Snapshot().Throttled
		for range 1000 {
			ctx, cancel := context.WithCancel(t.Context())
			_, _ = resilience.Do(ctx, g, func(ctx context.Context) (int, error) {
				cancel()
				return 0, ctx.Err()
			})
			cancel()
		}
		if after := g.Snapshot().Throttled; after < before {
			t.Errorf("the share that is refused fell from %v to %v", before, after)
		}
	})
}

// TestWhatAProbeShows: an answer shows that the dependency is alive, even if it counts
// neither way (opossum#388, resilience4j#544); what the caller did shows nothing. In
// either case the circuit is never stuck.
func TestWhatAProbeShows(t *testing.T) {
	ignored := func(r resilience.Repeat) error {
		return resilience.WithVerdict(errMissing, resilience.Verdict{Outcome: resilience.Ignored, Repeat: r})
	}
	for _, c := range []struct {
		name  string
		probe func(ctx context.Context, leave func()) (int, error)
		state resilience.BreakerState
	}{
		{"a value", func(context.Context, func()) (int, error) { return 1, nil }, resilience.BreakerClosed},
		{"a value that does not count", func(ctx context.Context, _ func()) (int, error) { resilience.DoNotCount(ctx); return 1, nil }, resilience.BreakerClosed},
		{"an answer", func(context.Context, func()) (int, error) { return 0, ignored(resilience.RepeatNever) }, resilience.BreakerClosed},
		{"the caller's fault", func(context.Context, func()) (int, error) { return 0, ignored(resilience.RepeatIfIdempotent) }, resilience.BreakerHalfOpen},
		{"the caller left", func(ctx context.Context, leave func()) (int, error) { leave(); return 0, ctx.Err() }, resilience.BreakerHalfOpen},
		{"an overload", func(context.Context, func()) (int, error) {
			return 0, resilience.WithVerdict(errDown, resilience.Verdict{Outcome: resilience.Overload})
		}, resilience.BreakerHalfOpen},
		{"a failure", func(context.Context, func()) (int, error) { return 0, errDown }, resilience.BreakerOpen},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { whatAProbeShows(t, c.probe, c.state) })
		})
	}
}

func whatAProbeShows(t *testing.T, probe func(context.Context, func()) (int, error), state resilience.BreakerState) {
	p := policy()
	p.Breaker = &resilience.BreakerPolicy{ConsecutiveFailures: 1, Probes: 1, OpenFor: time.Second, Jitter: 0.001}
	g := mustNew(t, p)
	shadow, err := g.Shadow(p)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = resilience.Do(t.Context(), g, fail)
	time.Sleep(1010 * time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, _ = resilience.Do(ctx, g, func(ctx context.Context) (int, error) { return probe(ctx, cancel) })
	if s, r := g.Snapshot(), shadow.Report(); s.Breaker != state || r.Breaker != state || s.InFlight != 0 {
		t.Errorf("%v, of the shadow %v, %d in flight; want %v", s.Breaker, r.Breaker, s.InFlight, state)
	}
	time.Sleep(time.Minute)
	if _, err := resilience.Do(t.Context(), g, answer); err != nil || g.Snapshot().Breaker != resilience.BreakerClosed {
		t.Errorf("the circuit is stuck: %v", err)
	}
}

// TestPermitsByHand go through the same policies, follow the work, and say how it went.
func TestPermitsByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 1, Queue: 1, MaxWait: time.Second}
		p.Breaker = &resilience.BreakerPolicy{ConsecutiveFailures: 2}
		var l log
		g := mustNew(t, p, resilience.WithListener(&l))
		permit, err := resilience.Acquire(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		if info, ok := resilience.AttemptFrom(permit.Context()); !ok || info.Dependency != "dep" {
			t.Errorf("%+v", info)
		}
		time.Sleep(time.Hour) // long after its deadline
		if _, err := resilience.Acquire(t.Context(), g); !errors.Is(err, resilience.ErrFull) {
			t.Errorf("while the permit is out: %v", err)
		}
		release := resilience.Hold(permit.Context())
		permit.Done(nil)
		permit.Done(errDown) // counts no more
		if g.Snapshot().InFlight != 1 {
			t.Error("the permit did not stay with the work that holds it")
		}
		release(nil)
		wantIdle(t, g)
		for range 2 {
			permit, err := resilience.Acquire(t.Context(), g)
			if err != nil {
				t.Fatal(err)
			}
			permit.Done(errDown)
		}
		if _, err := resilience.Acquire(t.Context(), g); !errors.Is(err, resilience.ErrOpen) {
			t.Errorf("after two failures: %v", err)
		}
		if started, ended := len(l.of(resilience.CallStarted)), len(l.of(resilience.CallEnded)); started != 5 || ended != 5 {
			t.Errorf("%d calls began and %d ended; want 5", started, ended)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := resilience.Acquire(ctx, g); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		var none *resilience.Guard
		if _, err := resilience.Acquire(t.Context(), none); !errors.Is(err, resilience.ErrPolicy) {
			t.Error(err)
		}
		wantIdle(t, g)
	})
}
