package resilience

import (
	"context"
	"errors"
)

// Fallback provides a value when the call fails, with source Static. The function gets
// the failed call's error, and a context without the call's deadline. It may refuse by
// returning an error. Fallbacks are tried in the order given to Do, and the first that
// does not refuse is served. A panic in the function reaches the caller.
//
// Fallbacks are not used for errors judged Success or Ignored (a wrong request, "not
// found"), for the caller's own cancellation, and for ErrPolicy.
func Fallback[T any](f func(ctx context.Context, cause error) (T, error)) CallOption[T] {
	return CallOption[T]{fallback: f}
}

// FallbackValue provides a fixed value when the call fails, with source Static.
func FallbackValue[T any](v T) CallOption[T] { return CallOption[T]{value: v, hasValue: true} }

// Dispose sets a function that receives values that nobody will see: the result of a
// hedge that lost, or a result that came after the caller had gone. It runs on the
// goroutine of that attempt. A panic in it is recovered and counted in the snapshot.
func Dispose[T any](f func(T)) CallOption[T] { return CallOption[T]{dispose: f} }

// fallBack serves the first fallback that does not refuse, in the order of opts.
//
//	failed ──(it is an answer, a misuse, or the caller left)──▶ the error
//	failed ──(the next in order: a remembered value within MaxAge, a value, a function that does not refuse)──▶ served
//	failed ──(none is left)──▶ the error, with why the functions refused
//
// Not observed by any policy: a fallback does no work for the dependency.
func fallBack[T any](r *run, res Result[T], err error, opts []CallOption[T]) (Result[T], error) {
	if len(opts) == 0 || !r.mayFallBack(err) {
		return Result[T]{Attempts: res.Attempts}, err
	}
	for i := range opts {
		o := &opts[i]
		var ok bool
		switch {
		case o.last != nil:
			if s := r.cfg.Stale; s != nil {
				if m, age, found := o.last.get(o.key, r.cfg.guard.clock); found && age <= s.MaxAge {
					res.Value, res.Age, res.Source, ok = m.value, age, Stale, true
				}
			}
		case o.hasValue:
			res.Value, res.Source, ok = o.value, Static, true
		case o.fallback != nil:
			v, refused := o.fallback(r.ctx, err)
			if refused == nil {
				res.Value, res.Source, ok = v, Static, true
			} else if !errors.Is(err, refused) {
				err = &fallbackError{err: err, refused: refused}
			}
		}
		if ok {
			res.Cause = err
			if r.cfg.listens() {
				r.emit(&Event{Kind: FellBack, Source: res.Source, Age: res.Age, Err: err})
			}
			return res, nil
		}
	}
	return Result[T]{Attempts: res.Attempts}, err
}

// mayFallBack reports whether the call has failed, and did not only get an unwelcome
// answer.
func (r *run) mayFallBack(err error) bool {
	switch {
	case errors.Is(err, ErrPolicy), isCanceled(r.ctx.Err()):
		return false
	case r.ended, r.judged.refused: // by a refusal or the deadline
		return true
	}
	return r.judged.Outcome == Failure || r.judged.Outcome == Overload
}

// fallbackError is the error of a call whose fallbacks refused too.
type fallbackError struct{ err, refused error }

func (e *fallbackError) Error() string {
	return e.err.Error() + "; fallback: " + e.refused.Error()
}

func (e *fallbackError) Unwrap() []error { return []error{e.err, e.refused} }
func (e *fallbackError) Timeout() bool   { return isTimeout(e.err) }
func (e *fallbackError) Temporary() bool { return isTimeout(e.err) }
