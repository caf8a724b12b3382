package resilience

import (
	"cmp"
	"math"
	"time"
)

// The defaults, in one place. The comments of the policies' fields name them.
const (
	defaultAdaptiveMin       = 1
	defaultAdaptiveMaxFactor = 10

	defaultWindow       = 10 * time.Second
	defaultMinimumCalls = 20
	defaultFailureRate  = 0.5
	defaultSlowRate     = 0.8
	defaultOpenFor      = 5 * time.Second
	defaultMaxOpenGrow  = 6
	defaultJitter       = 0.2
	defaultProbes       = 5

	defaultMaxAttempts = 3
	defaultBaseDelay   = 50 * time.Millisecond
	defaultMaxDelay    = 2 * time.Second
	defaultMultiplier  = 2

	defaultBudgetRatio = 0.2
	defaultBudgetBurst = 10

	defaultMaxHedges = 1

	defaultThrottleK      = 2
	defaultThrottleWindow = 2 * time.Minute
)

// WithDefaults returns a copy of the policy in which every zero field of a policy
// that is on has its default. The result shares nothing with the receiver.
func (p Policy) WithDefaults() Policy {
	if p.Bulkhead.Adaptive != nil {
		a := *p.Bulkhead.Adaptive
		a.Min = cmp.Or(a.Min, defaultAdaptiveMin)
		a.Max = cmp.Or(a.Max, max(p.Bulkhead.Limit, defaultAdaptiveMaxFactor*min(p.Bulkhead.Limit, maxPermits/defaultAdaptiveMaxFactor)))
		p.Bulkhead.Adaptive = &a
	}
	if p.RateLimit != nil {
		r := *p.RateLimit
		r.Burst = cmp.Or(r.Burst, max(1, int(math.Ceil(min(r.PerSecond, math.MaxInt32)))))
		p.RateLimit = &r
	}
	if p.Breaker != nil {
		b := *p.Breaker
		b.Window = cmp.Or(b.Window, defaultWindow)
		b.MinimumCalls = cmp.Or(b.MinimumCalls, defaultMinimumCalls)
		b.FailureRate = cmp.Or(b.FailureRate, defaultFailureRate)
		if b.SlowCall > 0 {
			b.SlowRate = cmp.Or(b.SlowRate, defaultSlowRate)
		}
		b.OpenFor = cmp.Or(b.OpenFor, defaultOpenFor)
		b.MaxOpenFor = cmp.Or(b.MaxOpenFor, defaultMaxOpenGrow*min(b.OpenFor, maxDuration))
		b.Jitter = cmp.Or(b.Jitter, defaultJitter)
		b.Probes = cmp.Or(b.Probes, defaultProbes)
		p.Breaker = &b
	}
	if p.Throttle != nil {
		t := *p.Throttle
		t.K = cmp.Or(t.K, defaultThrottleK)
		t.Window = cmp.Or(t.Window, defaultThrottleWindow)
		p.Throttle = &t
	}
	p.Errors = p.Errors.clone()
	repeats := p.Default.repeats()
	p.Default = p.Default.withDefaults()
	if p.Operations != nil {
		ops := make(map[string]OperationPolicy, len(p.Operations))
		for name, o := range p.Operations {
			repeats = repeats || o.repeats()
			ops[name] = o.withDefaults()
		}
		p.Operations = ops
	}
	if p.Budget != nil || repeats {
		var b BudgetPolicy
		if p.Budget != nil {
			b = *p.Budget
		}
		b = b.withDefaults()
		p.Budget = &b
	}
	if p.Expect != nil {
		e := *p.Expect
		p.Expect = &e
	}
	return p
}

func (b BudgetPolicy) withDefaults() BudgetPolicy {
	b.Ratio = cmp.Or(b.Ratio, defaultBudgetRatio)
	b.Burst = cmp.Or(b.Burst, defaultBudgetBurst)
	return b
}

// inForce returns the policy that a gate works with: WithDefaults, with zero in place
// of negative values, which mean "none".
func (p Policy) inForce() Policy {
	p = p.WithDefaults()
	if p.Breaker != nil {
		p.Breaker.Jitter = max(0, p.Breaker.Jitter)
	}
	if p.Budget != nil {
		*p.Budget = p.Budget.inForce()
	}
	p.Default.dropNegative()
	for name, o := range p.Operations {
		o.dropNegative()
		p.Operations[name] = o
	}
	return p
}

func (b BudgetPolicy) inForce() BudgetPolicy {
	b.Ratio, b.Burst = max(0, b.Ratio), max(0, b.Burst)
	return b
}

// dropNegative does that for one operation. The operation's parts must not be shared
// with another policy.
func (o *OperationPolicy) dropNegative() {
	if o.Retry != nil {
		o.Retry.BaseDelay = max(0, o.Retry.BaseDelay)
	}
	if o.Hedge != nil {
		o.Hedge.MaxHedges = max(0, o.Hedge.MaxHedges)
	}
}

func (o OperationPolicy) repeats() bool { return o.Retry != nil || o.Hedge != nil }

func (o OperationPolicy) withDefaults() OperationPolicy {
	if o.Retry != nil {
		r := *o.Retry
		r.MaxAttempts = cmp.Or(r.MaxAttempts, defaultMaxAttempts)
		r.BaseDelay = cmp.Or(r.BaseDelay, defaultBaseDelay)
		r.MaxDelay = cmp.Or(r.MaxDelay, max(defaultMaxDelay, r.BaseDelay))
		r.Multiplier = cmp.Or(r.Multiplier, defaultMultiplier)
		o.Retry = &r
	}
	if o.Hedge != nil {
		h := *o.Hedge
		h.MaxHedges = cmp.Or(h.MaxHedges, defaultMaxHedges)
		o.Hedge = &h
	}
	if o.Stale != nil {
		s := *o.Stale
		o.Stale = &s
	}
	return o
}
