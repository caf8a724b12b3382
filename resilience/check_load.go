package resilience

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/backstay-go/backstay/internal/plural"
)

// together checks what follows from several policies in combination. It is called with
// defaults filled in, and only if every field is valid by itself.
func (c *checker) together(p Policy) {
	var slowest time.Duration // the longest that one attempt may take
	each := func(field string, o OperationPolicy) {
		c.times(field, o)
		slowest = max(slowest, o.attemptBound())
	}
	each("default", p.Default)
	for _, name := range slices.Sorted(maps.Keys(p.Operations)) {
		each("operations."+name, p.Operations[name])
	}
	c.window(p, slowest)
	if e := p.Expect; e != nil {
		c.expectation(p, *e)
	}
}

func (o OperationPolicy) attemptBound() time.Duration {
	if o.AttemptTimeout > 0 {
		return o.AttemptTimeout
	}
	return o.Timeout
}

// times compares attempts and pauses with the total timeout.
func (c *checker) times(field string, o OperationPolicy) {
	if r := o.Retry; r != nil {
		if o.AttemptTimeout == 0 {
			c.warn(field+".retry", fmt.Sprintf("is set without %s.attempt_timeout: one slow attempt uses up the whole timeout of %v, and no retry follows", field, o.Timeout),
				fmt.Sprintf("set attempt_timeout, at most %v for %d attempts", about(o.Timeout/time.Duration(r.MaxAttempts)), r.MaxAttempts))
		} else if need := time.Duration(r.MaxAttempts) * o.AttemptTimeout; need > o.Timeout {
			c.warn(field+".attempt_timeout", fmt.Sprintf("is %v; %d attempts take up to %v, above %s.timeout %v", o.AttemptTimeout, r.MaxAttempts, need, field, o.Timeout),
				"lower attempt_timeout or retry.max_attempts, or raise timeout; the later attempts are cut short or not made")
		}
	}
	if h := o.Hedge; h != nil && o.AttemptTimeout > 0 && h.Delay >= o.AttemptTimeout {
		c.warn(field+".hedge.delay", fmt.Sprintf("is %v, not below %s.attempt_timeout %v, so that a hedge never races", h.Delay, field, o.AttemptTimeout), "lower delay")
	}
}

// about rounds a duration to what is easily read.
func about(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(time.Microsecond)
	}
	return d.Round(time.Millisecond)
}

// window checks whether the breaker can ever reach its minimum number of calls.
func (c *checker) window(p Policy, slowest time.Duration) {
	b := p.Breaker
	if b == nil || b.Mode == BreakerDisabled || b.Mode == BreakerForcedOpen || b.WindowCalls > 0 || b.ConsecutiveFailures > 0 {
		return
	}
	if b.SlowCall > slowest {
		c.warn("breaker.slow_call", fmt.Sprintf("is %v, above the longest attempt timeout %v, so that no call is slow", b.SlowCall, slowest), "lower slow_call")
	}
	limit := p.Bulkhead.Limit
	if a := p.Bulkhead.Adaptive; a != nil {
		limit = a.Min // where the limit goes while the dependency hangs
	}
	if most := float64(limit) * b.Window.Seconds() / slowest.Seconds(); most < float64(b.MinimumCalls) {
		c.warn("breaker.minimum_calls", fmt.Sprintf("is %d; while the dependency hangs, %s can end in a window of %v (%s, attempts of %v), so that the breaker can't open", b.MinimumCalls, atMost(most, "call"), b.Window, plural.Count(limit, "permit"), slowest),
			"lower minimum_calls or the attempt timeout, or lengthen window")
	}
	if r := p.RateLimit; r != nil {
		if most := r.PerSecond*b.Window.Seconds() + float64(r.Burst); most < float64(b.MinimumCalls) {
			c.warn("breaker.minimum_calls", fmt.Sprintf("is %d; the rate limit lets %s through in a window of %v", b.MinimumCalls, atMost(most, "call"), b.Window), "lower minimum_calls or lengthen window")
		}
	}
}

// expectation compares the policy with the load for which it is made.
func (c *checker) expectation(p Policy, e Expectation) {
	c.expectedRate(p, e)
	c.expectedPermits(p.Bulkhead, e)
	if e.Latency > 0 && p.Bulkhead.Queue > 0 {
		c.expectedQueue(p, e)
	}
	if e.RetryingLayers > 0 {
		c.layers(p, e.RetryingLayers)
	}
}

// expectedRate compares breaker and rate limit with the expected calls per second.
func (c *checker) expectedRate(p Policy, e Expectation) {
	if b := p.Breaker; b != nil && e.PerSecond > 0 && b.WindowCalls == 0 && b.ConsecutiveFailures == 0 {
		if most := e.PerSecond * b.Window.Seconds(); most < float64(b.MinimumCalls) {
			c.warn("breaker.minimum_calls", fmt.Sprintf("is %d; expect.per_second %v gives %s in a window of %v, so that the breaker can't open", b.MinimumCalls, e.PerSecond, atMost(most, "call"), b.Window), "lower minimum_calls or lengthen window")
		}
	}
	if r := p.RateLimit; r != nil && e.PerSecond > r.PerSecond {
		c.warn("rate_limit.per_second", fmt.Sprintf("is %v, below expect.per_second %v", r.PerSecond, e.PerSecond), "raise it to the expected load")
	}
}

// expectedPermits compares the limit with the calls that run at once.
func (c *checker) expectedPermits(b BulkheadPolicy, e Expectation) {
	if e.PerSecond > 0 && e.Latency > 0 {
		// Little's law: calls in the system = rate x time in the system.
		need := int(math.Ceil(e.PerSecond * e.Latency.Seconds()))
		field, limit := "bulkhead.limit", b.Limit
		if a := b.Adaptive; a != nil {
			field, limit = "bulkhead.adaptive.max", a.Max
		}
		if limit < need {
			c.warn(field, fmt.Sprintf("is %d; expect.per_second %v and expect.latency %v keep %s busy (Little's law)", limit, e.PerSecond, e.Latency, plural.Count(need, "permit")),
				fmt.Sprintf("raise it above %d, with room for variation", need))
		}
	}
	if a := b.Adaptive; a != nil && e.Latency > a.near() {
		c.warn("bulkhead.adaptive.objective", fmt.Sprintf("is %v, below twice expect.latency %v, so that the limit can only grow by trial steps, and leaves a queue little room", a.Objective, e.Latency), "raise it to at least twice a healthy latency")
	}
}

// expectedQueue compares the queue with the time that a call may wait.
func (c *checker) expectedQueue(p Policy, e Expectation) {
	drain := time.Duration(float64(p.Bulkhead.Queue) / float64(p.Bulkhead.Limit) * float64(e.Latency))
	bound := p.Default.Timeout
	for _, o := range p.Operations {
		bound = max(bound, o.Timeout)
	}
	if w := p.Bulkhead.MaxWait; w > 0 {
		bound = min(bound, w)
	}
	if drain+e.Latency > bound {
		c.warn("bulkhead.queue", fmt.Sprintf("is %d; with %s it takes %v to drain, and a call may wait and run for %v at most", p.Bulkhead.Queue, plural.Count(p.Bulkhead.Limit, "permit"), drain, bound),
			fmt.Sprintf("use at most %d", max(0, int(float64(bound-e.Latency)/float64(e.Latency)*float64(p.Bulkhead.Limit)))))
	}
}

// layers checks how many attempts one request causes if each of several layers retries.
func (c *checker) layers(p Policy, above int) {
	attempts := 1
	for _, o := range append(slices.Collect(maps.Values(p.Operations)), p.Default) {
		if o.Retry != nil {
			attempts = max(attempts, o.Retry.MaxAttempts)
		}
	}
	if product := math.Pow(float64(attempts), float64(above+1)); attempts > 1 && product > 9 {
		c.warn("expect.retrying_layers", fmt.Sprintf("is %d; with %d attempts in each layer one request becomes %.0f calls", above, attempts, product),
			"retry in one layer only, or pass on that a request is a retry (WithRetried)")
	}
}
