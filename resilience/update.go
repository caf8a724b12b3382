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
	if p.Name != g.name {
		return fmt.Errorf("%w %q: an update has the name %q; make another guard for another dependency", ErrPolicy, g.name, p.Name)
	}
	return g.change(func(Policy) (Policy, error) { return p, nil })
}

// Force sets the breaker's mode and nothing else: a kill switch for operators.
// BreakerAuto ends it. It is an Update, and the next Update with another mode ends
// it too. A guard without a breaker refuses it with ErrPolicy.
func (g *Guard) Force(mode BreakerMode) error {
	if g == nil || g.own == nil {
		return errNilCaller
	}
	return g.change(func(p Policy) (Policy, error) {
		if p.Breaker == nil {
			return p, fmt.Errorf("%w %q: there is no breaker to force; set breaker in the policy", ErrPolicy, g.name)
		}
		p = p.clone()
		p.Breaker.Mode = mode
		return p, nil
	})
}

// change puts what f makes of the policy in force.
func (g *Guard) change(f func(Policy) (Policy, error)) error {
	if err := g.changeState(f); err != nil {
		return err
	}
	g.deliver()
	return nil
}

func (g *Guard) changeState(f func(Policy) (Policy, error)) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	p, err := f(g.policy)
	if err != nil {
		return err
	}
	if err := p.valid(); err != nil {
		return err
	}
	if g.closed.Load() {
		return g.own.config.Load().refuse.closed
	}
	from := g.visibleBreaker(g.shared)
	g.applyLocked(p)
	if to := g.visibleBreaker(g.shared); to != from {
		g.queue(g.background(), Event{Kind: BreakerChanged, Dependency: g.name, From: from, To: to})
	}
	g.queue(g.background(), Event{Kind: PolicyUpdated, Dependency: g.name})
	return nil
}

// visibleBreaker is the breaker's state as callers meet it.
func (g *gate) visibleBreaker(s *shared) BreakerState {
	p := s.Breaker
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
