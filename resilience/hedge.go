package resilience

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/backstay-go/backstay/resilience/internal/clock"
)

// race runs the attempt and, when it is slow, hedges beside it.
//
//	runs ──(an attempt succeeded)──▶ won: the others are cancelled
//	runs ──(an attempt panicked)──▶ the caller panics: the others are cancelled
//	runs ──(an answer that repeating can't change)──▶ ended with it
//	runs ──(the delay is over, hedges are left, the budget has a token, a permit is free)──▶ one more runs
//	runs ──(the last one failed)──▶ failed, and may be retried
//	runs ──(the deadline came, or the caller left)──▶ left
//
// Observed: each attempt's outcome, by breaker and limit, as if it were alone; a
// loser's only if it ended before it was cancelled. With Quantile the latency of
// successes is measured. The first success
// wins; the losers are cancelled and their results disposed of. If all fail, the
// race fails with the last one's error; an answer that repeating can't change ("not
// found") ends it too. Each attempt runs on a goroutine of its
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
		clock.Send(o.attempt.cfg.guard.clock, rc.results, o)
	}
	rc.mu.Unlock()
	if late {
		rc.lose(o)
	}
}

func (rc *racing[T]) lose(o outcome[T]) {
	o.lose(rc.dispose)
	if o.attempt.cfg.listens() {
		o.attempt.emitEnd(o.failure(), o.verdict, false)
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
	due := r.hedgeDue()
	for g := r.cfg.guard; running > 0; {
		until := min(due, r.deadline)
		o, none := clock.Recv(r.ctx, g.clock, rc.results, time.Duration(until-g.now()))
		switch {
		case none == nil:
			running--
			if o.err == nil && o.panicked == nil && !o.exited {
				winner = o.attempt
			}
			if r.cfg.listens() {
				o.attempt.emitEnd(o.failure(), o.verdict, true)
			}
			o.resume()
			if winner != nil {
				r.doNotStore, r.wonAt = winner.doNotStore.Load(), winner.start
				if winner.hedged {
					from = Hedge
				}
				return o.value, from, o.verdict, nil
			}
			if lastErr != nil {
				r.errs = append(r.errs, lastErr)
			}
			lastErr, lastVerdict = o.err, o.verdict
			if lastVerdict.isAnswer() {
				return v, Live, lastVerdict, lastErr
			}
		case none != clock.ErrExpired:
			return rc.leave(r, runners, lastErr, none)
		case until == r.deadline:
			return rc.leave(r, runners, lastErr, context.DeadlineExceeded)
		default:
			if a := r.hedge(); a != nil {
				runners = append(runners, a)
				running++
				spawn(a, call, rc.finish)
			}
			if due = math.MaxInt64; len(runners) <= h.MaxHedges {
				due = r.hedgeDue()
			}
		}
	}
	return v, Live, lastVerdict, lastErr
}

// leave ends a race that nobody has won, because the caller goes. What is running
// is judged now: it may never return. failed is the last attempt's error, if one
// has ended.
func (rc *racing[T]) leave(r *run, runners []*attempt, failed, err error) (v T, from Source, verdict Verdict, _ error) {
	if failed != nil {
		r.errs = append(r.errs, failed)
	}
	for _, a := range runners {
		now := a.cfg.guard.now()
		verdict = a.judge(err, now)
		a.report(now, err, verdict)
	}
	return v, Live, verdict, err
}

// hedgeDue is when the next hedge is due; at the end of time, if the call may have none.
func (r *run) hedgeDue() int64 {
	h, now := r.cfg.Hedge, r.cfg.guard.now()
	delay := h.Delay
	if h.Quantile > 0 {
		if measured := r.cfg.op.latency.quantile(h.Quantile, now); measured > 0 {
			delay = measured
		}
	}
	if delay <= 0 || isRepeat(r.ctx) || isSingle(r.ctx) {
		return math.MaxInt64
	}
	return now + int64(delay)
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
