package resilience

import (
	"context"
	"math"
	"time"

	"github.com/sony/gobreaker/v2"
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
