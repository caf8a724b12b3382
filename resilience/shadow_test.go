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

func TestShadowCountsWhereItWouldDecideOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 2}
		p.Default = resilience.OperationPolicy{Timeout: time.Second, Idempotent: true}
		p.Operations = map[string]resilience.OperationPolicy{"old": {Timeout: time.Second}}
		g := mustNew(t, p)

		second := policy()
		second.Bulkhead = resilience.BulkheadPolicy{Limit: 1}
		second.Breaker = &resilience.BreakerPolicy{MinimumCalls: 2, OpenFor: 10 * time.Second, Jitter: -1, Probes: 1}
		second.Default = resilience.OperationPolicy{
			Timeout: 300 * time.Millisecond, AttemptTimeout: 200 * time.Millisecond, Idempotent: true, Retry: &resilience.RetryPolicy{},
		}
		s, err := g.Shadow(second)
		if err != nil {
			t.Fatal(err)
		}
		do := func(on resilience.Caller, call func(context.Context) (int, error), want error) {
			t.Helper()
			if _, err := resilience.Do(t.Context(), on, call); !errors.Is(err, want) {
				t.Errorf("%v; want %v", err, want)
			}
		}
		check := func(what string, field func(resilience.ShadowReport) int64, want int64) {
			t.Helper()
			if got := field(s.Report()); got != want {
				t.Errorf("%s: %d; want %d; %+v", what, got, want, s.Report())
			}
		}

		do(g, answer, nil)
		check("same", func(r resilience.ShadowReport) int64 { return r.Same }, 1)
		check("differences", resilience.ShadowReport.Differences, 0)

		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { do(g, takes(100*time.Millisecond), nil) })
		}
		synctest.Wait()
		check("full", func(r resilience.ShadowReport) int64 { return r.WouldRefuseFull }, 1)
		wg.Wait()

		do(g, takes(250*time.Millisecond), nil)
		check("cut", func(r resilience.ShadowReport) int64 { return r.WouldCut }, 1)
		check("timed out", func(r resilience.ShadowReport) int64 { return r.WouldTimeOut }, 0)
		do(g, fail, errDown)
		check("repeat", func(r resilience.ShadowReport) int64 { return r.WouldRepeat }, 1)
		// Two bad of four: the shadow's breaker is open, the guard goes on.
		if r := s.Report(); r.Breaker != resilience.BreakerOpen || g.Snapshot().Calls != 0 {
			t.Errorf("%+v", r)
		}
		do(g, takes(400*time.Millisecond), nil)
		check("open", func(r resilience.ShadowReport) int64 { return r.WouldRefuseOpen }, 1)
		check("timed out", func(r resilience.ShadowReport) int64 { return r.WouldTimeOut }, 1)
		do(g.Operation("old"), answer, nil)
		check("unknown", func(r resilience.ShadowReport) int64 { return r.Unknown }, 1)

		time.Sleep(10 * time.Second)
		synctest.Wait()
		do(g, answer, nil) // a probe of the shadow
		if r := s.Report(); r.Breaker != resilience.BreakerClosed {
			t.Errorf("after a probe: %+v", r)
		}

		// The guard refuses, the shadow would not.
		p.Breaker = &resilience.BreakerPolicy{Mode: resilience.BreakerForcedOpen}
		if err := g.Update(p); err != nil {
			t.Fatal(err)
		}
		do(g, answer, resilience.ErrOpen)
		check("admit", func(r resilience.ShadowReport) int64 { return r.WouldAdmit }, 1)

		s.Stop()
		s.Stop()
		before := s.Report().Attempts
		do(g, answer, resilience.ErrOpen)
		check("after Stop", func(r resilience.ShadowReport) int64 { return r.Attempts }, before)
		wantIdle(t, g)
	})
}

func TestShadowIsCheckedAndReplaced(t *testing.T) {
	g := mustNew(t, policy())
	if _, err := g.Shadow(resilience.Policy{Name: "dep"}); !errors.Is(err, resilience.ErrPolicy) {
		t.Errorf("a bad policy: %v", err)
	}
	other := policy()
	other.Name = "other"
	if _, err := g.Shadow(other); !errors.Is(err, resilience.ErrPolicy) {
		t.Errorf("another name: %v", err)
	}
	first, err := g.Shadow(policy())
	if err != nil {
		t.Fatal(err)
	}
	second, err := g.Shadow(policy())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resilience.Do(t.Context(), g, answer); err != nil {
		t.Fatal(err)
	}
	if a, b := first.Report().Attempts, second.Report().Attempts; a != 0 || b != 1 {
		t.Errorf("the first saw %d, the second %d; want 0 and 1", a, b)
	}
	first.Stop() // does not stop the second
	if _, err := resilience.Do(t.Context(), g, answer); err != nil {
		t.Fatal(err)
	}
	if n := second.Report().Attempts; n != 2 {
		t.Errorf("the second saw %d; want 2", n)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Shadow(policy()); !errors.Is(err, resilience.ErrClosed) {
		t.Errorf("a closed guard: %v", err)
	}
	var none *resilience.Guard
	if _, err := none.Shadow(policy()); !errors.Is(err, resilience.ErrPolicy) {
		t.Errorf("nil: %v", err)
	}
	var nobody *resilience.Shadow
	nobody.Stop()
	if r := nobody.Report(); r.Attempts != 0 {
		t.Error(r)
	}
}

// TestShadowNeverLosesPermits: whatever way attempts end, the shadow's permits
// come back.
func TestShadowNeverLosesPermits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 3, Queue: 2}
		p.Default = resilience.OperationPolicy{
			Timeout: time.Second, AttemptTimeout: 300 * time.Millisecond, Idempotent: true, Retry: &resilience.RetryPolicy{}, Hedge: &resilience.HedgePolicy{Delay: 50 * time.Millisecond},
		}
		g := mustNew(t, p)
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 1, Queue: 1}
		s, err := g.Shadow(p)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				defer func() { _ = recover() }()
				_, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
					time.Sleep(time.Duration(i*13) * time.Millisecond)
					if i%3 == 0 {
						panic("bad call")
					}
					return i, ctx.Err()
				})
				if i%3 == 0 && !errors.Is(err, resilience.ErrRefused) && !errors.Is(err, context.DeadlineExceeded) {
					t.Error("no panic:", err)
				}
			})
			time.Sleep(20 * time.Millisecond)
		}
		wg.Wait()
		synctest.Wait()
		time.Sleep(time.Second)
		// A shadow that had lost its permits would now refuse.
		before := s.Report()
		for range 5 {
			if _, err := resilience.Do(t.Context(), g, answer); err != nil {
				t.Fatal(err)
			}
		}
		after := s.Report()
		if after.WouldRefuseFull != before.WouldRefuseFull || after.WouldWait != before.WouldWait || after.Same-before.Same != 5 {
			t.Errorf("before %+v\nafter %+v", before, after)
		}
	})
}

// TestShadowsHalfOpenCircuitKeepsNothing: attempts that the shadow's ramp would refuse leave
// it its permits and tokens.
func TestShadowsHalfOpenCircuitKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		g := mustNew(t, p)
		p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 2, Probes: 2, Jitter: -1}
		p.RateLimit = &resilience.RateLimitPolicy{PerSecond: 1, Burst: 9}
		s, err := g.Shadow(p)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Until(s.Report().OpenUntil))
		synctest.Wait()
		var wg sync.WaitGroup
		crowd := func(n int) {
			for range n {
				wg.Go(func() {
					if _, err := resilience.Do(t.Context(), g, takes(10*time.Millisecond)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		crowd(1)
		crowd(10) // of which one is the other probe
		if r := s.Report(); r.Breaker != resilience.BreakerClosed || r.WouldRefuseOpen != 9 {
			t.Fatalf("%+v", r)
		}
		crowd(7) // as many as there are tokens, and no more than there are permits
		crowd(1)
		if r := s.Report(); r.WouldWait != 0 || r.WouldRefuseFull != 0 || r.WouldRefuseLimited != 1 {
			t.Errorf("%+v; want nothing refused but the last, which has no token", r)
		}
	})
}

// TestDifferencesAreAllThatWouldBeOtherwise: each count once, and none of the others.
func TestDifferencesAreAllThatWouldBeOtherwise(t *testing.T) {
	r := resilience.ShadowReport{
		WouldRefuseOpen: 1, WouldRefuseFull: 10, WouldRefuseLimited: 100, WouldAdmit: 1e3, WouldCut: 1e4, WouldTimeOut: 1e5, WouldRepeat: 1e6, WouldNotRepeat: 1e7,
		Attempts: 5, Same: 5, WouldWait: 5, Unknown: 5,
	}
	if got := r.Differences(); got != 11111111 {
		t.Errorf("%d; want 11111111", got)
	}
}

// A shadow of the guard's own policy decides as the guard does, however a call ends and
// however late that is. A value that comes after its deadline is a slow success for both,
// and the end of the caller's deadline is a failure for neither.
func TestShadowOfTheSamePolicyAgrees(t *testing.T) {
	// late returns a result at that time, whatever its context says.
	late := func(d time.Duration, err error) func(context.Context) (int, error) {
		return func(context.Context) (int, error) { time.Sleep(d); return 1, err }
	}
	waits := func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }
	// keeps notices the end of its context, and needs some time to return.
	keeps := func(ctx context.Context) (int, error) {
		<-ctx.Done()
		time.Sleep(2 * time.Second)
		return 0, ctx.Err()
	}
	works := map[string]func(context.Context) (int, error){
		"a value": late(0, nil), "a slow value": late(90*time.Millisecond, nil),
		"a value after the attempt timeout": late(150*time.Millisecond, nil),
		"a value after the timeout":         late(2*time.Second, nil),
		"an error":                          late(0, errDown), "a late error": late(2*time.Second, errDown),
		"a late timeout": late(2*time.Second, context.DeadlineExceeded),
		"waits":          waits, "returns late": keeps,
	}
	policies := map[string]func(*resilience.OperationPolicy){
		"timeout":         func(o *resilience.OperationPolicy) { o.Timeout = 100 * time.Millisecond },
		"attempt timeout": func(o *resilience.OperationPolicy) { o.AttemptTimeout = 100 * time.Millisecond },
		"retry": func(o *resilience.OperationPolicy) {
			o.AttemptTimeout, o.Retry = 100*time.Millisecond, &resilience.RetryPolicy{MaxAttempts: 2}
		},
		"hedge": func(o *resilience.OperationPolicy) {
			o.AttemptTimeout, o.Hedge = 100*time.Millisecond, &resilience.HedgePolicy{Delay: 20 * time.Millisecond}
		},
		"detach": func(o *resilience.OperationPolicy) { o.Timeout, o.Detach = 100*time.Millisecond, true },
	}
	for work, call := range works {
		for name, change := range policies {
			for _, patience := range []time.Duration{0, 50 * time.Millisecond, 100 * time.Millisecond, 130 * time.Millisecond} {
				t.Run(work+"/"+name+"/"+patience.String(), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { shadowAgrees(t, call, change, patience) })
				})
			}
		}
	}
}

func shadowAgrees(t *testing.T, call func(context.Context) (int, error), change func(*resilience.OperationPolicy), patience time.Duration) {
	p := policy()
	p.Bulkhead = resilience.BulkheadPolicy{Limit: 20}
	p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 8, Window: time.Minute, OpenFor: time.Hour, Jitter: -1}
	p.Default = resilience.OperationPolicy{Timeout: time.Second, Idempotent: true}
	change(&p.Default)
	if p.Default.Retry != nil || p.Default.Hedge != nil {
		p.Budget = &resilience.BudgetPolicy{Ratio: 1}
	}
	g := mustNew(t, p)
	s, err := g.Shadow(p)
	if err != nil {
		t.Fatal(err)
	}
	for range 8 {
		ctx, cancel := t.Context(), context.CancelFunc(func() {})
		if patience > 0 {
			ctx, cancel = context.WithTimeout(ctx, patience)
		}
		_, _ = resilience.Do(ctx, g, call)
		time.Sleep(3 * time.Second) // what was left behind has returned
		cancel()
	}
	synctest.Wait()
	if now, r := g.Snapshot(), s.Report(); r.Breaker != now.Breaker || r.Differences() != 0 {
		t.Errorf("the guard counts %d failures of %d calls and is %v, its shadow has %+v", now.Failures, now.Calls, now.Breaker, r)
	}
}
