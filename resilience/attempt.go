package resilience

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// attempt is one run of the call: the context it gets, and what it holds (a
// permit, perhaps a probe). Both go back when the last holder lets go: the call
// itself, and whoever called Hold. It is the one thing that a call allocates.
type attempt struct {
	lazyDeadline
	pass
	shadow *shadowed // nil: none watches
	number int32
	hedged bool
	apart  bool // it may outlive the call
	// holders is how many still work: the call, and each Hold.
	holders atomic.Int32
	// reported: the outcome was told to breaker and limit.
	reported atomic.Bool
	// doNotStore: its value must not be remembered.
	doNotStore atomic.Bool
	// lost: it was cancelled because another attempt won.
	lost atomic.Bool
	// excluded is the time that the caller cost, in ns: see ExcludeWait.
	excluded atomic.Int64
	// reportedAfter is the time until the report; set only for listeners.
	reportedAfter atomic.Int64
	// done: the call let go. Only its own goroutine looks.
	done bool
	// gone: it has ended or was given up. judged: it was given up. Both are guarded by
	// the mu of its race.
	gone, judged bool
	// left: it ran when the caller of its race left; only that caller looks.
	left bool
	// lender is the attempt around, of the same guard, whose permit this one uses; nil:
	// it has a permit of its own. lent: another attempt uses this one's.
	lender *attempt
	lent   atomic.Bool
}

// errAbandoned is what the breaker is told of a call that did not return.
var errAbandoned = errors.New("resilience: the call ended by a panic or runtime.Goexit")

// abandoned is the verdict on a call that did not return.
var abandoned = Verdict{Outcome: Failure, Repeat: RepeatNever}

// Value implements context.Context. It shows the attempt to AttemptFrom and Hold,
// and the standard library's own context to package context.
func (a *attempt) Value(key any) any {
	if _, ok := key.(markKey); ok {
		return a
	}
	if s := a.inner.Load(); s != nil {
		return s.Value(key)
	}
	return a.parent.Value(key)
}

// String describes the context, as those of package context do.
func (a *attempt) String() string {
	return "resilience.attempt(" + a.cfg.dependency() + "/" + a.cfg.name + ")"
}

// judge says what the call's error means. The caller's own end, the guard's own
// refusal of a nested call, and a loser of a race say nothing of the dependency. An
// error that only looks like one of these, such as a context.Canceled that the
// dependency made itself, is judged as any other.
func (a *attempt) judge(err error, now int64) Verdict {
	late := now >= a.end
	switch {
	case err == nil:
		return Verdict{}
	case a.lost.Load(), !late && isCanceled(a.parent.Err()):
		return Verdict{Outcome: Ignored, Repeat: RepeatNever}
	case late && isCanceled(err):
		// The caller left when the time was up, which cancelled the call.
		err = context.DeadlineExceeded
	}
	if refusal, ok := RefusalOf(err, a.cfg.dependency()); ok && refusal.guard == a.cfg.guard {
		return Verdict{Outcome: Ignored, Repeat: RepeatNever, refused: true}
	}
	v, named := a.cfg.shared.named.judge(err)
	if !named {
		v = a.cfg.guard.classify(err)
	}
	if v.Outcome == Failure && a.callerDeadlinePassed(err, now) {
		v.Outcome, v.callerDeadlinePassed = Ignored, true
	}
	return v
}

// callerDeadlinePassed reports whether the caller's own deadline cut the attempt,
// before it had taken as long as the policy would have let it. That says nothing of
// the dependency.
func (a *attempt) callerDeadlinePassed(err error, now int64) bool {
	over := isDeadline(a.parent.Err())
	if theirs := a.theirs && now >= a.end || over; !theirs || now-a.start >= int64(a.cfg.attemptBound()) {
		return false
	}
	return isTimeout(err) || over && errors.Is(err, context.Cause(a.parent))
}

// report lets breaker and limit learn what came of it. Only the first report counts.
func (a *attempt) report(now int64, err error, v Verdict) {
	if a.reported.Load() || !a.reported.CompareAndSwap(false, true) {
		return
	}
	a.observe(now, err, v)
}

// observe passes the outcome to whatever learns from it.
func (a *attempt) observe(now int64, err error, v Verdict) {
	took := now - a.start
	if a.cfg.listens() {
		a.reportedAfter.Store(took)
	}
	a.pass.excluded = min(a.excluded.Load(), took)
	took -= a.pass.excluded
	if v.Outcome == Success && !a.lost.Load() || err != nil && !v.callerDeadlinePassed && now >= a.end {
		a.measure(took)
	}
	if a.shadow != nil {
		a.shadow.learn(a, err, v)
	}
	a.cfg.guard.learn(a, a.cfg.shared, &a.pass, now, err, v)
}

// ExcludeWait takes a time out of the running attempt's latency, as breaker, adaptive
// limit and hedge measure it: time that the attempt has waited for its own caller, such
// as for a request's body that comes slowly. It says nothing about the dependency. The
// last call counts. Outside a guarded call it does nothing.
func ExcludeWait(ctx context.Context, d time.Duration) {
	if a := attemptOf(ctx); a != nil && d > 0 {
		a.excluded.Store(int64(d))
	}
}

// measure adds to the latencies of which hedges take a quantile. Hedges are not
// measured: those that win are quicker than most.
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
	if !a.done {
		a.done = true
		a.letGo(now)
	}
}

// letGo ends one holder's part. The last one gives everything back. A probe that
// was held has succeeded if its call had.
func (a *attempt) letGo(now int64) {
	if a.holders.Add(-1) > 0 {
		return
	}
	a.finish()
	if held := now - a.start; a.cfg.shared.Bulkhead.Queue > 0 && (held&0x70 == 0 || a.cfg.op.held.Load() == 0) {
		a.cfg.op.held.observe(held)
	}
	a.cfg.guard.leave(a, a.cfg.shared, &a.pass, now, a.lender == nil)
	if a.shadow != nil {
		a.shadow.leave(a)
	}
	if a.lender != nil {
		a.lender.takeBack(now)
	}
}

// lend lets one call at a time, made from within the attempt, use its permit.
func (a *attempt) lend() bool {
	if !a.lent.CompareAndSwap(false, true) {
		return false
	}
	if !a.hold() {
		a.lent.Store(false)
		return false
	}
	return true
}

// takeBack ends a lend.
func (a *attempt) takeBack(now int64) {
	a.lent.Store(false)
	a.letGo(now)
}

// around is the innermost attempt of the guard that the context belongs to, and that
// is not over; nil if there is none.
func (g *Guard) around(ctx context.Context) *attempt {
	for a := attemptOf(ctx); a != nil; a = attemptOf(a.parent) {
		if a.cfg.guard == g && a.holders.Load() > 0 {
			return a
		}
	}
	return nil
}

// hold adds a holder, unless the attempt is over.
func (a *attempt) hold() bool {
	for {
		n := a.holders.Load()
		if n == 0 {
			return false
		}
		if a.holders.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Hold keeps the running attempt's permit, probe and context past the return of
// the call, for work that goes on after it (a response's body). The returned
// function ends it. It is safe to call more than once and from any goroutine; the
// first call counts. Its argument says how the work ended: nil, or the error with
// which it failed, which is judged as the call's error would be. A probe then fails.
// Any other attempt was counted when its call returned; its late failure is one more
// observation. Outside a guarded call Hold does nothing. The attempt's deadline stays
// in force.
func Hold(ctx context.Context) (release func(err error)) {
	a := attemptOf(ctx)
	if a == nil || !a.hold() {
		return func(error) {}
	}
	var once atomic.Bool
	return func(err error) {
		if once.CompareAndSwap(false, true) {
			now := a.cfg.guard.now()
			defer a.letGo(now)
			if err != nil {
				a.failLate(err, now)
			}
		}
	}
}

// failLate reports a failure of work that was held. If the call has not returned yet,
// this is the attempt's report.
func (a *attempt) failLate(err error, now int64) {
	v := a.judge(err, now)
	if a.reported.CompareAndSwap(false, true) {
		a.observe(now, err, v)
		return
	}
	if v.Outcome == Failure {
		a.cfg.guard.learn(a, a.cfg.shared, &a.pass, now, err, v)
		if a.shadow != nil {
			a.shadow.learn(a, err, v)
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

// AttemptFrom tells about the attempt whose context this is; false outside one.
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
