package resilience

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// startLimit is the limit that applies when a policy comes into force. An adaptive
// limit stays where it is, as far as the new bounds allow; a fixed limit is the one
// that the policy states.
func (p BulkheadPolicy) startLimit(before *shared, now int) int {
	if p.Adaptive == nil || before == nil || before.Bulkhead.Adaptive == nil {
		return p.Limit
	}
	return min(max(now, p.Adaptive.Min), p.Adaptive.Max)
}

// adaptive moves a bulkhead's limit, so that as many attempts as possible are answered
// within a latency objective. It collects what attempts took, in rounds; knee decides.
//
// A round begins when the calls that were in flight at the last decision have ended, so
// that it measures the effect of that decision and not the load before it. It ends when
// it has seen enough attempts.
//
// An attempt is late when it took more than three quarters of the objective, and near it
// when it took half or more. The remaining quarter is room for waiting.
//
// Observed: attempts that ran and succeeded, attempts that were late, however they
// ended, and marked refusals by the dependency (Overload). Not observed: the guard's own
// refusals, and failures and cancellations that came early. The latter include attempts
// cut by a caller's short deadline: they say nothing about how much load the dependency
// can take.
//
// Safe for concurrent use.
type adaptive struct {
	gate *gate

	// The current round. Counting and starting a new round may race; a few attempts may
	// be lost, or be counted in the next round.
	_    cacheLine
	seen atomic.Int64 // attempts of this round; negative while the last decision settles
	_    cacheLine
	size atomic.Int64 // with how many the round ends
	peak atomic.Int64 // highest number of permits seen in use
	// samples has mostSamples entries. It is nil until there is a policy.
	samples []sample

	mu     sync.Mutex // held while deciding
	policy *AdaptivePolicy
	knee   knee
	took   []float64 // used again by each decision
}

// sample is an attempt of the current round.
type sample struct {
	// took is in ns, negative if there was no answer.
	took atomic.Int64
	use  atomic.Int64
}

// mostSamples bounds a round.
const mostSamples = 128

// refusedSample stands for an attempt that the dependency refused.
const refusedSample = math.MinInt64

// near and late return the durations from which an attempt counts as near or late.
func (p *AdaptivePolicy) near() time.Duration { return p.Objective / 2 }
func (p *AdaptivePolicy) late() time.Duration { return p.Objective / 4 * 3 }

// configure sets the policy; nil fixes the limit. It precedes the first observe under the
// policy.
func (a *adaptive) configure(p *AdaptivePolicy) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p != nil && a.samples == nil {
		a.samples = make([]sample, mostSamples)
		a.took = make([]float64, 0, mostSamples)
	}
	a.policy = p
	a.restartLocked(0)
}

// observe counts an attempt that ends at now. It decides if the round is over.
func (a *adaptive) observe(ctx context.Context, p *AdaptivePolicy, start, now int64, err error, v Verdict) {
	took := now - start
	switch {
	case v.Outcome == Success:
	case v.Outcome == Overload:
		took = refusedSample
	case took > int64(p.late()), v.Outcome == Failure && isDeadline(err):
		took = -max(took, int64(p.Objective)+1)
	default:
		return
	}
	seen := a.seen.Add(1)
	if seen <= 0 {
		return
	}
	inUse, waiting := a.gate.bulkhead.counts()
	if seen <= int64(len(a.samples)) {
		s := &a.samples[seen-1]
		s.took.Store(took)
		s.use.Store(int64(inUse))
	}
	if waiting > 0 {
		inUse = math.MaxInt32
	}
	if int64(inUse) > a.peak.Load() {
		a.peak.Store(int64(inUse))
	}
	if seen >= a.size.Load() {
		a.decide(ctx, now)
	}
}

// decide ends the round, unless another goroutine did.
func (a *adaptive) decide(ctx context.Context, now int64) {
	a.mu.Lock()
	size := a.size.Load()
	if a.policy == nil || a.seen.Load() < size {
		a.mu.Unlock()
		return
	}
	old := int(a.gate.bulkhead.limit.Load())
	if int(a.knee.limit) != old { // the first round, or an update changed it
		a.knee.start(old)
	}
	limit := a.knee.next(a.policy, a.roundLocked(int(size)))
	inUse := 0
	if limit != old {
		a.gate.bulkhead.setLimit(limit, now)
		a.gate.queue(ctx, Event{Kind: LimitChanged, Dependency: a.gate.name, Limit: limit})
		inUse, _ = a.gate.bulkhead.counts()
	}
	a.restartLocked(inUse)
	a.mu.Unlock()
	if limit != old {
		a.gate.deliver()
	}
}

// roundLocked gathers the samples of the round.
func (a *adaptive) roundLocked(size int) round {
	r := round{took: a.took[:0], peak: a.peak.Load()}
	for i := range min(size, len(a.samples)) {
		s := &a.samples[i]
		r.use += float64(s.use.Load()) / float64(size)
		switch took := s.took.Load(); {
		case took == refusedSample:
			r.marked++
		case took < 0:
			r.cut++
			r.took = append(r.took, -float64(took))
		default:
			r.took = append(r.took, float64(took))
		}
	}
	slices.Sort(r.took)
	return r
}

// restartLocked begins a round after as many attempts as are in flight.
func (a *adaptive) restartLocked(inFlight int) {
	size := 16
	if a.knee.limit > 0 {
		size = a.knee.size()
	}
	a.size.Store(int64(size))
	a.peak.Store(0)
	a.seen.Store(-int64(inFlight))
}
