package resilience

import (
	"context"
	"sync"
	"time"
)

// race runs the attempt and, when it is slow, hedges beside it. The first success
// wins; the losers are cancelled and their results disposed of. If all fail, the
// race fails with the last one's error. Each attempt runs on a goroutine of its
// own, holds its own permit until it really ends, and needs a token of the budget
// if it is a hedge. A hedge that would have to wait for a permit is not started.
// At the deadline the caller returns even if attempts ignore their context.
type racing[T any] struct {
	dispose func(T)
	results chan outcome[T] // with room for every attempt

	mu   sync.Mutex
	over bool
}

// finish is called on each attempt's goroutine when it ends.
func (rc *racing[T]) finish(o outcome[T]) {
	rc.mu.Lock()
	late := rc.over
	if !late {
		rc.results <- o
	}
	rc.mu.Unlock()
	if late {
		rc.lose(o)
	}
}

func (rc *racing[T]) lose(o outcome[T]) {
	o.lose(rc.dispose)
	if o.attempt.cfg.listens() {
		o.attempt.tellEnd(o.failure(), o.verdict, false)
	}
}

// stop ends the race: who is still running loses.
func (rc *racing[T]) stop(runners []*attempt, winner *attempt) {
	rc.mu.Lock()
	rc.over = true
	rc.mu.Unlock()
	for _, a := range runners {
		if a != winner {
			a.lost.Store(true)
			a.finish()
		}
	}
	for {
		select {
		case o := <-rc.results:
			rc.lose(o)
		default:
			return
		}
	}
}

func race[T any](r *run, first *attempt, call func(context.Context) (T, error), dispose func(T)) (v T, from Source, verdict Verdict, err error) {
	h := r.cfg.Hedge
	rc := &racing[T]{dispose: dispose, results: make(chan outcome[T], 1+h.MaxHedges)}
	runners := append(make([]*attempt, 0, 1+h.MaxHedges), first)
	var winner *attempt
	defer func() { rc.stop(runners, winner) }()

	spawn(first, call, rc.finish)
	running, lastErr, lastVerdict := 1, error(nil), Verdict{}
	hedge, stopHedge := r.hedgeTimer()
	defer stopHedge()
	expiry := time.NewTimer(time.Duration(r.deadline - r.cfg.guard.now()))
	defer expiry.Stop()
	done := r.ctx.Done()
	for running > 0 {
		select {
		case o := <-rc.results:
			running--
			if o.err == nil && o.panicked == nil && !o.exited {
				winner = o.attempt
			}
			if r.cfg.listens() {
				o.attempt.tellEnd(o.failure(), o.verdict, true)
			}
			o.resume()
			if winner != nil {
				if winner.hedged {
					from = Hedge
				}
				return o.value, from, o.verdict, nil
			}
			if lastErr != nil {
				r.errs = append(r.errs, lastErr)
			}
			lastErr, lastVerdict = o.err, o.verdict
		case <-hedge:
			if a := r.hedge(); a != nil {
				runners = append(runners, a)
				running++
				spawn(a, call, rc.finish)
			}
			if len(runners) <= h.MaxHedges {
				stopHedge()
				hedge, stopHedge = r.hedgeTimer()
			} else {
				hedge = nil
			}
		case <-expiry.C:
			return rc.leave(runners, context.DeadlineExceeded)
		case <-done:
			return rc.leave(runners, r.ctx.Err())
		}
	}
	return v, Live, lastVerdict, lastErr
}

// leave ends a race that nobody has won, because the caller goes. What is running
// is judged now: it may never return.
func (rc *racing[T]) leave(runners []*attempt, err error) (v T, from Source, verdict Verdict, _ error) {
	for _, a := range runners {
		now := a.cfg.guard.now()
		verdict = a.judge(err, now)
		a.report(now, err, verdict)
	}
	return v, Live, verdict, err
}

// hedgeTimer fires when the next hedge is due; never, if the call may have none.
func (r *run) hedgeTimer() (<-chan time.Time, func()) {
	h := r.cfg.Hedge
	delay := h.Delay
	if h.Quantile > 0 {
		if measured := r.cfg.op.latency.quantile(h.Quantile, r.cfg.guard.now()); measured > 0 {
			delay = measured
		}
	}
	if delay <= 0 || isRepeat(r.ctx) || isSingle(r.ctx) {
		return nil, func() {}
	}
	timer := time.NewTimer(delay)
	return timer.C, func() { timer.Stop() }
}

// hedge returns another attempt that may start at once, or nil.
func (r *run) hedge() *attempt {
	g := r.cfg.guard
	if !g.budget.take() {
		return nil
	}
	a, err := r.admit(true)
	if err != nil {
		g.budget.putBack()
		return nil
	}
	return a
}
