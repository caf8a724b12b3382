package resilience

import (
	"fmt"
	"maps"
	"slices"
)

// Update replaces the policy and keeps the state: an open breaker stays open, permits
// in use stay counted, windows keep their counts, and a budget keeps its tokens. Calls
// that run or wait continue under the policy with which they began. A lower limit is
// reached as permits come back. If New would refuse the policy, or if it has another
// name, Update returns an error and changes nothing. Safe for concurrent use.
func (g *Guard) Update(p Policy) error {
	if g == nil || g.own == nil {
		return errNilCaller
	}
	if p.Name != g.name {
		return g.otherName(p.Name)
	}
	return g.change(func(Policy) (Policy, error) { return p, nil })
}

// CheckUpdate returns the error that Update would return, and changes nothing. Safe for
// concurrent use.
func (g *Guard) CheckUpdate(p Policy) error {
	if g == nil || g.own == nil {
		return errNilCaller
	}
	if p.Name != g.name {
		return g.otherName(p.Name)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refusesLocked(p)
}

func (g *Guard) otherName(name string) error {
	return fmt.Errorf("%w %q: an update has the name %q; make another guard for another dependency", ErrPolicy, g.name, name)
}

// refusesLocked returns why a policy can't be put in force.
func (g *Guard) refusesLocked(p Policy) error {
	if g.closed.Load() {
		return g.own.config.Load().refuse.closed
	}
	if err := p.valid(); err != nil {
		return err
	}
	return g.fits(p)
}

// Force sets the breaker's mode for operators, whatever the policy says. The mode
// lasts, also over updates and reloads, until Force(BreakerAuto) removes it; then the
// policy's own mode is in force again. A guard whose policy has no breaker can be
// forced as well. Snapshot.Forced shows the mode. Safe for concurrent use.
func (g *Guard) Force(mode BreakerMode) error {
	if g == nil || g.own == nil {
		return errNilCaller
	}
	if !mode.valid() {
		return fmt.Errorf("%w %q: Force with the mode %q; use open, closed, disabled or BreakerAuto", ErrPolicy, g.name, string(mode))
	}
	return g.change(func(p Policy) (Policy, error) {
		g.forced = mode
		return p, nil
	})
}

// ResetBreaker closes the breaker and forgets its counts, for an operator who knows
// that the dependency has recovered. A mode that is forced, by the policy or by Force,
// stays in force. Attempts that are running are no longer counted. Safe for concurrent
// use.
func (g *Guard) ResetBreaker() error {
	if g == nil || g.own == nil {
		return errNilCaller
	}
	if g.closed.Load() {
		return g.own.config.Load().refuse.closed
	}
	g.breaker.reset(g.background())
	g.deliver()
	return nil
}

// fits returns an error if a valid policy contradicts the options with which the guard
// was made.
func (g *Guard) fits(p Policy) error {
	if g.shares != nil && p.Budget != nil {
		return fmt.Errorf("%w %q: budget is set, and the guard shares a budget with others (WithBudget); drop one of the two", ErrPolicy, p.Name)
	}
	return g.names.check(p)
}

// ForbidRepeats(true) forbids all retries and hedges of the guard for operators,
// whatever the policy says; ForbidRepeats(false) permits them again. It lasts over
// updates. Calls that fail end with the result of their first attempt. Safe for
// concurrent use.
func (g *Guard) ForbidRepeats(forbid bool) error {
	if g == nil || g.own == nil {
		return errNilCaller
	}
	g.noRepeats.Store(forbid)
	return nil
}

// takeRepeat draws the token for a retry or hedge.
func (g *gate) takeRepeat() bool { return !g.noRepeats.Load() && g.budget.take() }

// change puts in force what f makes of the policy in force.
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
	if g.closed.Load() {
		return g.own.config.Load().refuse.closed
	}
	p, err := f(g.policy)
	if err != nil {
		return err
	}
	if err := g.refusesLocked(p); err != nil {
		return err
	}
	from := g.visibleBreaker(g.shared)
	g.applyLocked(p)
	if to := g.visibleBreaker(g.shared); to != from {
		g.queue(g.background(), Event{Kind: BreakerChanged, Dependency: g.name, From: from, To: to})
	}
	g.queue(g.background(), Event{Kind: PolicyUpdated, Dependency: g.name})
	return nil
}

// visibleBreaker returns the breaker's state as callers see it.
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

// clone returns a copy that shares nothing with the original.
func (p Policy) clone() Policy {
	p.Bulkhead.Adaptive = copyOf(p.Bulkhead.Adaptive)
	p.RateLimit = copyOf(p.RateLimit)
	p.Breaker = copyOf(p.Breaker)
	p.Budget = copyOf(p.Budget)
	p.Throttle = copyOf(p.Throttle)
	p.Errors = p.Errors.clone()
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
	o.Calls = slices.Clone(o.Calls)
	return o
}

func (e *ErrorsPolicy) clone() *ErrorsPolicy {
	if e == nil {
		return nil
	}
	return &ErrorsPolicy{Failure: slices.Clone(e.Failure), Ignored: slices.Clone(e.Ignored)}
}

func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// force returns the policy with the breaker's mode replaced by the operator's.
func (p Policy) force(mode BreakerMode) Policy {
	if mode == BreakerAuto {
		return p
	}
	b := BreakerPolicy{}
	if p.Breaker != nil {
		b = *p.Breaker
	}
	b.Mode = mode
	p.Breaker = &b
	return p
}
