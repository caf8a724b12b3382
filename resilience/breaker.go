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

// probe is the reservation of one attempt in a half-open circuit.
type probe struct {
	circuit  *circuit
	report   func(error)
	watchdog clock.Timer // both guarded by the breaker's mu
	done     bool
}

// The outcomes that gobreaker receives. It never sees the error of a call.
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

// newMachine makes a gobreaker for the policy. While the circuit is closed gobreaker's
// own counts decide nothing: ReadyToTrip is called only after our window has decided.
// Its own timeout has always passed when our timer fires.
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

// rebuildLocked makes a machine with the new number of probes and brings it into the
// old machine's state. A half-open circuit keeps its machine until its stay is over.
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

// openPeriodLocked returns the length of the open period. It grows with every failed
// recovery, and varies at random so that the instances of a fleet do not probe at the
// same time.
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

// ramp returns how many probes may run at once: 1, 2, 4, ... as they succeed.
func (c *circuit) ramp() int { return 1 << (bits.Len(uint(c.good+1)) - 1) }

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

// reserve takes a place on the ramp of a half-open circuit. It returns nil if there is
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

// weigh returns what an attempt counts as, if it counts.
func (p *BreakerPolicy) weigh(v Verdict, took int64) (bad, slow, counts bool) {
	bad, slow = v.Outcome == Failure, p.SlowCall > 0 && took >= int64(p.SlowCall)
	return bad, slow, bad || v.Outcome == Success || v.callerDeadlinePassed && slow
}

// weighProbe returns the outcome of a probe for the state machine.
func (p *BreakerPolicy) weighProbe(v Verdict, took int64) error {
	switch bad, slow, counts := p.weigh(v, took); {
	case !counts:
		return errNotCount
	case bad || slow:
		return errBad
	}
	return nil
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

// reset closes the circuit as if it had never been open, and forgets all counts.
// Attempts and probes that are running belong to the earlier state and are not counted.
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
