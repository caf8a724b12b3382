package resilience_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"pgregory.net/rapid"
)

// TestBadPoliciesAreRefused has a row for each way in which a field can be wrong by
// itself or together with another. New must name the field and say what to do.
func TestBadPoliciesAreRefused(t *testing.T) {
	type p = resilience.Policy
	rows := map[string]struct {
		field string
		set   func(*p)
	}{
		"no name":                      {"name", func(x *p) { x.Name = "" }},
		"no limit":                     {"bulkhead.limit", func(x *p) { x.Bulkhead.Limit = 0 }},
		"negative limit":               {"bulkhead.limit", func(x *p) { x.Bulkhead.Limit = -1 }},
		"limit too large":              {"bulkhead.limit", func(x *p) { x.Bulkhead.Limit = math.MaxInt }},
		"negative queue":               {"bulkhead.queue", func(x *p) { x.Bulkhead.Queue = -1 }},
		"negative wait":                {"bulkhead.max_wait", func(x *p) { x.Bulkhead.MaxWait = -1 }},
		"no objective":                 {"bulkhead.adaptive.objective", func(x *p) { x.Bulkhead.Adaptive = &resilience.AdaptivePolicy{} }},
		"floor above start":            {"bulkhead.adaptive.min", func(x *p) { x.Bulkhead.Adaptive = &resilience.AdaptivePolicy{Objective: 1, Min: 11} }},
		"ceiling below start":          {"bulkhead.adaptive.max", func(x *p) { x.Bulkhead.Adaptive = &resilience.AdaptivePolicy{Objective: 1, Max: 9} }},
		"negative ceiling":             {"bulkhead.adaptive.max", func(x *p) { x.Bulkhead.Adaptive = &resilience.AdaptivePolicy{Objective: 1, Max: -1} }},
		"no rate":                      {"rate_limit.per_second", func(x *p) { x.RateLimit = &resilience.RateLimitPolicy{} }},
		"rate is no number":            {"rate_limit.per_second", func(x *p) { x.RateLimit = &resilience.RateLimitPolicy{PerSecond: math.NaN()} }},
		"rate without end":             {"rate_limit.per_second", func(x *p) { x.RateLimit = &resilience.RateLimitPolicy{PerSecond: math.Inf(1)} }},
		"negative burst":               {"rate_limit.burst", func(x *p) { x.RateLimit = &resilience.RateLimitPolicy{PerSecond: 1, Burst: -1} }},
		"negative window":              {"breaker.window", func(x *p) { x.Breaker.Window = -1 }},
		"window too short":             {"breaker.window", func(x *p) { x.Breaker.Window = 1 }},
		"negative minimum":             {"breaker.minimum_calls", func(x *p) { x.Breaker.MinimumCalls = -1 }},
		"failure rate above 1":         {"breaker.failure_rate", func(x *p) { x.Breaker.FailureRate = 1.1 }},
		"failure rate is no number":    {"breaker.failure_rate", func(x *p) { x.Breaker.FailureRate = math.NaN() }},
		"negative slow call":           {"breaker.slow_call", func(x *p) { x.Breaker.SlowCall = -1 }},
		"slow rate without slow call":  {"breaker.slow_rate", func(x *p) { x.Breaker.SlowRate = 0.5 }},
		"negative open period":         {"breaker.open_for", func(x *p) { x.Breaker.OpenFor = -1 }},
		"longest below first":          {"breaker.max_open_for", func(x *p) { x.Breaker.OpenFor, x.Breaker.MaxOpenFor = 2, 1 }},
		"longest below the default":    {"breaker.max_open_for", func(x *p) { x.Breaker.MaxOpenFor = time.Second }},
		"jitter of 1":                  {"breaker.jitter", func(x *p) { x.Breaker.Jitter = 1 }},
		"negative probes":              {"breaker.probes", func(x *p) { x.Breaker.Probes = -1 }},
		"negative probe timeout":       {"breaker.probe_timeout", func(x *p) { x.Breaker.ProbeTimeout = -1 }},
		"unknown mode":                 {"breaker.mode", func(x *p) { x.Breaker.Mode = "ajar" }},
		"ratio above 1":                {"budget.ratio", func(x *p) { x.Budget = &resilience.BudgetPolicy{Ratio: 2} }},
		"negative tokens by time":      {"budget.per_second", func(x *p) { x.Budget = &resilience.BudgetPolicy{PerSecond: -1} }},
		"tokens without end":           {"budget.per_second", func(x *p) { x.Budget = &resilience.BudgetPolicy{PerSecond: math.Inf(1)} }},
		"ratio is no number":           {"budget.ratio", func(x *p) { x.Budget = &resilience.BudgetPolicy{Ratio: math.NaN()} }},
		"tokens that wrap around":      {"budget.burst", func(x *p) { x.Budget = &resilience.BudgetPolicy{Burst: math.MaxInt} }},
		"more calls than are counted":  {"breaker.minimum_calls", func(x *p) { x.Breaker.MinimumCalls = 1<<20 + 1 }},
		"minimum beyond sense":         {"breaker.minimum_calls", func(x *p) { x.Breaker.MinimumCalls = math.MaxInt }},
		"probes beyond sense":          {"breaker.probes", func(x *p) { x.Breaker.Probes = math.MaxInt }},
		"attempts beyond sense":        {"default.retry.max_attempts", func(x *p) { x.Default.Retry = &resilience.RetryPolicy{MaxAttempts: math.MaxInt} }},
		"no timeout":                   {"default.timeout", func(x *p) { x.Default.Timeout = 0 }},
		"negative timeout":             {"default.timeout", func(x *p) { x.Default.Timeout = -1 }},
		"timeout beyond sense":         {"default.timeout", func(x *p) { x.Default.Timeout = math.MaxInt64 }},
		"objective beyond sense":       {"bulkhead.adaptive.objective", func(x *p) { x.Bulkhead.Adaptive = &resilience.AdaptivePolicy{Objective: math.MaxInt64} }},
		"open beyond sense":            {"breaker.open_for", func(x *p) { x.Breaker.OpenFor = math.MaxInt64 }},
		"negative attempt":             {"default.attempt_timeout", func(x *p) { x.Default.AttemptTimeout = -1 }},
		"attempt above total":          {"default.attempt_timeout", func(x *p) { x.Default.AttemptTimeout = time.Hour }},
		"unknown class":                {"default.criticality", func(x *p) { x.Default.Criticality = 9 }},
		"negative attempts":            {"default.retry.max_attempts", func(x *p) { x.Default.Retry = &resilience.RetryPolicy{MaxAttempts: -1} }},
		"longest pause below first":    {"default.retry.max_delay", func(x *p) { x.Default.Retry = &resilience.RetryPolicy{BaseDelay: 2, MaxDelay: 1} }},
		"shrinking pauses":             {"default.retry.multiplier", func(x *p) { x.Default.Retry = &resilience.RetryPolicy{Multiplier: 0.5} }},
		"hedge never":                  {"default.hedge", func(x *p) { x.Default.Idempotent, x.Default.Hedge = true, &resilience.HedgePolicy{} }},
		"hedge what is not idempotent": {"default.hedge", func(x *p) { x.Default.Hedge = &resilience.HedgePolicy{Delay: 1} }},
		"hedge after the end": {"default.hedge.delay", func(x *p) {
			x.Default.Idempotent, x.Default.Hedge = true, &resilience.HedgePolicy{Delay: time.Hour}
		}},
		"quantile of 1": {"default.hedge.quantile", func(x *p) {
			x.Default.Idempotent, x.Default.Hedge = true, &resilience.HedgePolicy{Quantile: 1}
		}},
		"hedges without end": {"default.hedge.max_hedges", func(x *p) {
			x.Default.Idempotent, x.Default.Hedge = true, &resilience.HedgePolicy{Delay: 1, MaxHedges: math.MaxInt}
		}},
		"no age":                 {"default.stale.max_age", func(x *p) { x.Default.Stale = &resilience.StalePolicy{} }},
		"fresh longer than good": {"default.stale.fresh_for", func(x *p) { x.Default.Stale = &resilience.StalePolicy{MaxAge: 1, FreshFor: 2} }},
		"refresh when not fresh": {"default.stale.refresh_ahead", func(x *p) { x.Default.Stale = &resilience.StalePolicy{MaxAge: 3, FreshFor: 1, RefreshAhead: 2} }},
		"reserved name": {"operations.default", func(x *p) {
			x.Operations = map[string]resilience.OperationPolicy{"default": {Timeout: 1}}
		}},
		"bad operation":     {"operations.plan.timeout", func(x *p) { x.Operations = map[string]resilience.OperationPolicy{"plan": {}} }},
		"load is no number": {"expect.per_second", func(x *p) { x.Expect = &resilience.Expectation{PerSecond: math.NaN()} }},
		"negative latency":  {"expect.latency", func(x *p) { x.Expect = &resilience.Expectation{Latency: -1} }},
	}
	good := func() p {
		x := policy()
		x.Breaker = &resilience.BreakerPolicy{}
		return x
	}
	g := mustNew(t, good())
	for name, row := range rows {
		bad := good()
		row.set(&bad)
		_, err := resilience.New(bad)
		var pe *resilience.PolicyError
		if !errors.Is(err, resilience.ErrPolicy) || !errors.As(err, &pe) {
			t.Errorf("%s: New says %v", name, err)
			continue
		}
		found := false
		for _, f := range pe.Findings {
			found = found || f.Field == row.field && f.Severity == resilience.Error && f.Problem != "" && f.Change != ""
		}
		if !found || !strings.Contains(err.Error(), row.field) {
			t.Errorf("%s: nothing is said of %s: %v", name, row.field, err)
		}
		bad.Name = "dep"
		if row.field != "name" {
			if err := g.Update(bad); !errors.Is(err, resilience.ErrPolicy) {
				t.Errorf("%s: Update says %v", name, err)
			}
			if _, err := g.Shadow(bad); !errors.Is(err, resilience.ErrPolicy) {
				t.Errorf("%s: Shadow says %v", name, err)
			}
		}
	}
	if _, err := resilience.Do(t.Context(), g, answer); err != nil {
		t.Errorf("after %d bad updates: %v", len(rows), err)
	}
}

// TestNilContext: the other misuses are in TestMisuseIsAnErrorNotAPanic.
func TestNilContext(t *testing.T) {
	var none context.Context
	if _, err := resilience.Do(none, mustNew(t, policy()), answer); !errors.Is(err, resilience.ErrPolicy) {
		t.Errorf("%v; want ErrPolicy", err)
	}
}

// TestExtremesDoNoHarm: whatever a policy says, New answers; and under a policy
// that it takes, a call that answers at once is answered, and one that fails at
// once fails with its own error. The largest durations must not wrap around.
func TestExtremesDoNoHarm(t *testing.T) {
	durations := rapid.SampledFrom([]time.Duration{math.MinInt64, -1, 0, 1, time.Microsecond, time.Millisecond, 100 * time.Millisecond, time.Hour, 1 << 61, math.MaxInt64 - 1, math.MaxInt64})
	counts := rapid.SampledFrom([]int{math.MinInt, -1, 0, 1, 2, 5, 1 << 29, 1 << 30, 1<<30 + 1, math.MaxInt32, math.MaxInt})
	shares := rapid.SampledFrom([]float64{math.NaN(), math.Inf(-1), -1, 0, 1e-300, 0.1, 0.99, 1, 2, 1e300, math.Inf(1)})
	valid := 0
	rapid.Check(t, func(rt *rapid.T) {
		d := func(name string) time.Duration {
			if rapid.IntRange(0, 9).Draw(rt, "sane "+name) > 0 {
				return 0
			}
			return durations.Draw(rt, name)
		}
		n := func(name string) int {
			if rapid.IntRange(0, 9).Draw(rt, "sane "+name) > 0 {
				return 0
			}
			return counts.Draw(rt, name)
		}
		f := func(name string) float64 {
			if rapid.IntRange(0, 9).Draw(rt, "sane "+name) > 0 {
				return 0
			}
			return shares.Draw(rt, name)
		}
		on := func(name string) bool { return rapid.Bool().Draw(rt, name) }
		p := policy()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: max(1, n("limit")), Queue: n("queue"), MaxWait: d("max_wait"), LIFO: on("lifo")}
		if on("adaptive") {
			p.Bulkhead.Adaptive = &resilience.AdaptivePolicy{Objective: max(1, d("objective")), Min: n("min"), Max: n("max")}
		}
		if on("rate limit") {
			p.RateLimit = &resilience.RateLimitPolicy{PerSecond: max(1, f("per_second")), Burst: n("burst")}
		}
		if on("breaker") {
			p.Breaker = &resilience.BreakerPolicy{Window: d("window"), MinimumCalls: n("minimum"), FailureRate: f("failures"), SlowCall: d("slow_call"), SlowRate: f("slow"),
				OpenFor: d("open_for"), MaxOpenFor: d("max_open_for"), Jitter: f("jitter"), Probes: n("probes"), ProbeTimeout: d("probe_timeout")}
		}
		if on("budget") {
			p.Budget = &resilience.BudgetPolicy{Ratio: f("ratio"), Burst: n("tokens")}
		}
		p.Default = resilience.OperationPolicy{Timeout: max(time.Second, d("timeout")), AttemptTimeout: d("attempt_timeout"), Idempotent: true, Detach: on("detach")}
		if on("retry") {
			p.Default.Retry = &resilience.RetryPolicy{MaxAttempts: n("attempts") & 7, BaseDelay: d("base"), MaxDelay: d("max"), Multiplier: f("multiplier")}
		}
		if on("hedge") {
			p.Default.Hedge = &resilience.HedgePolicy{Delay: d("delay"), Quantile: f("quantile"), MaxHedges: n("hedges")}
		}
		var problem string
		taken := false
		synctest.Test(t, func(t *testing.T) {
			g, err := resilience.New(p)
			if err != nil {
				if !errors.Is(err, resilience.ErrPolicy) {
					problem = err.Error()
				}
				return
			}
			defer g.Close()
			taken = true
			_, _ = p.Worst(), g.Snapshot()
			limited := p.RateLimit != nil && p.RateLimit.PerSecond < 1 // its bucket is full all the same
			if res, err := resilience.Do(t.Context(), g, answer); err != nil || res.Value != 42 {
				problem = "a call that answers: " + err.Error()
			}
			if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) && !limited && !errors.Is(err, resilience.ErrRateLimited) {
				problem = "a call that fails: " + err.Error()
			}
		})
		if problem != "" {
			rt.Fatalf("%s\n%+v", problem, p)
		}
		if taken {
			valid++
		}
	})
	if valid == 0 {
		t.Error("no policy was taken; the test has tested nothing")
	}
}

// TestLongestDurations: the longest durations that are taken do what they say.
// Longer ones, which wrapped around when added up, are refused.
func TestLongestDurations(t *testing.T) {
	const longest = 10 * 365 * 24 * time.Hour
	for name, set := range map[string]func(*resilience.Policy){
		"timeout":  func(p *resilience.Policy) {},
		"detached": func(p *resilience.Policy) { p.Default.Detach = true },
		"hedged":   func(p *resilience.Policy) { p.Default.Hedge = &resilience.HedgePolicy{Delay: longest - 1} },
		"attempt":  func(p *resilience.Policy) { p.Default.AttemptTimeout = longest },
		"retried":  func(p *resilience.Policy) { p.Default.Retry = &resilience.RetryPolicy{BaseDelay: longest} },
		"open": func(p *resilience.Policy) {
			p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 1, FailureRate: 0.1, OpenFor: longest}
		},
		"adaptive": func(p *resilience.Policy) {
			p.Bulkhead = resilience.BulkheadPolicy{Limit: 1 << 30, Adaptive: &resilience.AdaptivePolicy{Objective: longest}}
		},
		"queue": func(p *resilience.Policy) {
			p.Bulkhead = resilience.BulkheadPolicy{Limit: 1, Queue: 1, MaxWait: longest}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := policy()
				p.Default.Timeout, p.Default.Idempotent = longest, true
				set(&p)
				g := mustNew(t, p)
				time.Sleep(time.Second) // offsets are not zero
				done := make(chan error, 1)
				go func() { _, err := resilience.Do(t.Context(), g, takes(time.Millisecond)); done <- err }()
				synctest.Wait()
				if _, err := resilience.Do(t.Context(), g, takes(time.Millisecond)); err != nil {
					t.Error(err)
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
				if p.Default.Retry == nil {
					if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) {
						t.Error(err)
					}
				}
				time.Sleep(1000 * time.Hour)
				if _, err := resilience.Do(t.Context(), g, answer); (p.Breaker != nil) != errors.Is(err, resilience.ErrOpen) {
					t.Errorf("after 1000 h: %v", err)
				}
				wantIdle(t, g)
			})
		})
	}
}
