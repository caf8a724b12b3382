package resilience

import (
	"time"

	"golang.org/x/time/rate"
)

// limiterFor returns the rate limiter of the policy before, set to the new rate,
// with its tokens; or a new one, full, if there was none. golang.org/x/time/rate
// is the bucket.
//
//	at least one token ──(an attempt asks)──▶ one less
//	less than one token ──(an attempt asks)──▶ refused: nobody waits for a token
//	any ──(time passes)──▶ PerSecond more, up to Burst
//
// Observed: each attempt, retries and hedges too; one that is then refused by
// bulkhead or breaker gives its token back.
func limiterFor(p RateLimitPolicy, before *shared) *rate.Limiter {
	if before == nil || before.limiter == nil {
		return rate.NewLimiter(rate.Limit(p.PerSecond), p.Burst)
	}
	l := before.limiter
	l.SetLimit(rate.Limit(p.PerSecond))
	l.SetBurst(p.Burst)
	return l
}

// rateToken is one taken token. The zero value is none.
type rateToken struct{ limiter *rate.Limiter }

// takeToken takes a token, or reports that there is none just now.
func takeToken(l *rate.Limiter, at time.Time) (rateToken, bool) {
	if !l.AllowN(at, 1) {
		return rateToken{}, false
	}
	return rateToken{l}, true
}

// giveBack returns the token. (A cancelled rate.Reservation would not: it gives back only
// what later ones have not taken since, as if they had waited for it.)
func (t rateToken) giveBack(g *gate) {
	if t.limiter != nil {
		t.limiter.AllowN(g.at(g.now()), -1) // up to the bucket's size
	}
}
