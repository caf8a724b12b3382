package resilience

import (
	"context"
	"sync/atomic"
	"time"
)

// Permit is an attempt that is taken by hand, for work that is not a function call,
// such as a stream or the messages of a consumer. The holder must call Done once the
// work has really ended; until then the permit counts as in use. It is safe for
// concurrent use.
type Permit struct {
	attempt *attempt
	call    *run
	done    atomic.Bool
}

// Acquire takes an attempt through the guard's policies (breaker, rate limit and
// bulkhead), with the waits that they allow. There are no retries, hedges or fallbacks.
// The error is a *Refusal, the context's error, or ErrPolicy. Listeners receive the
// events of a call with one attempt. The caller must call Done on the permit.
func Acquire(ctx context.Context, on Caller) (*Permit, error) {
	c, err := enter(on)
	switch {
	case err != nil:
		return nil, err
	case ctx == nil:
		return nil, errNilCtx
	}
	r := &run{ctx: ctx, cfg: c}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	class := classOf(ctx, c.Criticality)
	if c.listens() {
		r.ctx = r.emit(&Event{Kind: CallStarted, Criticality: class})
	}
	a, err := r.admit(false)
	if err != nil {
		if c.listens() {
			r.begin(c.guard.now())
			r.emit(&Event{Kind: CallEnded, Err: err, Criticality: class, Took: time.Duration(c.guard.now() - r.start)})
		}
		return nil, err
	}
	p := &Permit{attempt: a, call: r}
	started := false
	defer func() {
		if !started { // a listener ended this goroutine
			a.abandon()
		}
	}()
	if c.listens() {
		a.emitStart()
	}
	started = true
	return p, nil
}

// Context returns the attempt's context. It carries the attempt's deadline and ends
// with Done. Hold, AttemptFrom and nested guards work with it.
func (p *Permit) Context() context.Context { return p.attempt }

// Done ends the attempt. err says how it went, as the return of a call does: nil is a
// success, and the classifier judges other errors. Only the first Done counts.
func (p *Permit) Done(err error) {
	if p == nil || !p.done.CompareAndSwap(false, true) {
		return
	}
	a, c := p.attempt, p.attempt.cfg
	now := c.guard.now()
	v := a.judge(err, now)
	a.report(now, err, v)
	a.callDone(now)
	if c.listens() {
		a.emitEnd(err, v, true)
		p.call.emit(&Event{Kind: CallEnded, Attempt: 1, Err: err, Criticality: classOf(p.call.ctx, c.Criticality), Took: time.Duration(now - p.call.start)})
	}
}
