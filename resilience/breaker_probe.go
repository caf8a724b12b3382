package resilience

import (
	"context"
	"errors"
	"math/bits"
	"time"

	"github.com/backstay-go/backstay/resilience/internal/clock"
)

// probe is the reservation of one attempt in a half-open circuit.
type probe struct {
	circuit  *circuit
	report   func(error)
	took     int64       // until learn; its attempt alone uses it
	watchdog clock.Timer // both guarded by the breaker's mu
	done     bool
}

// The outcomes that gobreaker receives. It never sees the error of a call.
var (
	errBad      = errors.New("bad")
	errNotCount = errors.New("not counted")
	errHung     = errors.New("resilience: a probe of the half-open circuit did not end in time")
)

// ramp returns how many probes may run at once: 1, 2, 4, ... as they succeed.
func (c *circuit) ramp() int { return 1 << (bits.Len(uint(c.good+1)) - 1) }

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

// weighProbe returns the outcome of a probe for the state machine. An answer that is
// Ignored is a success here: otherwise a dependency that only such calls reach would
// stay half-open for ever.
func (p *BreakerPolicy) weighProbe(v Verdict, took int64) error {
	switch bad, slow, counts := p.weigh(v, took); {
	case !counts && !v.isSignOfLife():
		return errNotCount
	case bad || slow:
		return errBad
	}
	return nil
}
