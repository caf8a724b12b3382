package resilience

import (
	"fmt"
	"maps"
)

// Update swaps the policy and keeps the state: an open breaker stays open, permits
// in flight stay counted, windows keep their counts, a budget keeps its tokens.
// Calls that run or wait go on under the policy they began with; a lower limit is
// reached as permits come back. A policy that New would refuse, or that has
// another name, is refused and changes nothing. Safe for concurrent use.
func (g *Guard) Update(p Policy) error {
	if g == nil || g.own == nil {
		return errNilCaller
	}
	if err := p.valid(); err != nil {
		return err
	}
	if p.Name != g.name {
		return fmt.Errorf("%w %q: an update has the name %q; make another guard for another dependency", ErrPolicy, g.name, p.Name)
	}
	if g.closed.Load() {
		return g.own.config.Load().refuse.closed
	}
	g.mu.Lock()
	from := g.visibleBreaker()
	g.applyLocked(p, false)
	if to := g.visibleBreaker(); to != from {
		g.queue(Event{Kind: BreakerChanged, Dependency: g.name, From: from, To: to})
	}
	g.queue(Event{Kind: PolicyUpdated, Dependency: g.name})
	g.mu.Unlock()
	g.deliver(g.background())
	return nil
}

// visibleBreaker is the breaker's state as callers meet it. g.mu is held.
func (g *Guard) visibleBreaker() BreakerState {
	p := g.shared.Breaker
	switch {
	case p == nil || p.Mode == BreakerDisabled || p.Mode == BreakerForcedClosed:
		return BreakerClosed
	case p.Mode == BreakerForcedOpen:
		return BreakerOpen
	}
	return g.breaker.now.Load().kind
}

// clone returns a copy that shares nothing.
func (p Policy) clone() Policy {
	p.Bulkhead.Adaptive = copyOf(p.Bulkhead.Adaptive)
	p.RateLimit = copyOf(p.RateLimit)
	p.Breaker = copyOf(p.Breaker)
	p.Budget = copyOf(p.Budget)
	p.Expect = copyOf(p.Expect)
	p.Default = p.Default.clone()
	p.Operations = maps.Clone(p.Operations)
	for name, o := range p.Operations {
		p.Operations[name] = o.clone()
	}
	return p
}

func (o OperationPolicy) clone() OperationPolicy {
	o.Retry, o.Hedge, o.Stale = copyOf(o.Retry), copyOf(o.Hedge), copyOf(o.Stale)
	return o
}

func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
