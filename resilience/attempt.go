package resilience

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// attempt is one run of the call: its context, and what it holds (a permit, and perhaps
// a probe). Permit and probe are given back when the last holder lets go. The holders
// are the call itself and every caller of Hold. The attempt is the only allocation that
// a call makes.
type attempt struct {
	lazyDeadline
	entry
	// excluded is the time in ns that the attempt spent waiting for its caller: see
	// ExcludeWait.
	excluded atomic.Int64
	// reportedAfter is the time until the report; set only for listeners.
	reportedAfter atomic.Int64
	unusual       *unusual // nil for most attempts
}

// unusual is what few attempts have.
type unusual struct {
	probe  *probe    // nil unless the circuit was half-open
	key    *string   // whose share the permit is counted in; nil: no share
	shadow *shadowed // nil if there is no shadow
	// lender is the enclosing attempt of the same guard whose permit this one uses. It
	// is nil if this attempt has its own permit.
	lender *attempt
}

// pass returns what the attempt holds of the gate.
func (a *attempt) pass() pass {
	p := pass{entry: a.entry}
	if u := a.unusual; u != nil {
		p.probe, p.key = u.probe, u.key
	}
	return p
}

// errAbandoned is the error that the breaker receives for a call that did not return.
var errAbandoned = errors.New("resilience: the call ended by a panic or runtime.Goexit")

// abandoned is the verdict on a call that did not return.
var abandoned = Verdict{Outcome: Failure, Repeat: RepeatNever}

// Value implements context.Context. It shows the attempt to AttemptFrom and Hold,
// and the standard library's own context to package context.
func (a *attempt) Value(key any) any {
	if _, ok := key.(markKey); ok {
		return a
	}
	s := a.Load()
	if s&standalone != 0 {
		return a.inner.Value(key)
	}
	if reason := s & endReason; (reason == endedByTime || reason == endedByGuard) && a.parent.Err() != nil {
		// The parent has ended too, perhaps with a cause that is not the attempt's.
		return a.endedContext(reason).Value(key)
	}
	return a.parent.Value(key)
}

// String describes the context, as those of package context do.
func (a *attempt) String() string {
	return "resilience.attempt(" + a.cfg.dependency() + "/" + a.cfg.name + ")"
}

// judge returns the verdict on the call's error. Three kinds of error say nothing about
// the dependency: the end of the caller, the guard's own refusal of a nested call, and
// the cancellation of an attempt that lost a race. An error that only looks like one of
// these, such as a context.Canceled that the dependency itself returned, is judged like
// any other.
func (a *attempt) judge(err error, now int64) Verdict {
	late := now >= a.end
	switch {
	case err == nil && a.has(uncounted):
		return Verdict{Outcome: Ignored, Repeat: RepeatNever}
	case err == nil:
		return Verdict{}
	case a.has(lost), !late && isCanceled(a.parent.Err()):
		return Verdict{Outcome: Ignored, Repeat: RepeatNever, left: true}
	case late && isCanceled(err):
		// The caller left when the time was up, which cancelled the call.
		err = context.DeadlineExceeded
	}
	if refusal, ok := RefusalOf(err, a.cfg.dependency()); ok && refusal.guard == a.cfg.guard {
		return Verdict{Outcome: Ignored, Repeat: RepeatNever, refused: true}
	}
	v, named := a.cfg.shared.named.judge(err, a.cfg.guard.classify)
	if !named {
		v = a.cfg.guard.classify(err)
	}
	if v.Outcome == Failure && a.callerDeadlinePassed(err, now) {
		v.Outcome, v.callerDeadlinePassed = Ignored, true
	}
	return v
}

// callerDeadlinePassed reports whether the caller's own deadline cut the attempt before
// the attempt had taken as long as the policy allows. Such an end says nothing about
// the dependency.
func (a *attempt) callerDeadlinePassed(err error, now int64) bool {
	over := isDeadline(a.parent.Err())
	if theirs := a.theirs && now >= a.end || over; !theirs || now-a.start >= int64(a.cfg.bound) {
		return false
	}
	return isTimeout(err) || over && errors.Is(err, context.Cause(a.parent))
}

// report passes the outcome to breaker and limit. Only the first report counts.
func (a *attempt) report(now int64, err error, v Verdict) {
	if a.set(reported) {
		a.observe(now, err, v)
	}
}

// observe passes the outcome to whatever learns from it.
func (a *attempt) observe(now int64, err error, v Verdict) {
	took := now - a.start
	if a.cfg.listens() {
		a.reportedAfter.Store(took)
	}
	excluded := min(a.excluded.Load(), took)
	took -= excluded
	if v.Outcome == Success && !a.has(lost) || err != nil && !v.callerDeadlinePassed && now >= a.end {
		a.measure(took)
	}
	if u := a.unusual; u != nil && u.shadow != nil {
		u.shadow.learn(a, now, excluded, err, v)
	}
	p := a.pass()
	a.cfg.guard.learn(a, a.cfg.shared, &p, excluded, now, err, v)
}

// ExcludeWait excludes a duration from the running attempt's latency, as breaker,
// adaptive limit and hedge measure it. It is meant for time in which the attempt waited
// for its own caller, for example for a request body that arrives slowly: such time
// says nothing about the dependency. If it is called more than once, the last call
// counts. Outside a guarded call it does nothing.
func ExcludeWait(ctx context.Context, d time.Duration) {
	if a := attemptOf(ctx); a != nil && d > 0 {
		a.excluded.Store(int64(d))
	}
}

// DoNotCount marks, from within a call, the value that the call is about to return as
// one that says nothing about the dependency's health. The caller gets the value, but
// the attempt counts as Ignored. Client libraries use it for answers that are unwelcome
// but not the dependency's fault, such as a 404 that is handed over as a response. It
// has no effect on errors, or outside a guarded call.
func DoNotCount(ctx context.Context) {
	if a := attemptOf(ctx); a != nil {
		a.set(uncounted)
	}
}

// measure adds to the latencies from which the hedging quantile is computed. Hedges are
// not measured, because those that win are faster than most attempts.
func (a *attempt) measure(took int64) {
	if h := a.cfg.Hedge; h != nil && h.Quantile > 0 && !a.hedged {
		a.cfg.op.latency.add(took)
	}
}

// abandon is called when a panic or Goexit ended the call.
func (a *attempt) abandon() {
	now := a.cfg.guard.now()
	defer a.callDone(now)
	a.report(now, errAbandoned, abandoned)
}

// callDone lets go for the call itself, once.
func (a *attempt) callDone(now int64) {
	if !a.has(returned) && a.letGo(true) {
		a.giveBack(now)
	}
}

// unhold ends a Hold or a lend.
func (a *attempt) unhold(now int64) {
	if a.letGo(false) {
		a.giveBack(now)
	}
}

// succeeded is the end of a call without an error. It reports false, and does nothing,
// if the end of the attempt needs more than one step.
func (a *attempt) succeeded(now int64) bool {
	before, ok := a.endAlone()
	if !ok {
		return false
	}
	a.release(before)
	c := a.cfg
	if b := c.shared.Breaker; c.plain && a.unusual == nil && c.shared.Bulkhead.Adaptive == nil && (b == nil || !b.isSlow(now-a.start)) {
		if a.circuit != nil {
			c.guard.breaker.good(a.circuit, c.shared, now)
		}
	} else {
		a.observe(now, nil, Verdict{})
	}
	a.leave(now)
	return true
}

// giveBack ends the context and gives back what the attempt holds, for the last holder.
func (a *attempt) giveBack(now int64) {
	a.finish()
	a.leave(now)
}

// leave gives everything back. If the attempt is a probe, it has succeeded if its call
// had.
func (a *attempt) leave(now int64) {
	c := a.cfg
	if held := now - a.start; c.shared.Bulkhead.Queue > 0 && (held&0x70 == 0 || c.op.held.Load() == 0) {
		c.op.held.observe(held)
	}
	u, p := a.unusual, a.pass()
	c.guard.leave(a, c.shared, &p, now, u == nil || u.lender == nil)
	if u == nil {
		return
	}
	if u.shadow != nil {
		u.shadow.leave(a)
	}
	if u.lender != nil {
		u.lender.takeBack(now)
	}
}

// lend lets one call at a time, made from within the attempt, use its permit.
func (a *attempt) lend() bool {
	if !a.set(lent) {
		return false
	}
	if !a.hold() {
		a.And(^lent)
		return false
	}
	return true
}

// takeBack ends a lend.
func (a *attempt) takeBack(now int64) {
	a.And(^lent)
	a.unhold(now)
}

// around returns the innermost attempt of this guard that the context belongs to and
// that is not over; nil if there is none.
func (g *Guard) around(ctx context.Context) *attempt {
	for a := attemptOf(ctx); a != nil; a = attemptOf(a.parent) {
		if a.cfg.guard == g && a.held() {
			return a
		}
	}
	return nil
}

// Hold keeps the running attempt's permit, probe and context beyond the return of the
// call, for work that continues after it, such as reading a response's body. The
// returned function ends the hold. It may be called more than once and from any
// goroutine; the first call counts. Its argument says how the work ended: nil, or the
// error with which it failed, which is judged as the call's own error would be. After
// such a failure a probe has failed. Any other attempt was already counted when its
// call returned, so its late failure is one more observation. The attempt's deadline
// stays in force. Outside a guarded call Hold does nothing.
func Hold(ctx context.Context) (release func(err error)) {
	a := attemptOf(ctx)
	if a == nil || !a.hold() {
		return func(error) {}
	}
	var once atomic.Bool
	return func(err error) {
		if once.CompareAndSwap(false, true) {
			now := a.cfg.guard.now()
			defer a.unhold(now)
			if err != nil {
				a.failLate(err, now)
			}
		}
	}
}

// failLate reports that held work has failed. If the call has not returned yet, this is
// the report of the attempt.
func (a *attempt) failLate(err error, now int64) {
	v := a.judge(err, now)
	if a.set(reported) {
		a.observe(now, err, v)
		return
	}
	if v.Outcome == Failure {
		excluded := min(a.excluded.Load(), now-a.start)
		p := a.pass()
		a.cfg.guard.learn(a, a.cfg.shared, &p, excluded, now, err, v)
		if u := a.unusual; u != nil && u.shadow != nil {
			u.shadow.learn(a, now, excluded, err, v)
		}
	}
}

// AttemptInfo describes the running attempt. It is a value.
type AttemptInfo struct {
	Dependency, Operation string
	// Number counts from 1, hedges included.
	Number int
	// Hedged says that the attempt is a hedge.
	Hedged bool
	// Raced says that the operation hedges: the attempt may be cancelled because
	// another one won.
	Raced bool
	// Retried says that the request around the call is itself a retry or hedge, as
	// WithRetried or an outer guard marked it.
	Retried bool
	// Criticality is the call's class.
	Criticality Criticality
}

// AttemptFrom returns the attempt to which the context belongs; false outside an
// attempt.
func AttemptFrom(ctx context.Context) (AttemptInfo, bool) {
	a := attemptOf(ctx)
	if a == nil {
		return AttemptInfo{}, false
	}
	return AttemptInfo{
		Dependency:  a.cfg.dependency(),
		Operation:   a.cfg.name,
		Number:      int(a.number),
		Hedged:      a.hedged,
		Raced:       a.cfg.Hedge != nil,
		Retried:     isRepeat(a.parent),
		Criticality: classOf(a.parent, a.cfg.Criticality),
	}, true
}
