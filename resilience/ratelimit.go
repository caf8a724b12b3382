package resilience

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/backstay-go/backstay/resilience/internal/clock"
)

// limiterFor returns a rate limiter for the policy. If there was one before, it is set
// to the new rate and keeps its tokens; otherwise a new and full one is made.
// golang.org/x/time/rate implements the bucket.
//
//	at least one token ──(an attempt asks)──▶ one less
//	less than one token ──(an attempt asks, and the next one comes within MaxWait)──▶ waits, the token is its own
//	less than one token ──(an attempt asks)──▶ refused
//	any ──(time passes)──▶ PerSecond more, up to Burst
//
// Observed: each attempt, including retries and hedges. An attempt that is then refused
// by bulkhead or breaker gives its token back.
func limiterFor(p RateLimitPolicy, before *shared) *rate.Limiter {
	if before == nil || before.limiter == nil {
		return rate.NewLimiter(rate.Limit(p.PerSecond), p.Burst)
	}
	l := before.limiter
	l.SetLimit(rate.Limit(p.PerSecond))
	l.SetBurst(p.Burst)
	return l
}

// rateToken is a token that was taken. The zero value is none.
type rateToken struct{ limiter *rate.Limiter }

// takeToken takes a token and returns how long to wait for it, which is at most
// patience. It reports false if no token comes within that time.
func takeToken(l *rate.Limiter, at time.Time, patience time.Duration) (t rateToken, wait time.Duration, ok bool) {
	if l.AllowN(at, 1) {
		return rateToken{l}, 0, true
	}
	if patience <= 0 || untilToken(l, at) > patience {
		return rateToken{}, 0, false
	}
	r := l.ReserveN(at, 1)
	if wait = r.DelayFrom(at); wait > patience {
		r.CancelAt(at)
		return rateToken{}, 0, false
	}
	return rateToken{l}, wait, true
}

// untilToken returns the time from now until there is a token for which nobody waits.
func untilToken(l *rate.Limiter, at time.Time) time.Duration {
	missing := 1 - l.TokensAt(at)
	return time.Duration(min(max(0, missing)/float64(l.Limit())*float64(time.Second), float64(maxDuration)))
}

// refuseLimited returns the refusal by the rate limit, which says when the next token
// comes. It is made once per token, but at most once per millisecond.
func (c *opConfig) refuseLimited() *Refusal {
	g := c.guard
	now := g.at(g.now())
	if r := c.limited.Load(); r != nil && r.Until.After(now) {
		return r
	}
	r := *c.refuse.limited
	r.Until = now.Add(max(untilToken(c.shared.limiter, now), time.Millisecond))
	c.limited.Store(&r)
	return &r
}

// awaitToken waits until the token that the attempt holds is valid. If the caller
// leaves first, or its time is up, the token is given back.
func (r *run) awaitToken(t rateToken, wait time.Duration) error {
	g := r.cfg.guard
	r.fresh = false
	_, err := clock.Recv[struct{}](r.ctx, g.clock, nil, wait)
	if err == clock.ErrExpired {
		err = nil
	}
	took := false
	defer func() {
		if !took { // also true if a listener ends the goroutine
			t.giveBack(&g.gate)
		}
	}()
	if r.cfg.listens() {
		r.emit(&Event{Kind: Waited, Took: wait})
	}
	took = err == nil
	return err
}

// giveBack returns the token. rate.Reservation.Cancel is not used, because it gives
// back only what later reservations have not taken since, as if they had waited for it.
func (t rateToken) giveBack(g *gate) {
	if t.limiter != nil {
		t.limiter.AllowN(g.at(g.now()), -1) // up to the bucket's size
	}
}
