package resilience_test

import (
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

func update(t *testing.T, g *resilience.Guard, p resilience.Policy) {
	t.Helper()
	if err := g.Update(p); err != nil {
		t.Fatal(err)
	}
}

// TestUpdateKeepsTheState: whatever else of the policy changes, an open circuit stays open
// until it would have closed, the window keeps its counts, the budget its tokens, and
// permits stay with the work.
func TestUpdateKeepsTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := every()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 4, Queue: 4}
		p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 100, FailureRate: 0.1, OpenFor: 5 * time.Second, Jitter: -1}
		p.Budget = &resilience.BudgetPolicy{Ratio: 0.5, Burst: 10}
		p.Default.Retry = &resilience.RetryPolicy{MaxAttempts: 3, BaseDelay: time.Millisecond}
		g := mustNew(t, p)
		for range 2 { // 6 attempts, of which 4 take a token each, and the second call earns a half
			if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) {
				t.Fatal(err)
			}
		}
		release := occupy(t, g, 3)
		before := g.Snapshot()
		if before.Calls != 6 || before.Failures != 6 || before.InFlight != 3 || before.Budget >= 10 {
			t.Fatalf("%+v", before)
		}
		p.Bulkhead.Limit, p.Bulkhead.LIFO = 2, true
		p.Breaker.MinimumCalls, p.Breaker.SlowCall, p.Breaker.Probes = 50, time.Second, 9
		p.Budget.Ratio = 0.1
		p.Default.Timeout = 2 * time.Second
		update(t, g, p)
		want := before
		want.Limit, want.Amplification = 2, p.Amplification()
		if after := g.Snapshot(); after != want {
			t.Errorf("was %+v\nis  %+v\nwant %+v", before, after, want)
		}
		p.Budget.Burst = 3 // what does not fit is lost
		p.Breaker.Window = 20 * time.Second
		update(t, g, p)
		if s := g.Snapshot(); s.Budget != 3 || s.Calls != 6 || s.Failures != 6 {
			t.Errorf("a smaller bucket and a longer window: %+v", s)
		}
		time.Sleep(12 * time.Second) // longer than the window was
		if s := g.Snapshot(); s.Calls != 6 {
			t.Errorf("%d calls in a window of 20s; want 6", s.Calls)
		}
		// A lower limit is reached as permits come back.
		waited := make(chan error)
		go func() {
			_, err := resilience.Do(t.Context(), g, answer)
			waited <- err
		}()
		synctest.Wait()
		if s := g.Snapshot(); s.InFlight != 3 || s.Waiting != 1 {
			t.Errorf("%d in flight, %d wait; want 3 over a limit of 2, and 1", s.InFlight, s.Waiting)
		}
		// And a higher one admits calls that already wait.
		p.Bulkhead.Limit = 4
		update(t, g, p)
		if err := <-waited; err != nil {
			t.Error(err)
		}
		release()
		wantIdle(t, g)

		p.Breaker.MinimumCalls = 1
		update(t, g, p)
		if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) {
			t.Fatal(err)
		}
		open := g.Snapshot()
		time.Sleep(2 * time.Second)
		p.Breaker.OpenFor, p.Breaker.FailureRate, p.Bulkhead.Limit = time.Hour, 0.9, 5
		update(t, g, p)
		if s := g.Snapshot(); s.Breaker != resilience.BreakerOpen || !s.OpenUntil.Equal(open.OpenUntil) {
			t.Errorf("%+v; want it open until %v", s, open.OpenUntil)
		}
		time.Sleep(time.Until(open.OpenUntil))
		synctest.Wait()
		if s := state(g); s != resilience.BreakerHalfOpen {
			t.Errorf("%v when the period was over; want half-open", s)
		}
	})
}

// TestUpdateKeepsAMovingLimit: as far as the new bounds allow.
func TestUpdateKeepsAMovingLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := adapting(t, 50, 5, 200)
		press(t, g, 250, 3*time.Second, takes(10*time.Millisecond))
		p := g.Policy()
		for _, c := range []struct{ limit, most, want int }{{20, 300, 200}, {20, 150, 150}} {
			p.Bulkhead.Limit, p.Bulkhead.Adaptive.Max = c.limit, c.most
			update(t, g, p)
			if got := g.Snapshot().Limit; got != c.want {
				t.Errorf("limit %d with a ceiling of %d; want %d", got, c.most, c.want)
			}
		}
		p.Bulkhead.Adaptive = nil
		update(t, g, p)
		if got := g.Snapshot().Limit; got != 20 {
			t.Errorf("a fixed limit is %d; want 20", got)
		}
	})
}

// TestOperationsComeAndGo: with the policy; a caller that kept one goes on with it once it is back.
func TestOperationsComeAndGo(t *testing.T) {
	p := policy()
	g := mustNew(t, p)
	op := g.Operation("plan")
	do := func() error {
		_, err := resilience.Do(t.Context(), op, answer)
		return err
	}
	for _, known := range []bool{false, true, false, true} {
		p.Operations = nil
		if known {
			p.Operations = map[string]resilience.OperationPolicy{"plan": {Timeout: time.Second}}
		}
		update(t, g, p)
		if err := do(); (err == nil) != known || !known && !errors.Is(err, resilience.ErrPolicy) {
			t.Errorf("known %t: %v", known, err)
		}
	}
}

// TestAGuardsPolicyIsItsOwn: nobody changes it but by Update, whatever they do with what
// they gave or got.
func TestAGuardsPolicyIsItsOwn(t *testing.T) {
	full := func() resilience.Policy {
		p := every()
		p.Budget = &resilience.BudgetPolicy{Burst: 7}
		p.Expect = &resilience.Expectation{PerSecond: 1, Latency: time.Millisecond}
		p.Default.Hedge, p.Default.Stale = &resilience.HedgePolicy{Delay: time.Second / 5}, &resilience.StalePolicy{MaxAge: time.Hour}
		p.Operations = map[string]resilience.OperationPolicy{"plan": {Timeout: time.Second, Idempotent: true, Retry: &resilience.RetryPolicy{MaxAttempts: 2}}}
		return p
	}
	spoil := func(p resilience.Policy) {
		p.Bulkhead.Adaptive.Objective, p.RateLimit.PerSecond, p.Breaker.MinimumCalls, p.Budget.Burst = 1, 1, 1, 1
		p.Default.Hedge.Delay, p.Default.Stale.MaxAge, p.Default.Retry.MaxAttempts = 1, 1, 99
		p.Expect.PerSecond = 99
		p.Operations["plan"].Retry.MaxAttempts = 99
		p.Operations["other"] = resilience.OperationPolicy{}
	}
	given := full()
	g := mustNew(t, given)
	same := func(when string) {
		t.Helper()
		if got := g.Policy(); !reflect.DeepEqual(got, full()) {
			t.Errorf("%s: %+v", when, got)
		}
	}
	spoil(given)
	same("what New was given changed")
	spoil(g.Policy())
	same("what Policy returned changed")
	given = full()
	update(t, g, given)
	spoil(given)
	same("what Update was given changed")
}

// TestForceLastsUntilItIsTakenBack: no update ends it, whatever else the update changes.
func TestForceLastsUntilItIsTakenBack(t *testing.T) {
	withBreaker := policy()
	withBreaker.Breaker = &resilience.BreakerPolicy{}
	disabled := withBreaker
	disabled.Breaker = &resilience.BreakerPolicy{Mode: resilience.BreakerDisabled}
	larger := withBreaker
	larger.Bulkhead.Limit++
	updates := map[string]resilience.Policy{"no breaker": policy(), "a breaker": withBreaker, "another mode": disabled, "another limit": larger}
	for from, first := range updates {
		for to, next := range updates {
			g := mustNew(t, first)
			if err := g.Force(resilience.BreakerForcedOpen); err != nil {
				t.Fatal(err)
			}
			if err := g.Update(next); err != nil {
				t.Fatal(err)
			}
			if _, err := resilience.Do(t.Context(), g, answer); !errors.Is(err, resilience.ErrOpen) {
				t.Errorf("from %s to %s: %v; want it refused", from, to, err)
			}
			if s := g.Snapshot(); s.Forced != resilience.BreakerForcedOpen || s.Breaker != resilience.BreakerOpen || !s.OpenUntil.IsZero() {
				t.Errorf("from %s to %s: %+v", from, to, s)
			}
			if !reflect.DeepEqual(g.Policy(), next) {
				t.Errorf("from %s to %s: the policy is %+v; want it as it was given", from, to, g.Policy())
			}
			if err := g.Force(resilience.BreakerAuto); err != nil {
				t.Fatal(err)
			}
			if _, err := resilience.Do(t.Context(), g, answer); err != nil || g.Snapshot().Forced != resilience.BreakerAuto {
				t.Errorf("from %s to %s, taken back: %v, %+v", from, to, err, g.Snapshot())
			}
		}
	}
	if err := mustNew(t, policy()).Force("ajar"); !errors.Is(err, resilience.ErrPolicy) {
		t.Errorf("an unknown mode: %v", err)
	}
}

// TestResetBreaker closes a breaker from each of its states, and lets it decide again.
func TestResetBreaker(t *testing.T) {
	for name, bring := range map[string]func(t *testing.T, g *resilience.Guard){
		"open":                   func(*testing.T, *resilience.Guard) {},
		"half-open":              func(*testing.T, *resilience.Guard) { time.Sleep(2 * time.Hour) },
		"half-open, a probe out": func(t *testing.T, g *resilience.Guard) { time.Sleep(2 * time.Hour); t.Cleanup(occupy(t, g, 1)) },
		"forced closed, all failed": func(t *testing.T, g *resilience.Guard) {
			if err := g.Force(resilience.BreakerForcedClosed); err != nil {
				t.Error(err)
			}
			for range 20 {
				_, _ = resilience.Do(t.Context(), g, fail)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := policy()
				p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 4, OpenFor: time.Hour, MaxOpenFor: time.Hour}
				var l log
				g := mustNew(t, p, resilience.WithListener(&l))
				for range 4 {
					_, _ = resilience.Do(t.Context(), g, fail)
				}
				bring(t, g)
				if err := g.ResetBreaker(); err != nil {
					t.Fatal(err)
				}
				if err := g.Force(resilience.BreakerAuto); err != nil {
					t.Fatal(err)
				}
				if s := g.Snapshot(); s.Breaker != resilience.BreakerClosed || s.Calls != 0 || s.Failures != 0 {
					t.Fatalf("%+v after a reset", s)
				}
				time.Sleep(3 * time.Hour) // no timer of the state before may open or probe
				for i := range 5 {
					if _, err := resilience.Do(t.Context(), g, fail); errors.Is(err, resilience.ErrOpen) != (i == 4) {
						t.Errorf("failure %d after the reset: %v", i+1, err)
					}
				}
				changes := l.of(resilience.BreakerChanged)
				for i, e := range changes[1:] {
					if e.From != changes[i].To {
						t.Errorf("change %d goes on from %v; want %v", i+2, e.From, changes[i].To)
					}
				}
			})
		})
	}
	var none *resilience.Guard
	if err := none.ResetBreaker(); !errors.Is(err, resilience.ErrPolicy) {
		t.Error(err)
	}
	if err := mustNew(t, policy()).ResetBreaker(); err != nil {
		t.Errorf("a guard that never had a breaker: %v", err)
	}
}
