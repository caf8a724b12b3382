package resilience_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// within calls with a deadline of the caller's own.
func within(t *testing.T, d time.Duration, on resilience.Caller, call func(context.Context) (int, error), opts ...resilience.CallOption[int]) (resilience.Result[int], error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return resilience.Do(ctx, on, call, opts...)
}

// TestCallersOwnDeadline: a caller that has less patience than the policy says nothing
// about the dependency, unless the attempt was already slow.
func TestCallersOwnDeadline(t *testing.T) {
	const patience = 100 * time.Millisecond
	ignores := func(context.Context) (int, error) { // its context
		time.Sleep(3 * patience)
		return 0, context.DeadlineExceeded
	}
	dials := func(ctx context.Context) (int, error) { // as package net says it
		<-ctx.Done()
		return 0, &net.OpError{Op: "dial", Err: timeoutError{}}
	}
	fails := func(ctx context.Context) (int, error) { // for another reason
		<-ctx.Done()
		return 0, errDown
	}
	for name, c := range map[string]struct {
		call           func(context.Context) (int, error)
		set            func(*resilience.Policy)
		failures, slow int
	}{
		"shorter than the policy's":         {call: takes(time.Minute)},
		"hedged":                            {call: takes(time.Minute), set: func(p *resilience.Policy) { p.Default.Hedge = &resilience.HedgePolicy{Delay: patience / 2} }},
		"detached":                          {call: takes(time.Minute), set: func(p *resilience.Policy) { p.Default.Detach = true }},
		"with attempts":                     {call: takes(time.Minute), set: func(p *resilience.Policy) { p.Default.AttemptTimeout = 2 * patience }},
		"in the network's words":            {call: dials},
		"slow already":                      {call: takes(time.Minute), set: func(p *resilience.Policy) { p.Breaker.SlowCall = patience / 2 }, slow: 1},
		"not yet slow":                      {call: takes(time.Minute), set: func(p *resilience.Policy) { p.Breaker.SlowCall = 2 * patience }},
		"after the attempt timeout":         {call: takes(time.Minute), set: func(p *resilience.Policy) { p.Default.AttemptTimeout = patience / 2 }, failures: 1},
		"ignored, until past the attempt's": {call: ignores, set: func(p *resilience.Policy) { p.Default.AttemptTimeout = 2 * patience }, failures: 1},
		"longer than the policy's":          {call: takes(time.Minute), set: func(p *resilience.Policy) { p.Default.Timeout = patience / 2 }, failures: 1},
		"with an error that is no time-out": {call: fails, failures: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := breaking()
				p.Default.Idempotent, p.Default.Retry = true, &resilience.RetryPolicy{}
				p.Bulkhead.Adaptive = &resilience.AdaptivePolicy{Objective: time.Minute}
				if c.set != nil {
					c.set(&p)
				}
				var mu sync.Mutex
				var verdicts []resilience.Verdict
				g := mustNew(t, p, resilience.WithListener(listen(func(_ context.Context, e resilience.Event) context.Context {
					if e.Kind == resilience.AttemptEnded {
						mu.Lock()
						defer mu.Unlock()
						verdicts = append(verdicts, e.Verdict)
					}
					return nil
				})))
				before := g.Snapshot()
				_, err := within(t, patience, g, c.call)
				if err == nil {
					t.Fatal("no error")
				}
				synctest.Wait()
				want := resilience.Ignored
				if c.failures > 0 {
					want = resilience.Failure
				}
				mu.Lock()
				defer mu.Unlock()
				s := g.Snapshot()
				if s.Failures < c.failures || s.Failures > 0 && c.failures == 0 || s.Slow != c.slow {
					t.Errorf("%d failures and %d slow of %d; want %d and %d", s.Failures, s.Slow, s.Calls, c.failures, c.slow)
				}
				if len(verdicts) == 0 || verdicts[0].Outcome != want {
					t.Errorf("verdicts %v; want %v", verdicts, want)
				}
				if c.failures == 0 && (s.Budget != before.Budget || s.Limit != before.Limit) && p.Default.Hedge == nil {
					t.Errorf("budget %v to %v, limit %d to %d; want no change", before.Budget, s.Budget, before.Limit, s.Limit)
				}
			})
		})
	}
}

type timeoutError struct{}

func (timeoutError) Error() string { return "i/o timeout" }
func (timeoutError) Timeout() bool { return true }

// TestCallersOwnDeadlineOfAProbe neither closes nor opens a circuit, unless it was slow.
func TestCallersOwnDeadlineOfAProbe(t *testing.T) {
	for name, c := range map[string]struct {
		slowCall time.Duration
		want     resilience.BreakerState
	}{
		"says nothing": {0, resilience.BreakerHalfOpen},
		"was slow":     {50 * time.Millisecond, resilience.BreakerOpen},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := breaking()
				p.Breaker.SlowCall = c.slowCall
				g := halfOpen(t, p)
				if _, err := within(t, 100*time.Millisecond, g, takes(time.Minute)); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatal(err)
				}
				synctest.Wait()
				if s := state(g); s != c.want {
					t.Fatalf("%v; want %v", s, c.want)
				}
				if c.want == resilience.BreakerHalfOpen {
					if _, err := resilience.Do(t.Context(), g, answer); err != nil {
						t.Errorf("the probe's place did not come back: %v", err)
					}
				}
			})
		})
	}
}

// TestCallersOwnDeadlineStillHasAFallback, and tells that it was the time.
func TestCallersOwnDeadlineStillHasAFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, breaking())
		res, err := within(t, time.Millisecond, g, takes(time.Minute), resilience.FallbackValue(7))
		if err != nil || res.Value != 7 || !errors.Is(res.Cause, context.DeadlineExceeded) {
			t.Errorf("%+v, %v", res, err)
		}
		var call *resilience.CallError
		if _, err := within(t, time.Millisecond, g, takes(time.Minute)); !errors.As(err, &call) || call.Gave != "out of time" {
			t.Errorf("error %v; want out of time", err)
		}
	})
}

// TestCallersOwnDeadlineInAShadow: what cut the call live would have been the shadow's
// own timeout, or a slow call of its.
func TestCallersOwnDeadlineInAShadow(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*resilience.Policy)
		want resilience.BreakerState
	}{
		"agrees":           {func(*resilience.Policy) {}, resilience.BreakerClosed},
		"is less patient":  {func(p *resilience.Policy) { p.Default.AttemptTimeout = 50 * time.Millisecond }, resilience.BreakerOpen},
		"calls it slow":    {func(p *resilience.Policy) { p.Breaker.SlowCall = 50 * time.Millisecond }, resilience.BreakerOpen},
		"is not that slow": {func(p *resilience.Policy) { p.Breaker.SlowCall = time.Second }, resilience.BreakerClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := mustNew(t, breaking())
				p := breaking()
				p.Breaker.OpenFor = time.Hour
				c.set(&p)
				s, err := g.Shadow(p)
				if err != nil {
					t.Fatal(err)
				}
				for range 10 {
					_, _ = within(t, 100*time.Millisecond, g, takes(time.Minute))
				}
				if r := s.Report(); r.Breaker != c.want {
					t.Errorf("%v; want %v", r.Breaker, c.want)
				}
				if state(g) != resilience.BreakerClosed {
					t.Error("the live circuit opened")
				}
			})
		})
	}
}
