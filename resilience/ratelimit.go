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

// rateToken is one taken token, to be given back at the time it was taken.
type rateToken struct {
	reservation *rate.Reservation
	at          time.Time
}

// takeToken takes a token, or reports that there is none just now.
func takeToken(l *rate.Limiter, at time.Time) (rateToken, bool) {
	if l.TokensAt(at) < 1 { // saves the reservation, so that refusing allocates nothing
		return rateToken{}, false
	}
	r := l.ReserveN(at, 1)
	if !r.OK() || r.DelayFrom(at) > 0 {
		r.CancelAt(at)
		return rateToken{}, false
	}
	return rateToken{reservation: r, at: at}, true
}

func (t rateToken) giveBack() {
	if t.reservation != nil {
		t.reservation.CancelAt(t.at)
	}
}
