package resilience

import (
	"context"
	"errors"
	"math"
	"math/bits"
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
// github.com/sony/gobreaker decides each transition. While the circuit is closed
// it is asked only when the counts say that it should trip; they are kept outside
// of it, in a window that does not need its lock. While the circuit is half-open
// each probe goes through it. The open period is a timer of ours, which lets
// gobreaker move on when it fires, so that refusing needs no look at a clock.
//
// Observed: every attempt that started while the circuit was in the state that it
// still is in. Not observed: refusals of any policy, attempts judged Ignored or
// Overload, and late results of an earlier state.
//
// An attempt that its caller's own deadline cut has failed only if it had taken as
// long as the policy lets an attempt take. Otherwise an impatient caller says nothing
// about the dependency, unless SlowCall does: from there on the attempt was slow. So
// where callers bring deadlines that are shorter than the policy's, SlowCall is what
// opens the circuit of a dependency that hangs.
//
// Safe for concurrent use.
type breaker struct {
	gate *gate
	// now is the current stay in a state. Nil: the breaker was never configured.
	now atomic.Pointer[circuit]

	mu      sync.Mutex
	policy  BreakerPolicy
	machine *gobreaker.TwoStepCircuitBreaker[struct{}]
	// stale: machine was made for another number of probes. restoring: a new machine
	// is being brought into the old one's state, which is no transition.
	stale, restoring bool
	// recoveries is the number of failed recoveries in a row.
	recoveries int
	cause      error // the last failure, for the event BreakerChanged
	// by is the context of the call that uses machine, for the event BreakerChanged.
	by     context.Context
	timer  clock.Timer
	closed bool
}

// circuit is one stay in one state. An attempt keeps the circuit that it started
// under, so that its result is known to be late when that is over.
type circuit struct {
	kind   BreakerState
	window atomic.Pointer[window]
	// streak is the number of failures since the last success.
	streak atomic.Int64
	// until is when an open circuit admits a probe.
	until time.Time
	// running and good are a half-open circuit's probes: those that run, and those
	// that succeeded. Guarded by the breaker's mu.
	running, good int
}

// probe is the reservation of one attempt in a half-open circuit.
type probe struct {
	circuit  *circuit
	report   func(error)
	watchdog clock.Timer // both guarded by the breaker's mu
	done     bool
}

// The outcomes that gobreaker gets; it sees no error of a call.
var (
	errBad      = errors.New("bad")
	errNotCount = errors.New("not counted")
	errHung     = errors.New("resilience: a probe of the half-open circuit did not end in time")
)

// configure sets the policy and keeps the state.
func (b *breaker) configure(p BreakerPolicy) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old, had := b.policy, b.machine != nil
	b.policy = p
	now := b.gate.now()
	c := b.now.Load()
	switch {
	case !had:
		b.machine = b.newMachine(p)
		first := &circuit{kind: BreakerClosed}
		first.window.Store(p.window(now))
		b.now.Store(first)
	case old.Window != p.Window || old.WindowCalls != p.WindowCalls:
		c.window.Store(c.window.Load().changed(&p, now))
	}
	if had && old.Probes != p.Probes {
		b.rebuildLocked()
	}
}

// newMachine makes gobreaker for the policy. Its own counts decide nothing while
// closed (ReadyToTrip is only asked once our window said so), its own timeout has
// passed whenever our timer fires.
func (b *breaker) newMachine(p BreakerPolicy) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:        b.gate.name,
		MaxRequests: uint32(min(int64(p.Probes), math.MaxUint32)),
		Timeout:     1,
		ReadyToTrip: func(gobreaker.Counts) bool { return true },
		IsExcluded:  func(err error) bool { return err == errNotCount },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if !b.restoring {
				b.enterLocked(stateOf(from), stateOf(to))
			}
		},
	})
}

func stateOf(s gobreaker.State) BreakerState {
	switch s {
	case gobreaker.StateOpen:
		return BreakerOpen
	case gobreaker.StateHalfOpen:
		return BreakerHalfOpen
	}
	return BreakerClosed
}

// rebuildLocked makes a machine with the new number of probes and brings it where
// the old one was. A half-open circuit keeps its machine until its stay is over.
func (b *breaker) rebuildLocked() {
	c := b.now.Load()
	b.stale = c.kind == BreakerHalfOpen
	if b.stale {
		return
	}
	b.machine = b.newMachine(b.policy)
	if c.kind == BreakerOpen {
		b.restoring = true
		b.tellLocked(errBad)
		b.restoring = false
	}
}

// tellLocked passes one outcome through gobreaker.
func (b *breaker) tellLocked(outcome error) {
	if report, err := b.machine.Allow(); err == nil {
		report(outcome)
	}
}

// enterLocked begins a stay in a state, as gobreaker decided.
func (b *breaker) enterLocked(from, to BreakerState) {
	next := &circuit{kind: to}
	next.window.Store(b.policy.window(b.gate.now()))
	event := Event{Kind: BreakerChanged, Dependency: b.gate.name, From: from, To: to}
	switch to {
	case BreakerOpen:
		if from == BreakerHalfOpen {
			b.recoveries++
		}
		period := b.openPeriodLocked()
		next.until = b.gate.clock.Now().Add(period)
		if !b.closed {
			b.timer = b.gate.clock.AfterFunc(period, func() { b.recover(next) })
		}
		event.Err = b.cause
	case BreakerClosed:
		b.recoveries = 0
	}
	b.now.Store(next)
	if b.policy.Mode == BreakerAuto && from != to {
		b.gate.queue(b.by, event)
	}
}

// openPeriodLocked grows with every failed recovery, and is spread so that a fleet
// does not probe in step.
func (b *breaker) openPeriodLocked() time.Duration {
	period := float64(b.policy.OpenFor) * math.Pow(2, float64(min(b.recoveries, 62)))
	period = min(period, float64(b.policy.MaxOpenFor))
	if j := b.policy.Jitter; j > 0 {
		period *= 1 - j + 2*j*b.gate.clock.Float64()
	}
	return time.Duration(period)
}

// recover lets gobreaker move an open circuit on to half-open.
func (b *breaker) recover(c *circuit) {
	b.mu.Lock()
	b.by = b.gate.background()
	if b.now.Load() == c && !b.closed && b.machine.State() == gobreaker.StateOpen {
		b.timer.Reset(time.Millisecond) // fired within gobreaker's own 1 ns
	}
	b.mu.Unlock()
	b.gate.deliver()
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

// ramp is how many probes may run at once: 1, 2, 4, ... as they succeed.
func (c *circuit) ramp() int { return 1 << (bits.Len(uint(c.good+1)) - 1) }

// enter admits an attempt that holds a permit, while the circuit is not closed:
// under the circuit it returns, perhaps as a probe. patience is how long a probe
// may take.
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

// reserve takes a place on a half-open circuit's ramp. It returns nil if there is
// none. The watchdog reports the probe as failed after patience.
func (b *breaker) reserve(c *circuit, patience time.Duration) *probe {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now.Load() != c || c.running >= c.ramp() {
		return nil
	}
	report, err := b.machine.Allow()
	if err != nil {
		return nil
	}
	c.running++
	p := &probe{circuit: c, report: report}
	if b.policy.ProbeTimeout > 0 {
		patience = b.policy.ProbeTimeout
	}
	p.watchdog = b.gate.clock.AfterFunc(patience, func() {
		b.finish(b.gate.background(), p, errBad, errHung)
	})
	return p
}

// finish reports a probe, once: nil, errBad or errNotCount.
func (b *breaker) finish(ctx context.Context, p *probe, outcome, cause error) {
	b.mu.Lock()
	if p.done {
		b.mu.Unlock()
		return
	}
	p.done = true
	p.watchdog.Stop()
	p.circuit.running--
	if b.now.Load() == p.circuit {
		if outcome == nil {
			p.circuit.good++
		}
		if cause != nil {
			b.cause = cause
		}
		b.by = ctx
		p.report(outcome)
		b.by = nil
		if b.stale {
			b.rebuildLocked()
		}
	}
	b.mu.Unlock()
	b.gate.deliver()
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

// weigh is what an attempt counts as, if it counts.
func (p *BreakerPolicy) weigh(v Verdict, took int64) (bad, slow, counts bool) {
	bad, slow = v.Outcome == Failure, p.SlowCall > 0 && took >= int64(p.SlowCall)
	return bad, slow, bad || v.Outcome == Success || v.callerDeadlinePassed && slow
}

// weighProbe is the outcome of a probe for the state machine.
func (p *BreakerPolicy) weighProbe(v Verdict, took int64) error {
	switch bad, slow, counts := p.weigh(v, took); {
	case !counts:
		return errNotCount
	case bad || slow:
		return errBad
	}
	return nil
}

// trips reports whether counts open the circuit, or the failures in a row.
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

// trip tells gobreaker of the failure that opens the circuit.
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

// reset closes the circuit as if it had never been open, and forgets what was counted.
// Attempts and probes that run belong to the state before and count for nothing.
func (b *breaker) reset(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.machine == nil {
		return
	}
	if b.timer != nil {
		b.timer.Stop()
	}
	from := b.now.Load().kind
	b.machine, b.stale = b.newMachine(b.policy), false
	b.by = ctx
	b.enterLocked(from, BreakerClosed)
	b.by = nil
}

// close stops the timers. The state stays as it is.
func (b *breaker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.timer != nil {
		b.timer.Stop()
	}
}
