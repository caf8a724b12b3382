package resilience

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/resilience/internal/clock"
)

// gate decides which attempts a policy admits, and learns from their outcomes; it makes
// no calls. A guard is built on one gate, and a shadow on another that gets the same
// facts.
//
//	ask ──(breaker, rate limit and bulkhead agree)──▶ has a permit
//	has a permit ──(enter: the breaker admits it, perhaps as a probe)──▶ entered
//	entered ──(learn: the attempt's verdict)──▶ breaker and adaptive limit have counted it
//	entered ──(leave: the work has really ended)──▶ the permit is back
//	has a permit ──(drop)──▶ everything is back, and nothing was counted
//
// Safe for concurrent use.
type gate struct {
	name  string
	base  time.Time    // origin of all offsets
	clock *clock.Clock // nil: real time
	listeners
	bulkhead  bulkhead
	adaptive  adaptive
	breaker   breaker
	throttle  throttle
	alarms    atomic.Pointer[alarms] // nil until an attempt needs them
	budget    *budget                // the gate's own, unless it shares one
	shares    *Budget                // nil if it does not share one
	noRepeats atomic.Bool            // by ForbidRepeats
	closed    atomic.Bool
	ending    context.Context // done once the gate is closed
	end       context.CancelFunc
}

// open makes the gate ready for apply.
func (g *gate) open(name string, c *clock.Clock, l []Listener) {
	g.name, g.base, g.clock = name, c.Now(), c
	g.listeners.all = l
	// The gate belongs to no call, so its context begins here.
	g.ending, g.end = context.WithCancel(context.Background())
	g.breaker.gate, g.adaptive.gate, g.bulkhead.clock = g, g, c
	if g.shares != nil {
		g.budget = &g.shares.budget
		return
	}
	g.budget = new(budget)
	g.budget.open(c)
}

// now returns the time as an offset from the gate's base. It is monotonic, and cheaper
// than time.Now.
func (g *gate) now() int64 {
	if g.clock == nil {
		return int64(time.Since(g.base))
	}
	return int64(g.clock.Since(g.base))
}

// at returns the time of an offset.
func (g *gate) at(offset int64) time.Time { return g.base.Add(time.Duration(offset)) }

// background returns the context for work that no call asked for. It ends with the
// gate.
func (g *gate) background() context.Context { return g.ending }

// apply puts a policy, with its defaults filled in, in force and keeps the state.
// before is the policy that was in force until now; nil for the first.
func (g *gate) apply(full Policy, before *shared) *shared {
	if g.shares != nil {
		full.Budget = g.shares.policy.Load()
	}
	s := &shared{Policy: full, amplification: full.Amplification()}
	if full.Breaker != nil {
		g.breaker.configure(*full.Breaker)
	}
	if full.Budget != nil && g.shares == nil {
		g.budget.configure(*full.Budget, before == nil || g.budget.size.Load() == 0)
	}
	if t := full.Throttle; t != nil {
		var old *ThrottlePolicy
		if before != nil {
			old = before.Throttle
		}
		g.throttle.configure(*t, old, g.now())
	}
	if r := full.RateLimit; r != nil {
		s.limiter = limiterFor(*r, before)
	}
	g.bulkhead.configure(full.Bulkhead)
	g.adaptive.configure(full.Bulkhead.Adaptive)
	g.bulkhead.setLimit(full.Bulkhead.startLimit(before, int(g.bulkhead.limit.Load())), g.now())
	return s
}

// reason is why a gate does not let an attempt in.
type reason uint8

const (
	admitted reason = iota
	circuitOpen
	throttled
	noToken    // of the rate limit
	tokenLater // a token of the rate limit is taken, and comes after wish.wait
	noPermit   // of the bulkhead; waiting may help
)

// pass is what one attempt holds of a gate.
type pass struct {
	entry
	probe *probe  // nil unless the circuit is half-open
	key   *string // whose share of the bulkhead the permit is counted in; nil: no share
}

// entry is the part of a pass that every attempt has.
type entry struct {
	// circuit is the breaker's state at the start of the attempt. If it is nil, nothing
	// is observed.
	circuit *circuit
	start   int64
}

// share returns the key in whose share the permit is counted; empty if in none.
func (p *pass) share() string {
	if p.key == nil {
		return ""
	}
	return *p.key
}

// wish is what an attempt asks of a gate.
type wish struct {
	// key is the key on whose account the permit is held.
	key *string
	// patience is the longest that the attempt would wait for a token of the rate
	// limit.
	patience time.Duration
	// token is a token that was taken before, and waited for.
	token rateToken
	// wait is the time until the token is valid; set by ask.
	wait time.Duration
	// unobserved means that the breaker is not asked and learns nothing.
	unobserved bool
}

// ask asks the breaker, and takes a token and a permit. After tokenLater the caller
// waits, and asks again with the token. After noPermit the caller may wait for a permit
// and continue with enter, or drop the pass.
func (g *gate) ask(s *shared, w *wish) (p pass, no reason) {
	if b := s.Breaker; b != nil && !w.unobserved {
		var ok bool
		if p.circuit, ok = g.breaker.admits(b.Mode); !ok {
			w.token.giveBack(g)
			return p, circuitOpen
		}
	}
	if t := s.Throttle; t != nil && w.token.limiter == nil && g.throttle.refuses(t, g.now(), g.clock.Float64) {
		return p, throttled
	}
	if s.limiter != nil && w.token.limiter == nil {
		var ok bool
		if w.token, w.wait, ok = takeToken(s.limiter, g.at(g.now()), w.patience); !ok {
			return p, noToken
		}
		if w.wait > 0 {
			return p, tokenLater
		}
	}
	if s.Bulkhead.MaxShare > 0 {
		p.key = w.key
	}
	if !g.bulkhead.tryAcquire(p.share()) {
		return p, noPermit
	}
	return p, admitted
}

// enter begins the attempt at now. A circuit that is not closed may still refuse it;
// then everything is given back. bound is the longest that a probe may take. permit
// says whether the pass holds a permit of the bulkhead.
func (g *gate) enter(s *shared, p *pass, t rateToken, now int64, bound time.Duration, permit bool) bool {
	p.start = now
	b := s.Breaker
	switch {
	case b == nil, p.circuit == nil:
	case b.Mode == BreakerDisabled:
		p.circuit = nil
	case b.Mode == BreakerAuto && p.circuit.kind != BreakerClosed:
		var ok bool
		if p.circuit, p.probe, ok = g.breaker.enter(p.circuit, bound); !ok {
			g.drop(p, t, permit)
			return false
		}
	}
	return true
}

// drop gives back everything that is held by an attempt that will not be made.
func (g *gate) drop(p *pass, t rateToken, permit bool) {
	if p.probe != nil {
		g.breaker.finish(g.background(), p.probe, errNotCount, nil)
	}
	if permit {
		g.bulkhead.giveBack(g.now(), p.share())
	}
	t.giveBack(g)
}

// learn counts how the attempt went. excluded is time that the attempt spent on its
// caller, which does not count as latency. The success of a probe waits for leave,
// because work that is held can still fail.
func (g *gate) learn(ctx context.Context, s *shared, p *pass, excluded, now int64, err error, v Verdict) {
	took := now - p.start - excluded
	if a := s.Bulkhead.Adaptive; a != nil {
		g.adaptive.observe(ctx, a, p.start+excluded, now, err, v)
	}
	if s.Throttle != nil {
		g.throttle.learn(v, now)
	}
	switch {
	case p.circuit == nil:
	case p.probe == nil:
		bad, slow, counts := s.Breaker.weigh(v, took)
		if counts {
			g.breaker.observe(ctx, p.circuit, s.Breaker, now, bad, slow, err)
		}
		s.watchCuts(g, ctx, v, counts)
	case err != nil:
		g.breaker.finish(ctx, p.probe, s.Breaker.weighProbe(v, took), err)
	default:
		p.probe.took = took
	}
}

// watchCuts detects a breaker that learns nothing because all attempts are cut by their
// callers' deadlines, which means that some outer timeout is shorter than the policy's.
// It emits that once while a policy is in force.
func (s *shared) watchCuts(g *gate, ctx context.Context, v Verdict, counted bool) {
	switch {
	case counted:
		if s.cuts.Load() != 0 {
			s.cuts.Store(0)
		}
	case v.callerDeadlinePassed && len(g.listeners.all) > 0:
		if s.cuts.Add(1) == int64(s.Breaker.MinimumCalls) && s.blind.CompareAndSwap(false, true) {
			g.queue(ctx, Event{Kind: BreakerBlind, Dependency: g.name})
			g.deliver()
		}
	}
}

// leave gives the permit back when the work has really ended at now. A probe that
// has not failed by then has succeeded, if it was not slow.
func (g *gate) leave(ctx context.Context, s *shared, p *pass, now int64, permit bool) {
	if permit {
		g.bulkhead.release(now-p.start, now, p.share())
	}
	if p.probe != nil {
		g.breaker.finish(ctx, p.probe, s.Breaker.weighProbe(Verdict{}, p.probe.took), nil)
	}
}

// shut ends the timers and the context of the gate. No further task begins after it.
func (g *gate) shut() {
	g.closed.Store(true)
	g.tasks.close()
	g.end()
	g.breaker.close()
	if a := g.alarms.Load(); a != nil {
		for i := range *a {
			(*a)[i].close()
		}
	}
}
