package resilience

import (
	"maps"
	"math"
	"slices"
	"time"
)

// WorstCase is the most that a policy admits, whatever its dependency does. It is
// computed from the policy alone, with defaults filled in. It is a value.
type WorstCase struct {
	// Running is the most attempts that run at once: the bulkhead's limit, or the
	// ceiling of an adaptive one.
	Running int `json:"running"`
	// Waiting is the most calls that wait for a permit.
	Waiting int `json:"waiting"`
	// Pausing is the most calls that pause before a retry. Each of them holds a token
	// of the budget. So there are at most as many as Burst, plus what first attempts
	// earn during the longest timeout, plus what Budget.PerSecond adds in that time.
	// What first attempts earn is known only with Expect.PerSecond, and is left out
	// without it.
	Pausing int `json:"pausing"`
	// Goroutines is the most goroutines that the guard keeps busy or blocked: those of
	// its callers, and one more for each attempt that is hedged or detached. Callers
	// that wait for another caller's coalesced call are not bounded.
	Goroutines int `json:"goroutines"`
	// Ratio and Burst bound amplification: n calls make at most Attempts(n). Both
	// are zero if no operation retries or hedges.
	Ratio float64 `json:"ratio"`
	Burst int     `json:"burst"`
	// RepeatsPerSecond is the number of repeats per second that Budget.PerSecond adds.
	RepeatsPerSecond float64 `json:"repeats_per_second,omitempty"`
	// PerSecond is the most attempts per second that the dependency gets over a long
	// time. It follows from the rate limit and from (1 + Ratio) x Expect.PerSecond, as
	// far as these are stated. Zero: neither is stated.
	PerSecond float64 `json:"per_second,omitempty"`
	// Operations holds the default operation, then the others by name.
	Operations []OperationWorst `json:"operations"`
}

// OperationWorst is the most that one call of an operation admits.
type OperationWorst struct {
	// Name is the operation's name.
	Name string `json:"name"`
	// Wait is the longest that Do keeps its caller, without the time that fallbacks
	// take.
	Wait time.Duration `json:"wait"`
	// Overrun is true if a call that ignores its context keeps its caller longer than
	// Wait, for as long as the call takes. Detach and Hedge prevent that.
	Overrun bool `json:"overrun"`
	// Queued is the longest that one attempt waits for a permit.
	Queued time.Duration `json:"queued"`
	// Attempts is the most attempts of one call, hedges included.
	Attempts int `json:"attempts"`
	// Layered is the most attempts for one request, if every layer above repeats as
	// often as this one (Expect.RetryingLayers) and no layer marks its repeats as such.
	Layered float64 `json:"layered"`
}

// Worst returns the policy's worst case. It is meaningful for policies that New
// accepts. A sum that is too large for its type becomes the largest value of that type,
// so no figure is negative or infinite.
func (p Policy) Worst() WorstCase {
	p = p.inForce()
	w := WorstCase{Running: p.Bulkhead.Limit, Waiting: p.Bulkhead.Queue}
	if a := p.Bulkhead.Adaptive; a != nil {
		w.Running = a.Max
	}
	var expect Expectation
	if p.Expect != nil {
		expect = *p.Expect
	}
	apart := false // do attempts run on separate goroutines?
	var longest time.Duration
	add := func(name string, o OperationPolicy) {
		apart = apart || o.Detach || o.Hedge != nil
		if o.Retry != nil {
			longest = max(longest, o.Timeout)
		}
		w.Operations = append(w.Operations, o.worst(name, p, expect.RetryingLayers))
	}
	add(DefaultOperation, p.Default)
	for _, name := range slices.Sorted(maps.Keys(p.Operations)) {
		add(name, p.Operations[name])
	}
	if w.repeats() {
		w.Ratio, w.Burst, w.RepeatsPerSecond = p.Budget.Ratio, p.Budget.Burst, p.Budget.PerSecond
	}
	if longest > 0 && w.Burst > 0 {
		w.Pausing = wholeAtMost(float64(w.Burst) + (w.Ratio*expect.PerSecond+w.RepeatsPerSecond)*longest.Seconds())
	}
	goroutines := float64(w.Running) + float64(w.Waiting) + float64(w.Pausing)
	if apart {
		goroutines += float64(w.Running)
	}
	w.Goroutines = wholeAtMost(goroutines)
	w.PerSecond = finite((1+w.Ratio)*expect.PerSecond + w.RepeatsPerSecond*min(1, expect.PerSecond))
	if r := p.RateLimit; r != nil && (w.PerSecond == 0 || r.PerSecond < w.PerSecond) {
		w.PerSecond = r.PerSecond
	}
	return w
}

// Attempts returns the most attempts that the given number of calls make together: (1 +
// Ratio) x calls + Burst. In addition come RepeatsPerSecond for each second that the
// calls take.
func (w WorstCase) Attempts(calls int) int {
	// The sum is rounded down, because an attempt is made or not made.
	return wholeAtMost(math.Floor(float64(max(0, calls))*(1+w.Ratio)) + float64(w.Burst))
}

// wholeAtMost is the next whole number from x on, or the largest there is.
func wholeAtMost(x float64) int {
	if x >= math.MaxInt {
		return math.MaxInt
	}
	return int(math.Ceil(x))
}

// finite is x, or the largest number there is.
func finite(x float64) float64 { return min(x, math.MaxFloat64) }

func (w WorstCase) repeats() bool {
	return slices.ContainsFunc(w.Operations, func(o OperationWorst) bool { return o.Attempts > 1 })
}

func (o OperationPolicy) worst(name string, p Policy, layers int) OperationWorst {
	w := OperationWorst{Name: name, Wait: o.Timeout, Overrun: !o.Detach && o.Hedge == nil, Attempts: 1}
	if p.Bulkhead.Queue > 0 {
		w.Queued = o.Timeout
		if m := p.Bulkhead.MaxWait; m > 0 {
			w.Queued = min(w.Queued, m)
		}
	}
	if o.Retry != nil {
		w.Attempts = o.Retry.MaxAttempts
	}
	if o.Hedge != nil {
		// Hedges count as attempts; the last retry may still be hedged.
		w.Attempts += o.Hedge.MaxHedges
	}
	if p.Budget != nil && w.Attempts > 1 {
		w.Attempts = min(w.Attempts, 1+p.Budget.Burst)
	}
	w.Layered = finite(math.Pow(float64(w.Attempts), float64(layers)+1))
	return w
}
