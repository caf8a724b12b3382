package resilience

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/backstay-go/backstay/resilience/internal/clock"
)

// breaker refuses calls while the dependency fails.
//
//	closed ──(rate over the limit, enough calls; or enough failures in a row)──▶ open
//	open ──(open period over)──▶ half-open
//	half-open ──(a probe failed, was slow, or hung)──▶ open, for twice as long
//	half-open ──(Probes successes in a row)──▶ closed
//
// github.com/sony/gobreaker decides each transition. While the circuit is closed,
// gobreaker is asked only when the counts say that the circuit should trip. The counts
// are kept outside of gobreaker, in a window that does not need its lock. While the
// circuit is half-open, each probe goes through gobreaker. The open period is measured
// by our own timer, which makes gobreaker move on when it fires, so that a refusal
// needs no look at a clock.
//
// Observed: every attempt that started in the state that the circuit is still in. Not
// observed: refusals of any policy, attempts judged Ignored or Overload, and late
// results of attempts that started in an earlier state.
//
// An attempt that was cut by its caller's own deadline counts as a failure only if it
// had taken as long as the policy lets an attempt take. A shorter attempt of an
// impatient caller says nothing about the dependency, unless SlowCall is set: an
// attempt that took that long counts as slow. Where callers bring deadlines that are
// shorter than the policy's, SlowCall is therefore what opens the circuit of a
// dependency that hangs.
//
// This file decides about attempts, breaker_probe.go about probes, and breaker_states.go
// has the states and what changes them.
//
// Safe for concurrent use.
type breaker struct {
	gate *gate
	// now is the current stay in a state. It is nil if the breaker was never
	// configured.
	now atomic.Pointer[circuit]

	mu      sync.Mutex
	policy  BreakerPolicy
	machine *gobreaker.TwoStepCircuitBreaker[struct{}]
	// stale is set if machine was made for another number of probes. restoring is set
	// while a new machine is brought into the old one's state, which is not a
	// transition.
	stale, restoring bool
	// recoveries is the number of failed recoveries in a row.
	recoveries int
	cause      error // the last failure, for the event BreakerChanged
	// by is the context of the call that uses machine, for the event BreakerChanged.
	by     context.Context
	timer  clock.Timer
	closed bool
}

// circuit is one stay in one state. An attempt keeps the circuit under which it
// started. If that circuit is over when the attempt ends, its result is known to be
// late.
type circuit struct {
	kind   BreakerState
	window atomic.Pointer[window]
	// streak is the number of failures since the last success.
	streak atomic.Int64
	// until is when an open circuit admits a probe.
	until time.Time
	// running and good count the probes of a half-open circuit: those that are running,
	// and those that succeeded. Guarded by the breaker's mu.
	running, good int
}

// admits reports whether an attempt would be admitted now, and under which circuit.
func (b *breaker) admits(mode BreakerMode) (*circuit, bool) {
	c := b.now.Load()
	if mode == BreakerAuto && c.kind == BreakerClosed {
		return c, true
	}
	return c, b.admitsSlow(c, mode)
}

func (b *breaker) admitsSlow(c *circuit, mode BreakerMode) bool {
	switch {
	case mode == BreakerForcedOpen:
		return false
	case mode != BreakerAuto:
		return true
	case c.kind == BreakerOpen:
		return false
	case c.kind == BreakerHalfOpen:
		b.mu.Lock()
		defer b.mu.Unlock()
		return c.running < c.ramp()
	}
	return true
}

// enter admits an attempt that holds a permit, while the circuit is not closed. It
// returns the circuit under which the attempt runs, and its probe if it is one.
// patience is the longest that a probe may take.
func (b *breaker) enter(c *circuit, patience time.Duration) (*circuit, *probe, bool) {
	for {
		switch c.kind {
		case BreakerClosed:
			return c, nil, true
		case BreakerOpen:
			return c, nil, false
		}
		if p := b.reserve(c, patience); p != nil {
			return c, p, true
		}
		next := b.now.Load()
		if next == c {
			return c, nil, false
		}
		c = next
	}
}

// observe counts an attempt that started under circuit c and ended at now.
func (b *breaker) observe(ctx context.Context, c *circuit, p *BreakerPolicy, now int64, bad, slow bool, err error) {
	if b.now.Load() != c {
		return // late
	}
	w := c.window.Load()
	w.add(now, bad, slow)
	switch {
	case bad:
		c.streak.Add(1)
	case c.streak.Load() != 0:
		c.streak.Store(0)
	}
	if (bad || slow) && c.kind == BreakerClosed && p.Mode == BreakerAuto && p.trips(w.sum(now), c.streak.Load()) {
		b.trip(ctx, c, now, err)
	}
}

// good is observe for an attempt that succeeded and was not slow.
func (b *breaker) good(c *circuit, s *shared, now int64) {
	if b.now.Load() != c {
		return // late
	}
	c.window.Load().add(now, false, false)
	if c.streak.Load() != 0 {
		c.streak.Store(0)
	}
	if s.cuts.Load() != 0 {
		s.cuts.Store(0)
	}
}

// isSlow reports whether an attempt that took so long, in ns, counts as slow.
func (p *BreakerPolicy) isSlow(took int64) bool { return p.SlowCall > 0 && took >= int64(p.SlowCall) }

// weigh returns what an attempt counts as, if it counts.
func (p *BreakerPolicy) weigh(v Verdict, took int64) (bad, slow, counts bool) {
	bad, slow = v.Outcome == Failure, p.isSlow(took)
	return bad, slow, bad || v.Outcome == Success || v.callerDeadlinePassed && slow
}

// trips reports whether the counts, or the failures in a row, open the circuit.
func (p *BreakerPolicy) trips(t tally, streak int64) bool {
	if p.ConsecutiveFailures > 0 && streak >= int64(p.ConsecutiveFailures) {
		return true
	}
	if t.calls < p.MinimumCalls {
		return false
	}
	return float64(t.bad) >= p.FailureRate*float64(t.calls) ||
		p.SlowCall > 0 && float64(t.slow) >= p.SlowRate*float64(t.calls)
}

// trip passes the failure that opens the circuit to gobreaker.
func (b *breaker) trip(ctx context.Context, c *circuit, now int64, err error) {
	b.mu.Lock()
	if b.now.Load() == c && b.policy.Mode == BreakerAuto && b.policy.trips(c.window.Load().sum(now), c.streak.Load()) {
		b.cause, b.by = err, ctx
		b.tellLocked(errBad)
		b.by = nil
	}
	b.mu.Unlock()
	b.gate.deliver()
}
