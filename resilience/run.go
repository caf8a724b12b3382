package resilience

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// run is one call of Do. It lives on the caller's stack and is not shared.
type run struct {
	ctx   context.Context // the caller's context, with what a listener added
	cfg   *opConfig
	begun bool // the clock was read; a call that is refused at once does not need it
	start int64
	// fresh is set if start was read just now. end is when the last attempt on this
	// goroutine ended, if there are listeners. Both save reading the clock.
	fresh bool
	end   int64
	// deadline bounds the whole call. theirs is set if it is the caller's own deadline.
	deadline int64
	theirs   bool
	attempts int
	errs     []error
	pauses   *backoff.ExponentialBackOff
	pause    time.Duration
	token    bool // drawn from the budget for an attempt that has not started
	// judged is the verdict on the last attempt's error. ended is set if a refusal or
	// the deadline ended the call, and not that error.
	judged Verdict
	ended  bool
	// doNotStore is set if the attempt that won called DoNotStore.
	doNotStore bool
	// apart is set if the run belongs to no single caller: it is coalesced, or a
	// refresh in the background.
	apart bool
	// shared is the coalesced call that this run makes, or nil.
	shared *sharedCall
	// joined is set if the value came from a shared call that another caller began.
	joined bool
	// wonAt is when the attempt that brought the value began.
	wonAt int64
}

// begin reads the start time, unless that was done already.
func (r *run) begin(now int64) {
	if r.begun {
		return
	}
	c := r.cfg
	r.begun, r.start = true, now
	r.deadline = later(now, c.Timeout)
	if d, ok := r.ctx.Deadline(); ok {
		if at := c.guard.offset(d, now); at < r.deadline {
			r.deadline, r.theirs = at, true
		}
	}
}

// emit emits an event of the call. The caller must have checked listens before.
func (r *run) emit(e *Event) context.Context { return r.cfg.emit(r.ctx, e) }

func (c *opConfig) emit(ctx context.Context, e *Event) context.Context {
	e.Dependency, e.Operation = c.guard.name, c.name
	return c.guard.emit(ctx, e)
}

// emitStart emits the beginning of a call or an attempt, and returns the context with
// which it continues.
func (c *opConfig) emitStart(ctx context.Context, e *Event) context.Context {
	next := c.emit(ctx, e)
	if next.Done() != ctx.Done() {
		return &listenersContext{Context: ctx, values: next}
	}
	return next
}

// listenersContext has the values of the context that a listener returned, and the
// deadline and cancellation of the context that the listener was given. So a listener
// can't remove the caller's deadline.
type listenersContext struct {
	context.Context
	values context.Context
}

// Value implements context.Context.
func (c *listenersContext) Value(key any) any { return c.values.Value(key) }

// refused emits a refusal and returns it as an error.
func (r *run) refused(refusal *Refusal, hedged bool) error {
	if s := r.cfg.guard.shadow.Load(); s != nil {
		s.compare(r, false, false)
	}
	if r.cfg.listens() {
		r.emit(&Event{Kind: Refused, Err: refusal, Hedged: hedged})
	}
	return refusal
}

// admit takes an attempt through the gate. It returns an attempt that may start, a
// refusal, or an error that ended the wait. After an error nothing is held. A hedge
// does not wait for a permit.
func (r *run) admit(hedged bool) (*attempt, error) {
	c, g := r.cfg, r.cfg.guard
	if g.closed.Load() {
		return nil, r.refused(c.refuse.closed, hedged)
	}
	var w wish
	p, no, err := r.ask(&w, hedged)
	if err != nil {
		return nil, err
	}
	var lender *attempt
	switch no {
	case circuitOpen:
		return nil, r.refused(c.refuseOpen(p.circuit), hedged)
	case throttled:
		return nil, r.refused(c.refuse.throttled, hedged)
	case noToken:
		return nil, r.refused(c.refuseLimited(), hedged)
	case noPermit:
		if lender, err = r.waitForPermit(p.share(), hedged); err != nil {
			w.token.giveBack(&g.gate)
			return nil, err
		}
		if p.circuit != nil { // the circuit may have changed meanwhile
			p.circuit = g.breaker.now.Load()
		}
	}
	now := r.start
	if !r.fresh {
		now = g.now()
		r.begin(now)
	}
	r.fresh = false
	if !g.enter(c.shared, &p, w.token, now, c.bound, lender == nil) {
		if lender != nil {
			lender.takeBack(now)
		}
		return nil, r.refused(c.refuseOpen(p.circuit), hedged)
	}
	if r.shared != nil && !c.op.inflight.mayStart(r.shared) {
		g.drop(&p, w.token, lender == nil)
		if lender != nil {
			lender.takeBack(now)
		}
		return nil, context.Canceled
	}
	return r.newAttempt(p, lender, hedged), nil
}

// ask asks the gate, and waits for a token of the rate limit if the policy lets it.
func (r *run) ask(w *wish, hedged bool) (p pass, no reason, err error) {
	c, g := r.cfg, r.cfg.guard
	if c.shared.Bulkhead.MaxShare > 0 {
		w.key = r.shareKey()
	}
	if l := c.shared.RateLimit; l != nil && l.MaxWait > 0 && !hedged {
		now := g.now()
		r.begin(now)
		w.patience = min(l.MaxWait, time.Duration(r.deadline-now))
	}
	p, no = g.ask(c.shared, w)
	if no == tokenLater {
		if err := r.awaitToken(w.token, w.wait); err != nil {
			return p, no, err
		}
		p, no = g.ask(c.shared, w)
	}
	if no == circuitOpen && g.isProbing(r.ctx, p.circuit) {
		w.unobserved, w.token = true, rateToken{}
		p, no = g.ask(c.shared, w)
	}
	return p, no, nil
}

// newAttempt counts and returns an attempt that has entered the gate.
func (r *run) newAttempt(p pass, lender *attempt, hedged bool) *attempt {
	c, g := r.cfg, r.cfg.guard
	if r.attempts == 0 {
		c.earn(r.ctx)
	}
	r.attempts++
	r.token = false
	a := &attempt{entry: p.entry}
	a.parent, a.cfg, a.number, a.hedged, a.apart = r.ctx, c, int32(r.attempts), hedged, r.apart
	a.end, a.theirs = r.deadline, r.theirs
	if end := later(a.start, c.bound); end < a.end {
		a.end, a.theirs = end, false
	}
	s := g.shadow.Load()
	if s != nil || lender != nil || p.probe != nil || p.key != nil {
		a.unusual = &unusual{probe: p.probe, key: p.key, lender: lender}
	}
	if s != nil {
		a.unusual.shadow = s.compare(r, a.number == 1 && !isRepeat(r.ctx), true)
	}
	return a
}

// earn adds what a first attempt earns to the budget.
func (c *opConfig) earn(ctx context.Context) {
	if b := c.guard.budget; c.shared.Budget != nil && !b.isFull() && !isRepeat(ctx) {
		b.first()
	}
}

// quick is admit for the first attempt of a call, if nobody listens and no policy has
// anything to decide but the breaker, which is closed, and the bulkhead, which has a free
// permit. Otherwise it returns nil and takes nothing.
func (c *opConfig) quick(ctx context.Context) *attempt {
	g := c.guard
	if !c.plain || g.shadow.Load() != nil || g.closed.Load() {
		return nil
	}
	var state *circuit
	if c.shared.Breaker != nil {
		if state = g.breaker.now.Load(); state.kind != BreakerClosed {
			return nil
		}
	}
	if ctx.Err() != nil || !g.bulkhead.take() {
		return nil
	}
	c.earn(ctx)
	a := new(attempt)
	a.parent, a.cfg, a.number, a.circuit = ctx, c, 1, state
	a.start = g.now()
	a.end = later(a.start, c.bound)
	if d, ok := ctx.Deadline(); ok {
		if at := g.offset(d, a.start); at < a.end {
			a.end, a.theirs = at, true
		}
	}
	return a
}

// simple reports whether the options are only of the kind that matters after a failure.
func simple[T any](opts []CallOption[T]) bool {
	for i := range opts {
		if o := &opts[i]; o.last != nil || o.coalesce || o.check != nil {
			return false
		}
	}
	return true
}

// waitForPermit is called when no permit is free. A call that is made from within an
// attempt of the same guard must not wait, because the holder of the permit for which
// it waits may be waiting for this call. Such a call uses the permit of the enclosing
// attempt, or is refused at once.
func (r *run) waitForPermit(key string, hedged bool) (lender *attempt, err error) {
	if outer := r.cfg.guard.around(r.ctx); outer != nil {
		if outer.lend() {
			return outer, nil
		}
		return nil, r.refused(r.cfg.refuse.nested, hedged)
	}
	if hedged || r.cfg.shared.Bulkhead.Queue == 0 {
		if key != "" && !r.cfg.guard.bulkhead.isFull() {
			return nil, r.refused(r.cfg.refuse.share, hedged)
		}
		return nil, r.refused(r.cfg.refuse.full, hedged)
	}
	return nil, r.queueUp(key)
}

// isProbing reports whether the call is made from within a probe of the circuit. Such a
// call may run, and the probe's outcome counts for both.
func (g *Guard) isProbing(ctx context.Context, c *circuit) bool {
	if c.kind != BreakerHalfOpen {
		return false
	}
	outer := g.around(ctx)
	return outer != nil && outer.unusual != nil && outer.unusual.probe != nil && outer.circuit == c
}

// refusesAtOnce returns the refusal that admit would return, if that can be seen
// without taking anything: the circuit is open, or no permit is free and the call may
// not wait.
func (c *opConfig) refusesAtOnce(ctx context.Context) *Refusal {
	g := c.guard
	if b := c.shared.Breaker; b != nil && !g.closed.Load() {
		switch now := g.breaker.now.Load(); {
		case b.Mode == BreakerForcedOpen:
			return c.refuse.forced
		case b.Mode == BreakerAuto && now.kind == BreakerOpen:
			return c.refuseOpen(now)
		case b.Mode == BreakerAuto && now.kind == BreakerHalfOpen:
			return nil // admit says which of the two it is
		}
	}
	if c.shared.Bulkhead.Queue == 0 && g.bulkhead.isFull() && !g.closed.Load() && attemptOf(ctx) == nil {
		return c.refuse.full
	}
	return nil
}

// queueUp waits for a permit.
func (r *run) queueUp(key string) error {
	c, g := r.cfg, r.cfg.guard
	now := g.now()
	r.begin(now)
	r.fresh = false
	until := r.deadline
	if w := c.shared.Bulkhead.MaxWait; w > 0 {
		until = min(until, later(now, w))
	}
	if p := c.shared.Bulkhead.Adaptive; p != nil {
		// The objective includes waiting. Half of what an attempt leaves of it may be
		// spent on waiting; the other half is reserve for attempts that take longer
		// than most.
		until = min(until, now+max(0, int64(p.Objective)-g.bulkhead.service.Load())/2)
	}
	err := g.bulkhead.wait(r.ctx, queueRules{
		class: int(classOf(r.ctx, c.Criticality) - Sheddable), key: *r.shareKey(), share: key, now: now, until: until, deadline: r.deadline, service: c.op.held.Load(),
		shared: r.shared,
	})
	end := g.now()
	if c.listens() && end > now {
		r.emitWait(time.Duration(end-now), err == nil, key)
	}
	if err == nil && isCanceled(r.ctx.Err()) { // the permit came as the caller left
		g.bulkhead.giveBack(end, key)
		err = context.Canceled
	}
	switch refusal := c.refuse.refuseWait(err); {
	case err == nil:
		return nil
	case refusal != nil && err != errWaited, refusal != nil && until < r.deadline:
		return r.refused(refusal, false)
	case isCanceled(err):
		return endOf(r.ctx)
	}
	return &lateWait{refusal: r.refused(c.refuse.waited, false), end: r.timeUp()}
}

// emitWait emits a wait. If a listener ends the goroutine, the permit is given back.
func (r *run) emitWait(took time.Duration, permit bool, key string) {
	emitted := false
	defer func() {
		if permit && !emitted {
			r.cfg.guard.bulkhead.giveBack(r.cfg.guard.now(), key)
		}
	}()
	r.emit(&Event{Kind: Waited, Took: took})
	emitted = true
}

// timeUp returns the error for a call whose time is over: that of the caller's own
// deadline, with its cause, or the guard's. A context ends a moment after its deadline.
// timeUp waits for that, because only then the context has a cause.
func (r *run) timeUp() error {
	if r.theirs && r.cfg.guard.clock == nil && r.ctx.Err() == nil {
		moment := time.NewTimer(time.Millisecond)
		defer moment.Stop()
		select {
		case <-r.ctx.Done():
		case <-moment.C:
		}
	}
	if end := endOf(r.ctx); isDeadline(end) {
		return end
	}
	return context.DeadlineExceeded
}

// lateWait returns a refusal by the bulkhead for a call whose whole time went into
// waiting.
type lateWait struct{ refusal, end error }

func (e *lateWait) Error() string   { return e.refusal.Error() }
func (e *lateWait) Unwrap() []error { return []error{e.refusal, e.end} }
func (e *lateWait) Timeout() bool   { return true }
func (e *lateWait) Temporary() bool { return true }

// failed returns the error of a call that is given up. It consists of the attempts'
// errors and of what ended the call, if that was not the last attempt's error.
func (r *run) failed(last error, gave string) error {
	r.ended = gave == gaveRefused || gave == gaveTimeout
	switch n := len(r.errs); {
	case last != nil && r.attempts == 0 && gave == gaveRefused:
		return last // nothing to add
	case last != nil:
		r.errs = append(r.errs, last)
	case gave == gaveTimeout && !isDeadline(r.errs[n-1]):
		r.errs = append(r.errs, r.timeUp())
	case gave == gaveCanceled && !isCanceled(r.errs[n-1]):
		r.errs = append(r.errs, endOf(r.ctx))
	case n == 1 && gave != gaveTimeout && (!isDeadline(r.errs[0]) || saysTimeout(r.errs[0])):
		return r.errs[0]
	}
	return &CallError{Dependency: r.cfg.dependency(), Operation: r.cfg.name, Attempts: r.attempts, Errs: r.errs, Gave: gave}
}
