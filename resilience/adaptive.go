package resilience

import (
	"context"
	"math"
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

// adaptive moves a bulkhead's limit to keep a latency objective, by additive increase and
// multiplicative decrease.
//
// Time is divided into rounds. A round counts only attempts that started in it, so that
// it measures the effect of the last decision and not the load before it. A round ends
// when it has seen enough attempts, or when it has lasted as long as the objective.
// Then
//
//	more than a tenth of the attempts were late ──▶ the limit shrinks, by how late they were
//	else, if more than a tenth were near it      ──▶ it stays
//	else, if the limit was in use               ──▶ the limit grows by its square root
//	else                                        ──▶ it stays
//
// An attempt is late when it took more than three quarters of the objective, and near
// it when it took half or more. The remaining quarter is room for waiting, and for
// attempts that are in flight while a dependency becomes slow. The objective must leave
// that room: if the dependency needs more than three quarters of it even at its best,
// the limit is driven down to the floor.
//
// Observed: attempts that ran and succeeded, attempts that were late, however they
// ended, and marked refusals by the dependency (Overload), which count as late. Not
// observed: the guard's own refusals, and failures and cancellations that came early.
// The latter include attempts cut by a caller's short deadline: they say nothing about
// how much load the dependency can take. The objective is given, so there is no
// measured baseline that could drift.
//
// Safe for concurrent use.
type adaptive struct {
	gate *gate
	// policy is nil while the limit is fixed.
	policy atomic.Pointer[AdaptivePolicy]

	// The current round. Counting and starting a new round may race; a few counts may
	// be lost.
	since atomic.Int64 // when the round began
	_     cacheLine
	calls atomic.Int64
	near  atomic.Int64 // took half of the objective or more, including the late ones
	late  atomic.Int64
	took  atomic.Int64 // sum of the durations of the late attempts
	peak  atomic.Int64 // highest number of permits seen in use

	mu sync.Mutex // held while deciding
}

const (
	// lateShare is the share of the attempts that may be late, or near the objective,
	// without consequence: service times vary, so some always are.
	lateShare = 0.1
	// minRound is the fewest attempts with which a round may end before the objective
	// has passed, so that chance does not decide.
	minRound = 16
	// leastShrink and mostShrink bound one decrease.
	leastShrink, mostShrink = 0.95, 0.5
	// If at least inUseShare of the limit was in use, a higher limit might be used too.
	inUseShare = 0.8
)

// near and late return the durations from which an attempt counts as near or late.
func (p *AdaptivePolicy) near() time.Duration { return p.Objective / 2 }
func (p *AdaptivePolicy) late() time.Duration { return p.Objective / 4 * 3 }

// configure sets the policy; nil fixes the limit.
func (a *adaptive) configure(p *AdaptivePolicy, now int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.policy.Store(p)
	a.restartLocked(now)
}

// observe counts an attempt that ends at now. It decides if the round is over.
func (a *adaptive) observe(ctx context.Context, p *AdaptivePolicy, start, now int64, err error, v Verdict) {
	took := now - start
	late := took > int64(p.late()) || v.Outcome == Overload || v.Outcome == Failure && isDeadline(err)
	since := a.since.Load()
	if v.Outcome != Success && !late || start < since {
		return
	}
	calls := a.calls.Add(1)
	if late || took > int64(p.near()) {
		a.near.Add(1)
	}
	if late {
		a.late.Add(1)
		a.took.Add(max(took, int64(p.late())))
	}
	inUse, waiting := a.gate.bulkhead.counts()
	if waiting > 0 {
		inUse = math.MaxInt32
	}
	if int64(inUse) > a.peak.Load() {
		a.peak.Store(int64(inUse))
	}
	if calls >= max(minRound, a.gate.bulkhead.limit.Load()/4) || now-since >= int64(p.Objective) {
		a.decide(ctx, since, now)
	}
}

// decide ends the round that began at since, unless another goroutine did.
func (a *adaptive) decide(ctx context.Context, since, now int64) {
	a.mu.Lock()
	p := a.policy.Load()
	if p == nil || a.since.Load() != since {
		a.mu.Unlock()
		return
	}
	old := a.gate.bulkhead.limit.Load()
	limit := p.next(old, a.calls.Load(), a.near.Load(), a.late.Load(), a.took.Load(), a.peak.Load())
	a.restartLocked(now)
	if limit != old {
		a.gate.bulkhead.setLimit(int(limit), now)
		a.gate.queue(ctx, Event{Kind: LimitChanged, Dependency: a.gate.name, Limit: int(limit)})
	}
	a.mu.Unlock()
	if limit != old {
		a.gate.deliver()
	}
}

// next returns the limit after a round.
func (p *AdaptivePolicy) next(limit, calls, near, late, took, peak int64) int64 {
	switch {
	case calls == 0:
	case float64(late) > lateShare*float64(calls):
		mean := float64(took) / float64(late)
		shrink := min(max(float64(p.late())/mean, mostShrink), leastShrink)
		limit = min(limit-1, int64(float64(limit)*shrink))
	case float64(near) > lateShare*float64(calls):
	case float64(peak) >= inUseShare*float64(limit):
		limit += max(1, int64(math.Sqrt(float64(limit))))
	}
	return min(max(limit, int64(p.Min)), int64(p.Max))
}

func (a *adaptive) restartLocked(now int64) {
	a.since.Store(now)
	a.calls.Store(0)
	a.near.Store(0)
	a.late.Store(0)
	a.took.Store(0)
	a.peak.Store(0)
}
