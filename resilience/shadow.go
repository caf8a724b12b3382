package resilience

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Shadow is a second policy that watches a guard's calls and counts where it would
// have decided otherwise. It changes nothing for the calls. It is safe for
// concurrent use. Who made it stops it; another Shadow on the same guard stops it
// too, and so does the guard's Close. Its zero value is not of use.
//
// It keeps state of its own (breaker, permits, tokens, budget) and counts in it
// only what it would have let run. What it can't know is how the dependency would
// have answered what was not sent; so calls that only it would have sent leave its
// state as it was. Hedges, fallbacks and pauses are not compared.
type Shadow struct {
	guard   *Guard
	model   *Guard // holds the state; no call runs on it
	since   time.Time
	stopped atomic.Bool
	excess  atomic.Int64 // calls that run, and would wait for a permit
	counts  shadowCounts
}

// shadowCounts are the counters of a ShadowReport.
type shadowCounts struct {
	attempts, same, open, full, limited, admit, wait, cut, late, repeat, noRepeat, unknown atomic.Int64
}

// ShadowReport is what a shadow has counted. It is a value.
type ShadowReport struct {
	Dependency string `json:"dependency"`
	// Since is when the shadow began.
	Since time.Time `json:"since"`
	// Attempts is the number of decisions compared, to run an attempt or to refuse
	// it; Same of them were the same.
	Attempts int64 `json:"attempts"`
	Same     int64 `json:"same"`
	// WouldRefuse* count attempts that ran: the shadow's breaker was open, its
	// bulkhead full, its rate limit out of tokens.
	WouldRefuseOpen    int64 `json:"would_refuse_open"`
	WouldRefuseFull    int64 `json:"would_refuse_full"`
	WouldRefuseLimited int64 `json:"would_refuse_limited"`
	// WouldAdmit counts attempts that were refused.
	WouldAdmit int64 `json:"would_admit"`
	// WouldWait counts attempts that ran at once and would have waited for a permit;
	// they are among Same.
	WouldWait int64 `json:"would_wait"`
	// WouldCut counts attempts that succeeded after the shadow's attempt timeout.
	WouldCut int64 `json:"would_cut"`
	// WouldTimeOut counts calls that succeeded after the shadow's timeout.
	WouldTimeOut int64 `json:"would_time_out"`
	// WouldRepeat counts failures that were not repeated, WouldNotRepeat those that were.
	WouldRepeat    int64 `json:"would_repeat"`
	WouldNotRepeat int64 `json:"would_not_repeat"`
	// Unknown counts attempts of operations that the shadow's policy has not.
	Unknown int64 `json:"unknown"`
	// Breaker, OpenUntil, Limit and Budget are the shadow's own state.
	Breaker   BreakerState `json:"breaker"`
	OpenUntil time.Time    `json:"open_until,omitzero"`
	Limit     int          `json:"limit"`
	Budget    float64      `json:"budget"`
}

// Differences is the number of decisions that would have been different.
func (r ShadowReport) Differences() int64 {
	return r.WouldRefuseOpen + r.WouldRefuseFull + r.WouldRefuseLimited + r.WouldAdmit + r.WouldCut + r.WouldTimeOut + r.WouldRepeat + r.WouldNotRepeat
}

// Shadow lets a second policy watch the guard's calls, in place of the one before.
// It is checked as New does, and must have the guard's name.
func (g *Guard) Shadow(p Policy) (*Shadow, error) {
	if g == nil || g.own == nil {
		return nil, errNilCaller
	}
	if p.Name != g.name {
		return nil, fmt.Errorf("%w %q: a shadow has the name %q; it watches one dependency", ErrPolicy, g.name, p.Name)
	}
	model, err := New(p, WithClassifier(g.classify))
	if err != nil {
		return nil, err
	}
	s := &Shadow{guard: g, model: model, since: time.Now()}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed.Load() {
		s.end()
		return nil, g.own.config.Load().refuse.closed
	}
	if before := g.shadow.Swap(s); before != nil {
		before.end()
	}
	return s, nil
}

// Stop ends the watching. Report goes on to tell what was counted. Stopping twice
// does nothing.
func (s *Shadow) Stop() {
	if s == nil || s.guard == nil {
		return
	}
	s.guard.shadow.CompareAndSwap(s, nil)
	s.end()
}

func (s *Shadow) end() {
	s.stopped.Store(true)
	s.model.breaker.close() // the model has no goroutine but its breaker's timers
	s.model.closed.Store(true)
	s.model.end()
}

// Report returns what was counted so far.
func (s *Shadow) Report() ShadowReport {
	if s == nil || s.guard == nil {
		return ShadowReport{}
	}
	c, state := &s.counts, s.model.Snapshot()
	return ShadowReport{
		Dependency: s.guard.name, Since: s.since,
		Attempts: c.attempts.Load(), Same: c.same.Load(),
		WouldRefuseOpen: c.open.Load(), WouldRefuseFull: c.full.Load(), WouldRefuseLimited: c.limited.Load(),
		WouldAdmit: c.admit.Load(), WouldWait: c.wait.Load(), WouldCut: c.cut.Load(), WouldTimeOut: c.late.Load(),
		WouldRepeat: c.repeat.Load(), WouldNotRepeat: c.noRepeat.Load(), Unknown: c.unknown.Load(),
		Breaker: state.Breaker, OpenUntil: state.OpenUntil, Limit: state.Limit, Budget: state.Budget,
	}
}

// config is the shadow's policy for an operation of the guard; nil if it has none.
func (s *Shadow) config(name string) *opConfig {
	if name == DefaultOperation {
		return s.model.own.config.Load()
	}
	s.model.mu.Lock()
	defer s.model.mu.Unlock()
	if o := s.model.operations[name]; o != nil {
		return o.config.Load()
	}
	return nil
}

// shadowed is an attempt as a shadow would have let it run.
type shadowed struct {
	by      *Shadow
	cfg     *opConfig
	circuit *circuit
	probe   *probe
	start   int64 // on the model's clock
	permit  bool  // else it is one of the excess
}

// compare decides on an attempt that runs (ran), or that was refused, as the
// shadow would have. earns: it adds to the budget. It returns what the shadow holds
// of an attempt that runs.
func (s *Shadow) compare(operation string, earns, ran bool) *shadowed {
	s.counts.attempts.Add(1)
	c := s.config(operation)
	if c == nil {
		s.counts.unknown.Add(1)
		return nil
	}
	w, refusal := s.admit(c)
	switch {
	case refusal != nil && ran:
		switch refusal {
		case ErrOpen:
			s.counts.open.Add(1)
		case ErrFull:
			s.counts.full.Add(1)
		default:
			s.counts.limited.Add(1)
		}
		return nil
	case refusal != nil:
		s.counts.same.Add(1)
		return nil
	case !ran:
		s.counts.admit.Add(1)
		w.drop()
		return nil
	}
	s.counts.same.Add(1)
	if !w.permit {
		s.counts.wait.Add(1)
	}
	if earns && c.shared.Budget != nil {
		s.model.budget.first()
	}
	return w
}

// admit is run.admit without waiting, and in the model. The error is the kind of refusal.
func (s *Shadow) admit(c *opConfig) (*shadowed, error) {
	m := s.model
	w := &shadowed{by: s, cfg: c, start: m.now()}
	breaker := c.shared.Breaker
	if breaker != nil {
		var ok bool
		if w.circuit, ok = m.breaker.admits(breaker.Mode); !ok {
			return nil, ErrOpen
		}
	}
	var token rateToken
	if c.shared.limiter != nil {
		var ok bool
		if token, ok = takeToken(c.shared.limiter, m.at(m.now())); !ok {
			return nil, ErrRateLimited
		}
	}
	if w.permit = m.bulkhead.tryAcquire(); !w.permit {
		if s.excess.Add(1) > int64(c.shared.Bulkhead.Queue) {
			s.excess.Add(-1)
			token.giveBack(m)
			return nil, ErrFull
		}
	}
	if breaker != nil && w.circuit.kind != BreakerClosed && breaker.Mode == BreakerAuto {
		var ok bool
		if w.circuit, w.probe, ok = m.breaker.enter(w.circuit, c.attemptBound()); !ok {
			token.giveBack(m)
			w.release()
			return nil, ErrOpen
		}
	}
	if breaker != nil && breaker.Mode == BreakerDisabled {
		w.circuit = nil
	}
	return w, nil
}

// report tells the model how the attempt went.
func (w *shadowed) report(a *attempt, err error, v Verdict) {
	if w.by.stopped.Load() {
		return
	}
	m := w.by.model
	now := m.now()
	took := now - w.start
	late := took > int64(w.cfg.attemptBound())
	if late && v.Outcome == Success {
		w.by.counts.cut.Add(1)
	}
	if late && (v.Outcome == Success || v.hurried) {
		// For the model it was a failure.
		v.Outcome, err = Failure, errTooLate
	}
	if p := w.cfg.shared.Bulkhead.Adaptive; p != nil {
		m.adaptive.observe(a, p, w.start, now, err, v)
	}
	p := w.cfg.shared.Breaker
	switch {
	case w.circuit == nil:
	case w.probe != nil:
		m.breaker.finish(a, w.probe, p.weighProbe(v, took), err)
	default:
		if bad, slow, counts := p.weigh(v, took); counts {
			m.breaker.observe(a, w.circuit, p, now, bad, slow, err)
		}
	}
}

// release gives back the permit when the work has really ended.
func (w *shadowed) release() {
	m := w.by.model
	now := m.now()
	if w.permit {
		m.bulkhead.release(now-w.start, now)
	} else {
		w.by.excess.Add(-1)
	}
}

// drop gives back everything, for an attempt that did not run.
func (w *shadowed) drop() {
	if w.probe != nil {
		w.by.model.breaker.finish(w.by.model.background(), w.probe, errNotCount, nil)
	}
	w.release()
}

// repeated compares the decision whether a failure is repeated.
func (s *Shadow) repeated(r *run, v Verdict, repeated bool) {
	c := s.config(r.cfg.name)
	if c == nil {
		return
	}
	would := c.Retry != nil && c.mayEver(v, r.attempts) == "" && !isRepeat(r.ctx) && s.model.budget.take()
	switch {
	case would && !repeated:
		s.counts.repeat.Add(1)
	case !would && repeated:
		s.counts.noRepeat.Add(1)
	}
}

// succeeded compares a call's time with the shadow's timeout.
func (s *Shadow) succeeded(r *run) {
	if c := s.config(r.cfg.name); c != nil && r.cfg.guard.now()-r.start > int64(c.Timeout) {
		s.counts.late.Add(1)
	}
}
