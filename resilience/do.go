package resilience

import (
	"context"
	"time"
)

// CallOption adds one thing to a single call: a fallback, a key, a Dispose function. It
// is a value. It may be kept and used by many calls at once, if the functions in it
// may. Its zero value does nothing.
type CallOption[T any] struct {
	fallback func(ctx context.Context, cause error) (T, error)
	value    T
	hasValue bool
	last     *LastGood[T]
	key      string
	coalesce bool
	dispose  func(T)
	check    func(T) error
}

// Do runs the call under the guard's policies, in their fixed order. The error is nil
// if there is a value, live or not; Result says which. The call runs on the caller's
// goroutine, unless it is hedged, coalesced or detached.
//
// The context that the call receives carries the attempt's deadline and ends with the
// attempt. The error matches, by errors.Is and errors.As, the call's own error, or
// those of all attempts if there were several (CallError). It matches
// context.DeadlineExceeded if the time was up, a *Refusal if the call was not started,
// and ErrPolicy if the guard was misused. A value that the call returns after its
// deadline is still a value.
func Do[T any](ctx context.Context, on Caller, call func(context.Context) (T, error), opts ...CallOption[T]) (Result[T], error) {
	c, err := enter(on)
	switch {
	case err != nil:
		return Result[T]{}, err
	case call == nil:
		return Result[T]{}, errNilCall
	case ctx == nil:
		return Result[T]{}, errNilCtx
	}
	if len(opts) == 0 && !c.listens() && c.guard.shadow.Load() == nil && ctx.Err() == nil {
		// There is no fallback and no listener: a refusal needs nothing else.
		if refusal := c.refusesAtOnce(ctx); refusal != nil {
			return Result[T]{}, refusal
		}
	}
	if simple(opts) {
		if a := c.quick(ctx); a != nil {
			return quickly(a, call, opts)
		}
	}
	r := run{ctx: ctx, cfg: c}
	if c.listens() {
		return observed(&r, call, opts)
	}
	return perform(&r, call, opts)
}

// quickly is perform for a call whose first attempt was admitted by quick. The rest of
// what a call may need begins only once that attempt has failed.
func quickly[T any](a *attempt, call func(context.Context) (T, error), opts []CallOption[T]) (res Result[T], err error) {
	returned := false
	defer func() {
		if !returned {
			a.abandon()
		}
	}()
	res.Value, err = call(a)
	res.Attempts = 1
	if err == nil {
		if now := a.cfg.guard.now(); !a.succeeded(now) {
			a.ended(now, nil)
		}
		returned = true
		return res, nil
	}
	verdict := a.ended(a.cfg.guard.now(), err)
	returned = true
	return resume(a, verdict, err, call, opts)
}

// resume goes on with a call whose first attempt was admitted by quick and has failed.
func resume[T any](a *attempt, verdict Verdict, err error, call func(context.Context) (T, error), opts []CallOption[T]) (Result[T], error) {
	r := run{ctx: a.parent, cfg: a.cfg, attempts: 1}
	r.begin(a.start)
	if err := r.goOn(verdict, err); err != nil {
		r.returnToken()
		return fallBack(&r, Result[T]{Attempts: 1}, err, opts)
	}
	return perform(&r, call, opts)
}

// Run is Do for a call without a value.
func Run(ctx context.Context, on Caller, call func(context.Context) error, opts ...CallOption[struct{}]) error {
	if call == nil {
		return errNilCall
	}
	_, err := Do(ctx, on, func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx) }, opts...)
	return err
}

// CheckResult judges values, as the classifier judges errors. An error that f returns
// for a value becomes the attempt's error, as if the call had returned it, and the
// value is disposed of. The error counts as a Failure, unless f gives it another
// verdict by WithVerdict. f runs on the goroutine of the call and must be safe for
// concurrent use; a panic in it counts as the call's panic.
func CheckResult[T any](f func(T) error) CallOption[T] { return CallOption[T]{check: f} }

// checked is the call with a check of its value.
func checked[T any](call func(context.Context) (T, error), check func(T) error, g *Guard, dispose func(T)) func(context.Context) (T, error) {
	return func(ctx context.Context) (T, error) {
		v, err := call(ctx)
		if err != nil {
			return v, err
		}
		if err := check(v); err != nil {
			discard(g, v, dispose)
			var zero T
			return zero, err
		}
		return v, nil
	}
}

// observed is perform with events at its beginning and at its end, however it ends.
func observed[T any](r *run, call func(context.Context) (T, error), opts []CallOption[T]) (res Result[T], err error) {
	class := classOf(r.ctx, r.cfg.Criticality)
	r.ctx = r.cfg.emitStart(r.ctx, &Event{Kind: CallStarted, Criticality: class})
	r.begin(r.cfg.guard.now())
	r.fresh = true
	err = errAbandoned // unless perform returns
	defer func() {
		end := r.end
		if end == 0 || err != nil {
			end = r.cfg.guard.now()
		}
		e := Event{Kind: CallEnded, Attempt: r.attempts, Source: res.Source, Age: res.Age, Err: err,
			Cause: res.Cause, Criticality: class, Took: time.Duration(end - r.start)}
		if err != nil && !r.ended {
			e.Verdict = r.judged
		}
		r.emit(&e)
	}()
	res, err = perform(r, call, opts)
	return res, err
}

// perform is the inner part of Do: fallback( cache( call )).
func perform[T any](r *run, call func(context.Context) (T, error), opts []CallOption[T]) (Result[T], error) {
	var key string
	shares := false
	remembers := false
	for i := range opts {
		switch o := &opts[i]; {
		case o.last != nil:
			remembers = true
			if o.last.limit < 1 {
				return Result[T]{}, errLastGood
			}
			if r.cfg.Stale == nil {
				return Result[T]{}, r.cfg.noStale()
			}
		case o.coalesce:
			shares, key = true, o.key
		case o.check != nil:
			call = checked(call, o.check, r.cfg.guard, disposeOf(opts))
		}
	}
	if remembers && r.cfg.Stale.FreshFor > 0 {
		if res, ok := fresh(r, call, opts); ok {
			return res, nil
		}
	}
	var room [2]uint64
	var turns []uint64
	if remembers {
		turns = turnsOf(opts, room[:0])
	}
	var res Result[T]
	var err error
	if shares {
		res, err = coalesced(r, key, call, opts)
	} else {
		res.Value, res.Source, err = attempts(r, call, opts)
		res.Attempts = r.attempts
	}
	if err == nil {
		if remembers {
			storeAll(r, opts, turns, res.Value)
		}
		return res, nil
	}
	return fallBack(r, res, err, opts)
}

// attempts is retry|hedge( bulkhead( breaker( attempt timeout( call )))).
func attempts[T any](r *run, call func(context.Context) (T, error), opts []CallOption[T]) (v T, from Source, err error) {
	defer r.returnToken()
	for {
		if err := endOf(r.ctx); err != nil {
			return v, Live, r.failed(err, gaveBy(err))
		}
		a, err := r.admit(false)
		if err != nil {
			return v, Live, r.failed(err, gaveRefused)
		}
		var verdict Verdict
		switch {
		case r.cfg.Hedge != nil:
			v, from, verdict, err = race(r, a, call, disposeOf(opts))
		case r.cfg.Detach:
			v, verdict, err = detached(r, a, call, disposeOf(opts))
		default:
			v, verdict, err = inline(a, call)
			r.end = a.start + a.reportedAfter.Load()
		}
		if err == nil {
			if r.cfg.Hedge == nil {
				r.doNotStore, r.wonAt = a.has(notStored), a.start
			}
			if s := r.cfg.guard.shadow.Load(); s != nil {
				s.succeeded(r)
			}
			return v, from, nil
		}
		var zero T
		v = zero
		if err := r.goOn(verdict, err); err != nil {
			return v, Live, err
		}
	}
}

// goOn decides whether the call goes on after an attempt has failed, and pauses if so. It
// returns the error of the call if that is over.
func (r *run) goOn(verdict Verdict, err error) error {
	r.errs = append(r.errs, err)
	r.judged = verdict
	if gave := r.mayRepeat(verdict, r.cfg.guard.now()); gave != "" {
		return r.failed(nil, gave)
	}
	if err := r.sleep(err); err != nil {
		return r.failed(err, gaveBy(err))
	}
	return nil
}

// inline runs the attempt on the caller's goroutine and emits its end, however it ends.
func inline[T any](a *attempt, call func(context.Context) (T, error)) (v T, verdict Verdict, err error) {
	if !a.cfg.listens() {
		return invoke(a, call, true)
	}
	err, verdict = errAbandoned, abandoned // unless invoke returns
	defer func() { a.emitEnd(err, verdict, true) }()
	v, verdict, err = invoke(a, call, true)
	return v, verdict, err
}

// invoke runs the call on this goroutine. However the call ends, what the attempt holds
// is given back. If here is true, invoke also emits the attempt's start; for an attempt
// on a separate goroutine it was emitted before.
func invoke[T any](a *attempt, call func(context.Context) (T, error), here bool) (v T, verdict Verdict, err error) {
	returned := false
	defer func() {
		if !returned {
			a.abandon()
		}
	}()
	if here && a.cfg.listens() {
		a.emitStart()
	}
	v, err = call(a)
	now := a.cfg.guard.now()
	if err != nil || !a.succeeded(now) {
		verdict = a.ended(now, err)
	}
	returned = true
	return v, verdict, err
}

// ended judges how the call ended at now, reports that, and lets go for the call.
func (a *attempt) ended(now int64, err error) (v Verdict) {
	if err != nil || a.has(uncounted) {
		v = a.judge(err, now)
	}
	a.report(now, err, v)
	a.callDone(now)
	return v
}

// emitStart emits that an attempt begins, and adopts the context that listeners return.
// Nothing else may use the attempt yet.
func (a *attempt) emitStart() {
	a.parent = a.cfg.emitStart(a.parent, &Event{Kind: AttemptStarted, Attempt: int(a.number), Hedged: a.hedged, Apart: a.apart})
}

// emitEnd emits that an attempt has ended. Its context may be over by now.
func (a *attempt) emitEnd(err error, v Verdict, won bool) {
	a.cfg.emit(a, &Event{Kind: AttemptEnded, Attempt: int(a.number), Hedged: a.hedged, Apart: a.apart, Won: won && err == nil,
		Err: err, Verdict: v, Took: time.Duration(a.reportedAfter.Load())})
}
