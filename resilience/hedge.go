package resilience

import (
	"context"
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/backstay-go/backstay/resilience/internal/clock"
)

// racing is one race: an attempt and, while it is slow, its hedges.
//
//	runs ──(an attempt succeeded)──▶ won: the others are cancelled
//	runs ──(an attempt panicked)──▶ the caller panics: the others are cancelled
//	runs ──(an answer that repeating can't change)──▶ ended with it
//	runs ──(the delay is over, hedges are left, nobody asked for a pause, the budget has a token, a permit is free)──▶ one more runs
//	runs ──(an attempt's own deadline came)──▶ that attempt has failed, whether it keeps to its context or not
//	runs ──(the last one failed)──▶ failed, and may be retried
//	runs ──(the deadline came, or the caller left)──▶ left
//
// Observed: the outcome of each attempt, by breaker and limit, as if it were alone. A
// loser's outcome counts only if the attempt ended before it was cancelled. With
// Quantile, the latency of attempts that are not hedges is measured. An attempt that
// lost or ran out of time counts with the time that it had taken until then.
//
// The first success wins. The losers are cancelled and their results are disposed of.
// If all attempts fail, the race fails with the last one's error. An answer that
// repeating can't change ("not found") ends the race too. Each attempt runs on a
// separate goroutine and holds its own permit until it has really ended. A hedge needs
// a token of the budget. It is not started if it would have to wait for a permit.
type racing[T any] struct {
	dispose func(T)
	clock   *clock.Clock

	mu   sync.Mutex
	over bool
	// ended holds outcomes that the caller has not seen yet.
	ended []outcome[T]
	// wake has room for every attempt. It is nil until the caller waits.
	wake chan struct{}

	// Only the caller uses the fields below.
	runners  []*attempt
	running  int
	most     int // attempts
	failed   error
	verdict  Verdict
	due      int64 // when the next hedge starts
	firstEnd [1]outcome[T]
	first    [2]*attempt
}

// spins is how often the caller yields to other goroutines before it makes a timer and
// a channel to wait with. A call that does not wait for anything has ended by then.
const spins = 2

func race[T any](r *run, first *attempt, call func(context.Context) (T, error), dispose func(T)) (v T, from Source, verdict Verdict, err error) {
	rc := &racing[T]{dispose: dispose, clock: r.cfg.guard.clock, most: 1 + r.cfg.Hedge.MaxHedges}
	rc.ended, rc.runners = rc.firstEnd[:0], rc.first[:0]
	var winner *attempt
	defer func() { rc.stop(winner) }()
	rc.start(first, call)
	rc.due = r.hedgeDue(first.start)
	for rc.running > 0 {
		o, ok := rc.next()
		if !ok {
			left := rc.wait(r)
			switch {
			case left == nil:
				rc.step(r, call)
			case rc.leave():
				return v, Live, rc.judgeAll(r, left), left
			}
			continue
		}
		if o.err == nil && o.panicked == nil && !o.exited {
			winner = o.attempt
		}
		if r.cfg.listens() {
			o.attempt.emitEnd(o.failure(), o.verdict, true)
		}
		o.resume()
		if winner != nil {
			r.doNotStore, r.wonAt = winner.has(notStored), winner.start
			if winner.hedged {
				from = Hedge
			}
			return o.value, from, o.verdict, nil
		}
		rc.lost(r, o.err, o.verdict)
		if o.verdict.isAnswer() {
			break
		}
	}
	return v, Live, rc.verdict, rc.failed
}

// start runs an attempt of the race.
func (rc *racing[T]) start(a *attempt, call func(context.Context) (T, error)) {
	rc.runners = append(rc.runners, a)
	rc.running++
	spawn(a, call, rc.finish)
}

// finish is called on each attempt's goroutine when it ends.
func (rc *racing[T]) finish(o outcome[T]) {
	rc.mu.Lock()
	late, judged := rc.over || o.attempt.has(gone), o.attempt.has(judged)
	if !late {
		rc.ended = append(rc.ended, o)
		o.attempt.set(gone)
		if rc.wake != nil {
			clock.Send(rc.clock, rc.wake, struct{}{})
		}
	}
	rc.mu.Unlock()
	switch {
	case judged: // its end has been emitted
		o.lose(rc.dispose)
	case late:
		rc.lose(o)
	}
}

func (rc *racing[T]) lose(o outcome[T]) {
	o.lose(rc.dispose)
	if o.attempt.cfg.listens() {
		o.attempt.emitEnd(o.failure(), o.verdict, false)
	}
}

// next returns an outcome that the caller has not seen yet.
func (rc *racing[T]) next() (o outcome[T], ok bool) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if len(rc.ended) == 0 {
		return o, false
	}
	o = rc.ended[0]
	rc.ended = rc.ended[1:]
	return o, true
}

// wait waits until an attempt has ended or a step is due. It returns the reason why the
// caller must leave, or nil.
func (rc *racing[T]) wait(r *run) error {
	if rc.wake == nil {
		for i := 0; i < spins && rc.clock == nil; i++ {
			runtime.Gosched()
			if rc.hasEnded() {
				return nil
			}
		}
		rc.mu.Lock()
		rc.wake = make(chan struct{}, rc.most)
		ended := len(rc.ended) > 0
		rc.mu.Unlock()
		if ended {
			return nil
		}
	}
	until := min(rc.due, r.deadline)
	rc.mu.Lock()
	for _, a := range rc.runners {
		if !a.has(gone) {
			until = min(until, a.end)
		}
	}
	rc.mu.Unlock()
	_, left := clock.Recv(r.ctx, rc.clock, rc.wake, time.Duration(until-r.cfg.guard.now()))
	switch {
	case left == nil, rc.hasEnded():
		return nil
	case left != clock.ErrExpired:
		return endOf(r.ctx)
	case until >= r.deadline:
		return r.timeUp()
	}
	return nil
}

func (rc *racing[T]) hasEnded() bool {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return len(rc.ended) > 0
}

// step does what is due now: it gives up attempts whose time is up, and starts a hedge.
func (rc *racing[T]) step(r *run, call func(context.Context) (T, error)) {
	if rc.hasEnded() {
		return
	}
	now := r.cfg.guard.now()
	for _, a := range rc.runners {
		if now < a.end {
			continue
		}
		if v, ok := rc.giveUp(a, context.DeadlineExceeded, now); ok {
			rc.lost(r, context.DeadlineExceeded, v)
		}
	}
	if rc.running == 0 || now < rc.due {
		return
	}
	if a := r.hedge(); a != nil {
		rc.start(a, call)
	}
	rc.due = math.MaxInt64
	if len(rc.runners) < rc.most {
		rc.due = r.hedgeDue(now)
	}
}

// giveUp stops waiting for an attempt, with err. The attempt is judged now, because it
// may never return. If it has already ended, giveUp does nothing.
func (rc *racing[T]) giveUp(a *attempt, err error, now int64) (v Verdict, ok bool) {
	rc.mu.Lock()
	ok = !a.has(gone)
	if ok {
		a.set(gone | judged)
	}
	rc.mu.Unlock()
	if ok {
		v = a.giveUp(err, now)
	}
	return v, ok
}

// giveUp judges an attempt for which nobody waits any more.
func (a *attempt) giveUp(err error, now int64) Verdict {
	v := a.judge(err, now)
	a.report(now, err, v)
	if a.cfg.listens() {
		a.emitEnd(err, v, false)
	}
	return v
}

// lost records that an attempt failed. If the dependency asked for a pause, no more
// hedges start, and a retry waits for as long as it asked.
func (rc *racing[T]) lost(r *run, err error, v Verdict) {
	rc.running--
	if rc.failed != nil {
		r.errs = append(r.errs, rc.failed)
	}
	v.After = max(v.After, rc.verdict.After)
	rc.failed, rc.verdict = err, v
	if v.After > 0 {
		rc.due = math.MaxInt64
	}
}

// stop ends the race: whatever is still running loses.
func (rc *racing[T]) stop(winner *attempt) {
	rc.mu.Lock()
	rc.over = true
	ended := rc.ended
	rc.ended = nil
	rc.mu.Unlock()
	if rc.running > 1 || winner == nil {
		now := rc.first[0].cfg.guard.now()
		for _, a := range rc.runners {
			if a != winner {
				a.lose(now)
			}
		}
	}
	for _, o := range ended {
		rc.lose(o)
	}
}

// lose cancels an attempt because another one won, or the race is over.
func (a *attempt) lose(now int64) {
	if !a.has(reported) {
		a.measure(now - a.start)
	}
	a.set(lost)
	a.finish()
}

// leave ends a race that nobody has won, because the caller leaves. If an attempt has
// ended meanwhile, leave does nothing, so that the caller sees that outcome first.
func (rc *racing[T]) leave() bool {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if len(rc.ended) > 0 {
		return false
	}
	for _, a := range rc.runners {
		if !a.has(gone) {
			a.set(gone | judged)
			a.left = true
		}
	}
	return true
}

// judgeAll judges the attempts that were running when the caller left, because they may
// never return.
func (rc *racing[T]) judgeAll(r *run, err error) (verdict Verdict) {
	if rc.failed != nil {
		r.errs = append(r.errs, rc.failed)
	}
	for _, a := range rc.runners {
		if a.left {
			verdict = a.giveUp(err, r.cfg.guard.now())
		}
	}
	return verdict
}

// hedgeDue returns when the next hedge is due. That is the end of time if the call may
// have no further hedge.
func (r *run) hedgeDue(now int64) int64 {
	h := r.cfg.Hedge
	delay := h.Delay
	if h.Quantile > 0 {
		if measured := r.cfg.op.latency.quantile(h.Quantile, now); measured > 0 {
			delay = measured
		}
	}
	if m := markOf(r.ctx); delay <= 0 || m.retried || m.single {
		return math.MaxInt64
	}
	return later(now, delay)
}

// hedge returns another attempt that may start at once, or nil.
func (r *run) hedge() *attempt {
	g := r.cfg.guard
	if !g.takeRepeat() {
		return nil
	}
	a, err := r.admit(true)
	if err != nil {
		g.budget.putBack()
		return nil
	}
	return a
}
