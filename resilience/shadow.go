package resilience

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Shadow is a second policy that watches a guard's calls and counts where it would have
// decided otherwise. It does not affect the calls. It is safe for concurrent use. The
// caller that started it must stop it. It also stops when another Shadow starts on the
// same guard, and when the guard is closed. Its zero value is not usable.
//
// A shadow keeps its own state (breaker, permits, tokens, budget), which counts only
// what it would have let run. It can't know how the dependency would have answered
// calls that were not sent. So calls that only the shadow would have sent leave its
// state unchanged. Hedges, fallbacks and pauses are not compared.
type Shadow struct {
	guard   *Guard
	gate    gate // gets the same facts as the guard's own gate
	shared  *shared
	configs map[string]*opConfig // by operation; never changed
	since   time.Time
	excess  atomic.Int64 // calls that are running, and that would wait for a permit here
	counts  shadowCounts
}

// shadowCounts are the counters of a ShadowReport.
type shadowCounts struct {
	attempts, same, open, full, limited, throttled, admit, wait, cut, late, repeat, noRepeat, unknown atomic.Int64
}

// ShadowReport is what a shadow has counted. It is a value.
type ShadowReport struct {
	Dependency string `json:"dependency"`
	// Since is when the shadow began.
	Since time.Time `json:"since"`
	// Attempts is the number of decisions that were compared. Each is a decision to run
	// or to refuse an attempt. Same is the number of those in which both policies
	// agreed.
	Attempts int64 `json:"attempts"`
	Same     int64 `json:"same"`
	// The WouldRefuse fields count attempts that ran, but would have been refused: the
	// shadow's breaker was open, its bulkhead full, or its rate limit out of tokens.
	WouldRefuseOpen    int64 `json:"would_refuse_open"`
	WouldRefuseFull    int64 `json:"would_refuse_full"`
	WouldRefuseLimited int64 `json:"would_refuse_limited"`
	// WouldRefuseThrottled counts attempts that ran, but that the shadow's throttle
	// would have refused.
	WouldRefuseThrottled int64 `json:"would_refuse_throttled,omitempty"`
	// WouldAdmit counts attempts that were refused, but that the shadow would have
	// admitted.
	WouldAdmit int64 `json:"would_admit"`
	// WouldWait counts attempts that ran, but would have waited for a permit or for a
	// token of the rate limit. They are included in Same.
	WouldWait int64 `json:"would_wait"`
	// WouldCut counts attempts that succeeded after the shadow's attempt timeout, and
	// before their own deadline. A value that came after its own deadline came from a
	// call that does not heed its context, so the shadow would have had it as well.
	WouldCut int64 `json:"would_cut"`
	// WouldTimeOut counts calls that succeeded after the shadow's timeout, and before
	// their own deadline.
	WouldTimeOut int64 `json:"would_time_out"`
	// WouldRepeat counts failures that were not repeated, but that the shadow would
	// have repeated. WouldNotRepeat counts the opposite.
	WouldRepeat    int64 `json:"would_repeat"`
	WouldNotRepeat int64 `json:"would_not_repeat"`
	// Unknown counts attempts of operations that the shadow's policy does not have.
	Unknown int64 `json:"unknown"`
	// Breaker, OpenUntil, Limit and Budget are the shadow's own state.
	Breaker   BreakerState `json:"breaker"`
	OpenUntil time.Time    `json:"open_until,omitzero"`
	Limit     int          `json:"limit"`
	Budget    float64      `json:"budget"`
}

// Differences is the number of decisions that would have been different.
func (r ShadowReport) Differences() int64 {
	return r.WouldRefuseOpen + r.WouldRefuseFull + r.WouldRefuseLimited + r.WouldRefuseThrottled + r.WouldAdmit + r.WouldCut + r.WouldTimeOut + r.WouldRepeat + r.WouldNotRepeat
}

// Shadow starts a second policy that watches the guard's calls, and replaces the one
// before. The policy is checked as New checks it, and must have the guard's name. The
// caller must stop the returned Shadow.
func (g *Guard) Shadow(p Policy) (*Shadow, error) {
	if g == nil || g.own == nil {
		return nil, errNilCaller
	}
	if p.Name != g.name {
		return nil, fmt.Errorf("%w %q: a shadow has the name %q; it watches one dependency", ErrPolicy, g.name, p.Name)
	}
	if err := p.valid(); err != nil {
		return nil, err
	}
	if err := g.names.check(p); err != nil {
		return nil, err
	}
	s := &Shadow{guard: g, since: time.Now(), configs: map[string]*opConfig{}}
	s.gate.open(g.name, g.clock, nil)
	full := p.clone().inForce()
	s.shared = s.gate.apply(full, nil)
	s.shared.named = g.names.of(full.Errors)
	s.configs[DefaultOperation] = &opConfig{OperationPolicy: full.Default, name: DefaultOperation, shared: s.shared, bound: full.Default.attemptBound()}
	for name, o := range full.Operations {
		s.configs[name] = &opConfig{OperationPolicy: o, name: name, shared: s.shared, bound: o.attemptBound()}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed.Load() {
		s.stop()
		return nil, g.own.config.Load().refuse.closed
	}
	if before := g.shadow.Swap(s); before != nil {
		before.stop()
	}
	return s, nil
}

// Stop ends the watching. Report continues to return what was counted. Stopping twice
// does nothing.
func (s *Shadow) Stop() {
	if s == nil || s.guard == nil {
		return
	}
	s.guard.shadow.CompareAndSwap(s, nil)
	s.stop()
}

func (s *Shadow) stop() { s.gate.shut() }

// Report returns what was counted so far.
func (s *Shadow) Report() ShadowReport {
	if s == nil || s.guard == nil {
		return ShadowReport{}
	}
	c, state := &s.counts, s.gate.snapshot(s.shared)
	return ShadowReport{
		Dependency: s.guard.name, Since: s.since,
		Attempts: c.attempts.Load(), Same: c.same.Load(),
		WouldRefuseOpen: c.open.Load(), WouldRefuseFull: c.full.Load(), WouldRefuseLimited: c.limited.Load(), WouldRefuseThrottled: c.throttled.Load(),
		WouldAdmit: c.admit.Load(), WouldWait: c.wait.Load(), WouldCut: c.cut.Load(), WouldTimeOut: c.late.Load(),
		WouldRepeat: c.repeat.Load(), WouldNotRepeat: c.noRepeat.Load(), Unknown: c.unknown.Load(),
		Breaker: state.Breaker, OpenUntil: state.OpenUntil, Limit: state.Limit, Budget: state.Budget,
	}
}

// shadowed is an attempt as the shadow would have run it.
type shadowed struct {
	pass
	by     *Shadow
	cfg    *opConfig
	token  rateToken
	permit bool // if false, the attempt is one of the excess
	waits  bool // it would wait for a token or for a permit
}

// compare decides, as the shadow would have, on an attempt that runs (ran is true) or
// that was refused. earns says whether the attempt adds to the budget. For an attempt
// that runs, compare returns what the shadow holds of it.
func (s *Shadow) compare(r *run, earns, ran bool) *shadowed {
	s.counts.attempts.Add(1)
	c := s.configs[r.cfg.name]
	if c == nil {
		s.counts.unknown.Add(1)
		return nil
	}
	w, no := s.admit(c, r.shareKey())
	switch {
	case no != admitted && ran:
		s.counts.refused(no)
		return nil
	case no != admitted:
		s.counts.same.Add(1)
		return nil
	case !ran:
		s.counts.admit.Add(1)
		w.drop()
		return nil
	}
	s.counts.same.Add(1)
	if w.waits {
		s.counts.wait.Add(1)
	}
	if earns && c.shared.Budget != nil {
		s.gate.budget.first()
	}
	return w
}

func (c *shadowCounts) refused(why reason) {
	switch why {
	case circuitOpen:
		c.open.Add(1)
	case noPermit:
		c.full.Add(1)
	case throttled:
		c.throttled.Add(1)
	default:
		c.limited.Add(1)
	}
}

// admit takes an attempt through the shadow's gate. If it would have to wait for a
// permit, that is counted, and admit does not wait.
func (s *Shadow) admit(c *opConfig, key *string) (*shadowed, reason) {
	wants := wish{key: key}
	if l := c.shared.RateLimit; l != nil {
		wants.patience = min(l.MaxWait, c.Timeout)
	}
	p, no := s.gate.ask(c.shared, &wants)
	waits := no == tokenLater
	if waits {
		p, no = s.gate.ask(c.shared, &wants)
	}
	w := &shadowed{pass: p, by: s, cfg: c, token: wants.token, permit: no == admitted, waits: waits || no == noPermit}
	if no == noPermit {
		if s.excess.Add(1) > int64(c.shared.Bulkhead.Queue) {
			s.excess.Add(-1)
			wants.token.giveBack(&s.gate)
			return nil, no
		}
	} else if no != admitted {
		return nil, no
	}
	if !s.gate.enter(c.shared, &w.pass, wants.token, s.gate.now(), c.bound, w.permit) {
		if !w.permit {
			s.excess.Add(-1)
		}
		return nil, circuitOpen
	}
	return w, admitted
}

// learn passes the outcome of the attempt, which is known since now, to the shadow's gate.
func (w *shadowed) learn(a *attempt, now, excluded int64, err error, v Verdict) {
	g := &w.by.gate
	if g.closed.Load() {
		return
	}
	if !a.has(lost) && a.parent.Err() == nil {
		v = w.by.judge(a.cfg, err, v)
	}
	if w.cuts(a, now-excluded, v) {
		if v.Outcome == Success {
			w.by.counts.cut.Add(1)
		}
		v.Outcome, v.callerDeadlinePassed, err = Failure, false, errTooLate
	}
	g.learn(a, w.cfg.shared, &w.pass, excluded, now, err, v)
}

// cuts reports whether an attempt that ended at that time, and that was no failure of the
// dependency, would have been a failure by the shadow's timeout.
func (w *shadowed) cuts(a *attempt, now int64, v Verdict) bool {
	bound := int64(w.cfg.bound)
	switch {
	case v.callerDeadlinePassed && a.theirs:
		return bound < a.end-a.start
	case v.callerDeadlinePassed:
		return bound < now-a.start
	case v.Outcome == Success:
		// A call that does not heed its own deadline would not have heeded the shadow's.
		return bound < now-a.start && now < a.end
	}
	return false
}

// judge returns the verdict on an error under the shadow's policy. v is the verdict
// under the guard's own policy. The two differ only by the names of errors.
func (s *Shadow) judge(own *opConfig, err error, v Verdict) Verdict {
	if err == nil || v.refused || v.callerDeadlinePassed {
		return v
	}
	if named, ok := s.shared.named.judge(err, s.guard.classify); ok {
		return named
	}
	if _, ok := own.shared.named.judge(err, s.guard.classify); ok {
		return s.guard.classify(err)
	}
	return v
}

// leave gives back what the attempt holds once the work has really ended.
func (w *shadowed) leave(ctx context.Context) {
	g := &w.by.gate
	g.leave(ctx, w.cfg.shared, &w.pass, g.now(), w.permit)
	if !w.permit {
		w.by.excess.Add(-1)
	}
}

// drop gives back everything, for an attempt that did not run.
func (w *shadowed) drop() {
	w.by.gate.drop(&w.pass, w.token, w.permit)
	if !w.permit {
		w.by.excess.Add(-1)
	}
}

// repeated compares whether a failure is repeated.
func (s *Shadow) repeated(r *run, v Verdict, repeated bool) {
	c := s.configs[r.cfg.name]
	if c == nil {
		return
	}
	if n := len(r.errs); n > 0 {
		v = s.judge(r.cfg, r.errs[n-1], v)
	}
	would := v.Outcome != Success && (v.Outcome != Ignored || v.callerDeadlinePassed) && c.Retry != nil && c.mayEver(v, r.attempts) == "" && !isRepeat(r.ctx) && s.gate.budget.take()
	switch {
	case would && !repeated:
		s.counts.repeat.Add(1)
	case !would && repeated:
		s.counts.noRepeat.Add(1)
	}
}

// succeeded compares a call's time with the shadow's timeout.
func (s *Shadow) succeeded(r *run) {
	now := r.cfg.guard.now()
	if c := s.configs[r.cfg.name]; c != nil && now-r.start > int64(c.Timeout) && now < r.deadline {
		s.counts.late.Add(1)
	}
}
