package resilience

import "sync/atomic"

// throttle refuses a part of the attempts while the dependency refuses or fails a part
// of them: the client-side throttling of Google's SRE book, chapter 21.
//
//	any ──(an attempt asks)──▶ refused with probability max(0, (requests - K x accepts) / (requests + 1))
//
// Observed as requests: attempts, and those that the throttle refused. Observed as
// accepts: attempts that the dependency has answered, even if with an error that is not
// a failure. Not observed: refusals of other policies, and attempts whose caller left.
//
// Safe for concurrent use.
type throttle struct{ window atomic.Pointer[window] }

// configure sets the length of the window and keeps the counts.
func (t *throttle) configure(p ThrottlePolicy, before *ThrottlePolicy, now int64) {
	switch w := t.window.Load(); {
	case w == nil:
		t.window.Store(newWindow(p.Window, now))
	case before == nil || before.Window != p.Window:
		t.window.Store(w.resized(p.Window, now))
	}
}

// refuses decides on one attempt. chance draws a number in [0, 1).
func (t *throttle) refuses(p *ThrottlePolicy, now int64, chance func() float64) bool {
	share := t.share(p, now)
	if share == 0 || chance() >= share {
		return false
	}
	t.window.Load().add(now, true, false)
	return true
}

// share returns the part of the attempts that is refused now, from 0 to 1.
func (t *throttle) share(p *ThrottlePolicy, now int64) float64 {
	sum := t.window.Load().sum(now)
	return max(0, float64(sum.calls)-p.K*float64(sum.calls-sum.bad)) / float64(sum.calls+1)
}

// learn counts an attempt that ended.
func (t *throttle) learn(v Verdict, now int64) {
	if v.Outcome == Ignored && !v.isSignOfLife() {
		return
	}
	t.window.Load().add(now, v.Outcome == Failure || v.Outcome == Overload, false)
}
