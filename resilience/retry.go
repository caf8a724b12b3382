package resilience

import (
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/backstay-go/backstay/resilience/internal/clock"
)

// pauses returns the bounds of the pauses between attempts. They are computed by
// github.com/cenkalti/backoff.
func pauses(p *RetryPolicy) *backoff.ExponentialBackOff {
	b := &backoff.ExponentialBackOff{
		InitialInterval: p.BaseDelay,
		Multiplier:      p.Multiplier,
		MaxInterval:     p.MaxDelay,
		Clock:           backoff.SystemClock,
	}
	b.Reset()
	return b
}

// drawPause draws the next pause evenly from zero to its bound (full jitter).
func drawPause(c *clock.Clock, bounds *backoff.ExponentialBackOff) time.Duration {
	return time.Duration(c.Float64() * float64(bounds.NextBackOff()))
}

// How a call continues after an attempt has failed:
//
//	failed ──(the verdict and Idempotent allow it, attempts are left, the pause ends in time, the budget has a token)──▶ pauses
//	pauses ──(the pause is over)──▶ asks for admission: the next attempt runs, or a refusal ends the call
//	pauses ──(the deadline came, or the caller left)──▶ ended, the token goes back
//	failed ──(anything else)──▶ ended
//
// Observed: the verdict on the attempt's error. A refusal by the guard itself has no
// verdict and is never repeated, because repeats would hammer an open breaker. An
// attempt that the caller's own deadline cut is not repeated either: no time is left,
// and no token is drawn.

// The reasons why no further attempt was made; the texts of CallError.Gave.
const (
	gaveNotIdempotent = "not idempotent"
	gaveNever         = "repeating would not help"
	gaveAttempts      = "no attempts left"
	gaveBudget        = "retry budget empty"
	gaveForbidden     = "retries are forbidden"
	gaveDeadline      = "the next attempt would not finish in time"
	gaveIsRepeat      = "the request is itself a retry"
	gaveCanceled      = "canceled by the caller"
	gaveRefused       = "refused"
	gaveTimeout       = "out of time"
)

// mayRepeat decides, after a failed attempt, whether another may follow, and takes a
// token for it. It returns the reason why not, or an empty text.
func (r *run) mayRepeat(v Verdict, now int64) (gave string) {
	final := v.Outcome == Success || v.Outcome == Ignored && !v.callerDeadlinePassed && r.ctx.Err() == nil
	switch {
	case now < r.deadline && r.ctx.Err() == nil:
	case final:
		return gaveNever
	case now >= r.deadline || isDeadline(r.ctx.Err()):
		return gaveTimeout
	default:
		return gaveCanceled
	}
	if s := r.cfg.guard.shadow.Load(); s != nil {
		defer func() {
			// A pause that was drawn, and ForbidRepeats, are not the policy's doing.
			if gave != gaveDeadline && gave != gaveForbidden {
				s.repeated(r, v, gave == "")
			}
		}()
	}
	if final {
		return gaveNever
	}
	if gave := r.cfg.mayEver(v, r.attempts); gave != "" {
		return gave
	}
	if isRepeat(r.ctx) {
		return gaveIsRepeat
	}
	if r.pauses == nil {
		r.pauses = pauses(r.cfg.Retry)
	}
	pause := max(drawPause(r.cfg.guard.clock, r.pauses), v.After)
	if int64(pause) >= r.deadline-now {
		return gaveDeadline
	}
	if r.cfg.guard.noRepeats.Load() {
		return gaveForbidden
	}
	if !r.cfg.guard.takeRepeat() {
		return gaveBudget
	}
	r.pause, r.token = pause, true
	return ""
}

// mayEver returns why an operation's policy never repeats such a failure, or an empty
// text.
func (o *OperationPolicy) mayEver(v Verdict, attempts int) (gave string) {
	switch {
	case o.Retry == nil:
		return gaveNoRetry
	case v.Repeat == RepeatNever:
		return gaveNever
	case v.Repeat == RepeatIfIdempotent && !o.Idempotent:
		return gaveNotIdempotent
	case attempts >= o.Retry.MaxAttempts:
		return gaveAttempts
	}
	return ""
}

// gaveBy returns why a call ends if its caller's context has ended with the given
// error.
func gaveBy(err error) string {
	if isDeadline(err) {
		return gaveTimeout
	}
	return gaveCanceled
}

// gaveNoRetry is left out of the error: an operation without retries has nothing to
// give up.
const gaveNoRetry = "no retry"

// sleep waits out the pause before the next attempt.
func (r *run) sleep(err error) error {
	if r.cfg.listens() {
		r.emit(&Event{Kind: BackedOff, Attempt: r.attempts, Took: r.pause, Err: err})
	}
	if r.pause <= 0 {
		return endOf(r.ctx)
	}
	_, err = clock.Recv[struct{}](r.ctx, r.cfg.guard.clock, nil, r.pause)
	if err == clock.ErrExpired {
		return nil
	}
	return endOf(r.ctx)
}

// returnToken gives back a token that was drawn for an attempt that will not be made.
func (r *run) returnToken() {
	if r.token {
		r.token = false
		r.cfg.guard.budget.putBack()
	}
}
