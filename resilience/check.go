package resilience

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/internal/plural"
)

// Severity says what a finding means for New. It is a value.
type Severity uint8

// The severities of a finding.
const (
	// Warning means that the policy is accepted, but may not do what its author
	// intended.
	Warning Severity = iota
	// Error means that New and Update refuse the policy.
	Error
)

// String returns warning or error.
func (s Severity) String() string {
	if s == Error {
		return "error"
	}
	return "warning"
}

// MarshalText makes a severity readable in JSON and YAML.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Severity) UnmarshalText(text []byte) error {
	return unmarshalName(s, text, "severity", Warning, Error)
}

// Finding is one thing that Check noticed. It is a value.
type Finding struct {
	Severity Severity `json:"severity"`
	// Field is the path of the field as in YAML, for example
	// operations.plan.retry.max_attempts.
	Field string `json:"field"`
	// Problem says what is wrong, with the values; Change says what to do.
	Problem string `json:"problem"`
	Change  string `json:"change"`
}

// String returns one line: field: severity: problem; change.
func (f Finding) String() string {
	return f.Field + ": " + f.Severity.String() + ": " + f.Problem + "; " + f.Change
}

// PolicyError is the error for a policy that is not valid. It matches ErrPolicy.
type PolicyError struct {
	// Dependency is the policy's name; empty if it has none.
	Dependency string
	// Findings holds all findings of severity Error, and no warnings.
	Findings []Finding
}

// Error names every problem, one per line.
func (e *PolicyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %q:", ErrPolicy, e.Dependency)
	for _, f := range e.Findings {
		fmt.Fprintf(&b, "\n  %s: %s; %s", f.Field, f.Problem, f.Change)
	}
	return b.String()
}

// Unwrap returns ErrPolicy.
func (e *PolicyError) Unwrap() error { return ErrPolicy }

// Check returns everything that is wrong (Error) or doubtful (Warning) about the
// policy, in the order of its fields. It changes nothing.
func (p Policy) Check() []Finding {
	c := checker{}
	c.policy(p)
	if !slices.ContainsFunc(c.findings, func(f Finding) bool { return f.Severity == Error }) {
		c.together(p.WithDefaults())
	}
	return c.findings
}

// valid returns a *PolicyError if Check finds errors.
func (p Policy) valid() error {
	errs := slices.DeleteFunc(p.Check(), func(f Finding) bool { return f.Severity != Error })
	if len(errs) == 0 {
		return nil
	}
	return &PolicyError{Dependency: p.Name, Findings: errs}
}

type checker struct{ findings []Finding }

func (c *checker) err(field, problem, change string) {
	c.findings = append(c.findings, Finding{Error, field, problem, change})
}

func (c *checker) warn(field, problem, change string) {
	c.findings = append(c.findings, Finding{Warning, field, problem, change})
}

func atMost(n float64, noun string) string {
	if n < 1 {
		return "no " + noun
	}
	return "at most " + plural.Count(int(n), noun)
}

// maxHedges bounds the hedges of one call, because room for them is reserved at its
// start.
const maxHedges = 100

// maxDuration bounds every duration, so that sums of them can't wrap around.
const maxDuration = 10 * 365 * 24 * time.Hour

func (c *checker) notNegative(field string, d time.Duration) {
	if d < 0 {
		c.err(field, fmt.Sprintf("is %v, a negative duration", d), "use a duration of zero or more")
	}
	c.notEndless(field, d)
}

func (c *checker) notEndless(field string, d time.Duration) {
	if d > maxDuration {
		c.err(field, fmt.Sprintf("is %v, above ten years", d), "use a shorter duration")
	}
}

func (c *checker) count(field string, n int) {
	switch {
	case n < 0:
		c.err(field, fmt.Sprintf("is %d", n), "use zero or more")
	case n > maxPermits:
		c.err(field, fmt.Sprintf("is %d", n), fmt.Sprintf("use at most %d", maxPermits))
	}
}

func (c *checker) rate(field string, r float64) {
	if r != 0 && !(r > 0 && r <= 1) {
		c.err(field, fmt.Sprintf("is %v", r), "use a share above 0 and up to 1")
	}
}

// policy checks each field by itself, and fields of one struct together.
func (c *checker) policy(p Policy) {
	if p.Name == "" {
		c.err("name", "is empty", "name the dependency, for example catalog")
	}
	b := p.Bulkhead
	switch {
	case b.Limit < 1:
		c.err("bulkhead.limit", fmt.Sprintf("is %d", b.Limit), "state how many calls may run at once, at least 1")
	case b.Limit > maxPermits:
		c.err("bulkhead.limit", fmt.Sprintf("is %d", b.Limit), fmt.Sprintf("use at most %d", maxPermits))
	}
	if b.Queue < 0 || b.Queue > maxPermits {
		c.err("bulkhead.queue", fmt.Sprintf("is %d", b.Queue), fmt.Sprintf("use 0 (none waits) to %d", maxPermits))
	}
	c.notNegative("bulkhead.max_wait", b.MaxWait)
	if b.Queue == 0 && b.MaxWait > 0 {
		c.warn("bulkhead.max_wait", fmt.Sprintf("is %v, and bulkhead.queue is 0, so that no call waits", b.MaxWait), "set bulkhead.queue, or drop max_wait")
	}
	if b.Queue == 0 && b.LIFO {
		c.warn("bulkhead.lifo", "is true, and bulkhead.queue is 0, so that no call waits", "set bulkhead.queue, or drop lifo")
	}
	c.rate("bulkhead.max_share", b.MaxShare)
	if a := b.Adaptive; a != nil {
		c.adaptive(b, *a)
	}
	if r := p.RateLimit; r != nil {
		c.rateLimit(*r)
	}
	if p.Breaker != nil {
		c.breaker(*p.Breaker)
	}
	if t := p.Throttle; t != nil {
		c.throttle(*t)
	}
	if b := p.Budget; b != nil {
		c.budget(*b)
	}
	if e := p.Errors; e != nil {
		c.errors(*e)
	}
	c.operation("default", p.Default)
	for _, name := range slices.Sorted(maps.Keys(p.Operations)) {
		field := "operations." + name
		if name == "" || name == DefaultOperation {
			c.err(field, fmt.Sprintf("%q is not free as a name", name), "use another name; the guard's own operation is the field default")
		}
		c.operation(field, p.Operations[name])
	}
	if e := p.Expect; e != nil {
		if e.PerSecond < 0 || math.IsNaN(e.PerSecond) || math.IsInf(e.PerSecond, 0) {
			c.err("expect.per_second", fmt.Sprintf("is %v", e.PerSecond), "use calls per second, zero or more")
		}
		c.notNegative("expect.latency", e.Latency)
		c.count("expect.retrying_layers", e.RetryingLayers)
	}
}

func (c *checker) rateLimit(r RateLimitPolicy) {
	if !(r.PerSecond > 0) || math.IsInf(r.PerSecond, 0) {
		c.err("rate_limit.per_second", fmt.Sprintf("is %v", r.PerSecond), "state calls per second, above 0")
	}
	c.count("rate_limit.burst", r.Burst)
	c.notNegative("rate_limit.max_wait", r.MaxWait)
}

func (c *checker) throttle(t ThrottlePolicy) {
	if t.K != 0 && !(t.K >= 1 && t.K <= 1e6) {
		c.err("throttle.k", fmt.Sprintf("is %v", t.K), "use 1 to 1000000 requests for each that is accepted, for example 2")
	}
	c.notNegative("throttle.window", t.Window)
	if t.Window > 0 && t.Window < windowBuckets*time.Millisecond {
		c.err("throttle.window", fmt.Sprintf("is %v", t.Window), fmt.Sprintf("use at least %v", windowBuckets*time.Millisecond))
	}
}

func (c *checker) budget(b BudgetPolicy) {
	if !(b.Ratio <= 1) || math.IsInf(b.Ratio, 0) {
		c.err("budget.ratio", fmt.Sprintf("is %v", b.Ratio), "use a share above 0 and up to 1, or a negative value for none")
	}
	c.count("budget.burst", max(0, b.Burst))
	if !(b.PerSecond >= 0 && b.PerSecond <= 1e6) {
		c.err("budget.per_second", fmt.Sprintf("is %v", b.PerSecond), "use 0 to 1000000 tokens for each second")
	}
	if b.Burst < 0 && b.PerSecond > 0 {
		c.warn("budget.per_second", fmt.Sprintf("is %v, and budget.burst forbids all retries and hedges", b.PerSecond), "set budget.burst, or drop per_second")
	}
}

func (c *checker) adaptive(b BulkheadPolicy, a AdaptivePolicy) {
	if a.Objective <= 0 {
		c.err("bulkhead.adaptive.objective", fmt.Sprintf("is %v", a.Objective), "state the latency that calls should keep")
	}
	c.notEndless("bulkhead.adaptive.objective", a.Objective)
	c.count("bulkhead.adaptive.min", a.Min)
	c.count("bulkhead.adaptive.max", a.Max)
	if a.Min > b.Limit && b.Limit > 0 {
		c.err("bulkhead.adaptive.min", fmt.Sprintf("is %d, above bulkhead.limit %d, where the limit starts", a.Min, b.Limit), "lower min or raise limit")
	}
	if a.Max != 0 && a.Max > 0 && a.Max < b.Limit {
		c.err("bulkhead.adaptive.max", fmt.Sprintf("is %d, below bulkhead.limit %d, where the limit starts", a.Max, b.Limit), "raise max or lower limit")
	}
}

func (c *checker) breaker(b BreakerPolicy) {
	c.notNegative("breaker.window", b.Window)
	if b.Window > 0 && b.Window < windowBuckets*time.Millisecond {
		c.err("breaker.window", fmt.Sprintf("is %v", b.Window), fmt.Sprintf("use at least %v", windowBuckets*time.Millisecond))
	}
	c.count("breaker.window_calls", b.WindowCalls)
	c.count("breaker.consecutive_failures", b.ConsecutiveFailures)
	minimum := b.MinimumCalls
	minimum = cmp.Or(minimum, defaultMinimumCalls)
	switch {
	case b.WindowCalls > maxWindowCalls && b.WindowCalls <= maxPermits:
		c.err("breaker.window_calls", fmt.Sprintf("is %d", b.WindowCalls), fmt.Sprintf("use at most %d", maxWindowCalls))
	case b.WindowCalls > 0 && b.WindowCalls < minimum:
		c.err("breaker.window_calls", fmt.Sprintf("is %d, below breaker.minimum_calls %d, so that the rates never open the circuit", b.WindowCalls, minimum), "raise window_calls or lower minimum_calls")
	}
	c.count("breaker.minimum_calls", b.MinimumCalls)
	if b.MinimumCalls > maxMinimumCalls && b.MinimumCalls <= maxPermits {
		c.err("breaker.minimum_calls", fmt.Sprintf("is %d, more than a window is sure to count", b.MinimumCalls), fmt.Sprintf("use at most %d", maxMinimumCalls))
	}
	c.rate("breaker.failure_rate", b.FailureRate)
	c.notNegative("breaker.slow_call", b.SlowCall)
	c.rate("breaker.slow_rate", b.SlowRate)
	if b.SlowRate != 0 && b.SlowCall == 0 {
		c.err("breaker.slow_rate", fmt.Sprintf("is %v, and breaker.slow_call is not set, so that no call is slow", b.SlowRate), "set slow_call, or drop slow_rate")
	}
	c.notNegative("breaker.open_for", b.OpenFor)
	c.notNegative("breaker.max_open_for", b.MaxOpenFor)
	open := b.OpenFor
	open = cmp.Or(open, defaultOpenFor)
	if b.MaxOpenFor > 0 && b.MaxOpenFor < open {
		c.err("breaker.max_open_for", fmt.Sprintf("is %v, below breaker.open_for %v", b.MaxOpenFor, open), "raise max_open_for or lower open_for")
	}
	if b.Jitter >= 1 || math.IsNaN(b.Jitter) {
		c.err("breaker.jitter", fmt.Sprintf("is %v", b.Jitter), "use a share below 1, or a negative value for none")
	}
	c.count("breaker.probes", b.Probes)
	c.notNegative("breaker.probe_timeout", b.ProbeTimeout)
	if !b.Mode.valid() {
		c.err("breaker.mode", fmt.Sprintf("is %q", string(b.Mode)), "use open, closed, disabled, or leave it out")
	}
}

func (c *checker) operation(field string, o OperationPolicy) {
	if o.Timeout <= 0 {
		c.err(field+".timeout", fmt.Sprintf("is %v", o.Timeout), "state how long the whole call may take")
	}
	c.notEndless(field+".timeout", o.Timeout)
	c.notNegative(field+".attempt_timeout", o.AttemptTimeout)
	if o.Timeout > 0 && o.AttemptTimeout > o.Timeout {
		c.err(field+".attempt_timeout", fmt.Sprintf("is %v, above %s.timeout %v", o.AttemptTimeout, field, o.Timeout), "lower attempt_timeout or raise timeout")
	}
	if o.Criticality < Sheddable || o.Criticality > CriticalPlus {
		c.err(field+".criticality", fmt.Sprintf("is %d", o.Criticality), "use critical_plus, critical, sheddable_plus or sheddable")
	}
	if r := o.Retry; r != nil {
		c.retry(field, o, *r)
	}
	if h := o.Hedge; h != nil {
		c.hedge(field, o, *h)
	}
	if s := o.Stale; s != nil {
		c.stale(field, *s)
	}
}

func (c *checker) retry(field string, o OperationPolicy, r RetryPolicy) {
	if r.MaxAttempts < 0 {
		c.err(field+".retry.max_attempts", fmt.Sprintf("is %d; the first attempt counts", r.MaxAttempts), "use at least 2, or 1 for no retries")
	}
	c.count(field+".retry.max_attempts", max(0, r.MaxAttempts))
	c.notEndless(field+".retry.base_delay", r.BaseDelay)
	c.notNegative(field+".retry.max_delay", r.MaxDelay)
	base := r.BaseDelay
	base = cmp.Or(base, defaultBaseDelay)
	if r.MaxDelay > 0 && r.MaxDelay < base {
		c.err(field+".retry.max_delay", fmt.Sprintf("is %v, below %s.retry.base_delay %v", r.MaxDelay, field, base), "raise max_delay or lower base_delay")
	}
	if r.Multiplier != 0 && !(r.Multiplier >= 1 && !math.IsInf(r.Multiplier, 0)) {
		c.err(field+".retry.multiplier", fmt.Sprintf("is %v", r.Multiplier), "use at least 1")
	}
	if !o.Idempotent {
		c.warn(field+".retry", "is set, and "+field+".idempotent is false: only what was certainly not processed is repeated", "set idempotent if running the call twice does no harm")
	}
}

func (c *checker) stale(field string, s StalePolicy) {
	if s.MaxAge <= 0 {
		c.err(field+".stale.max_age", fmt.Sprintf("is %v", s.MaxAge), "state how old a served value may be")
	}
	c.notEndless(field+".stale.max_age", s.MaxAge)
	c.notNegative(field+".stale.fresh_for", s.FreshFor)
	c.notNegative(field+".stale.refresh_ahead", s.RefreshAhead)
	if s.FreshFor > s.MaxAge && s.MaxAge > 0 {
		c.err(field+".stale.fresh_for", fmt.Sprintf("is %v, above %s.stale.max_age %v", s.FreshFor, field, s.MaxAge), "lower fresh_for or raise max_age")
	}
	if s.RefreshAhead > 0 && s.RefreshAhead >= s.FreshFor {
		c.err(field+".stale.refresh_ahead", fmt.Sprintf("is %v, not below %s.stale.fresh_for %v", s.RefreshAhead, field, s.FreshFor), "lower refresh_ahead or raise fresh_for")
	}
}

func (c *checker) hedge(field string, o OperationPolicy, h HedgePolicy) {
	c.notNegative(field+".hedge.delay", h.Delay)
	if h.Quantile != 0 && !(h.Quantile > 0 && h.Quantile < 1) {
		c.err(field+".hedge.quantile", fmt.Sprintf("is %v", h.Quantile), "use a value between 0 and 1, for example 0.95")
	}
	switch {
	case h.Delay == 0 && h.Quantile == 0:
		c.err(field+".hedge", "has neither delay nor quantile", "set delay, or quantile, or both (delay is then used until enough was measured)")
	case h.Delay >= o.Timeout && o.Timeout > 0:
		c.err(field+".hedge.delay", fmt.Sprintf("is %v, not below %s.timeout %v, so that no hedge can start", h.Delay, field, o.Timeout), "lower delay or drop hedge")
	}
	if h.MaxHedges > maxHedges {
		c.err(field+".hedge.max_hedges", fmt.Sprintf("is %d", h.MaxHedges), fmt.Sprintf("use at most %d", maxHedges))
	}
	if !o.Idempotent {
		c.err(field+".hedge", "is set, and "+field+".idempotent is false", "set idempotent if running the call twice does no harm, else drop hedge")
	}
}
