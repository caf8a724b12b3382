package telemetry

import (
	"context"
	"errors"

	"github.com/backstay-go/backstay/internal/oteltext"
	"github.com/backstay-go/backstay/resilience"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// refuser is the policy that refused a call.
type refuser int

const (
	byGuard refuser = iota // closed
	byBreaker
	byBulkhead
	byRateLimit
	byThrottle
	refusers
)

func (r refuser) String() string {
	return [refusers]string{"guard", "breaker", "bulkhead", "rate_limit", "throttle"}[r]
}

// refuserOf returns the policy, of the event's own guard, that refused.
func refuserOf(e *resilience.Event) refuser {
	r, ok := resilience.RefusalOf(e.Err, e.Dependency)
	switch {
	case !ok:
	case errors.Is(r, resilience.ErrOpen):
		return byBreaker
	case errors.Is(r, resilience.ErrFull):
		return byBulkhead
	case errors.Is(r, resilience.ErrRateLimited):
		return byRateLimit
	case errors.Is(r, resilience.ErrThrottled):
		return byThrottle
	}
	return byGuard
}

// The ways in which a call can end, as its metric names them: the source if the call has a
// value, otherwise the kind of its error.
const (
	sources = int(resilience.Static) + 1

	failedTimeout  = sources
	failedCanceled = sources + 1
	failedRefused  = sources + 2 // + refuser
	failedInner    = failedRefused + int(refusers)
	failedIgnored  = failedInner + 1
	failedOverload = failedInner + 2
	failedOther    = failedInner + 3
	callResults    = failedOther + 1
)

// callResult returns under which of these results the end of a call counts.
func callResult(e *resilience.Event) int {
	if e.Err == nil {
		return min(int(e.Source), sources-1)
	}
	return failure(e)
}

// failure returns the kind of an event's error. A refusal by the guard itself is what ended
// the call, whether or not there were attempts before it. A refusal by another guard, inside
// the work, counts as a failure of the work.
func failure(e *resilience.Event) int {
	if _, ok := resilience.RefusalOf(e.Err, e.Dependency); ok {
		return failedRefused + int(refuserOf(e))
	}
	switch {
	case errors.Is(e.Err, context.DeadlineExceeded):
		return failedTimeout
	case errors.Is(e.Err, context.Canceled):
		return failedCanceled
	case errors.Is(e.Err, resilience.ErrRefused):
		return failedInner
	case e.Verdict.Outcome == resilience.Ignored:
		return failedIgnored
	case e.Verdict.Outcome == resilience.Overload:
		return failedOverload
	}
	return failedOther
}

// errorKind returns the error.type of one of the results above.
func errorKind(result int) string {
	switch {
	case result == failedTimeout:
		return "timeout"
	case result == failedCanceled:
		return "canceled"
	case result >= failedRefused && result < failedInner:
		return "refused." + refuser(result-failedRefused).String()
	case result == failedInner:
		return "refused.inner"
	case result == failedIgnored:
		return "ignored"
	case result == failedOverload:
		return "overload"
	}
	return other
}

// errorType returns the error.type of a span. It is one of the guard's kinds if it can be,
// otherwise the kind that the error itself names, otherwise its Go type.
func errorType(e *resilience.Event) attribute.KeyValue {
	switch result := failure(e); result {
	case failedIgnored, failedOverload, failedOther:
	default:
		return semconv.ErrorTypeKey.String(errorKind(result))
	}
	err := e.Err
	var call *resilience.CallError
	if errors.As(err, &call) && len(call.Errs) > 0 {
		err = call.Errs[len(call.Errs)-1]
	}
	return semconv.ErrorTypeKey.String(oteltext.Valid(semconv.ErrorType(err).Value.AsString()))
}

// The ways in which an attempt can end, as its metric names them: by type and by outcome.
type attemptType int

const (
	original attemptType = iota
	retry
	hedge
	attemptTypes
)

func (t attemptType) String() string { return [attemptTypes]string{"original", "retry", "hedge"}[t] }

func typeOf(e *resilience.Event) attemptType {
	switch {
	case e.Hedged:
		return hedge
	case e.Attempt > 1:
		return retry
	}
	return original
}

const (
	outcomes       = int(resilience.Ignored) + 1
	attemptResults = int(attemptTypes) * outcomes
)

var outcomeNames = [outcomes]string{"success", "failure", "overload", "ignored"}

func outcomeOf(e *resilience.Event) int {
	if e.Err == nil {
		return int(resilience.Success)
	}
	return min(int(e.Verdict.Outcome), outcomes-1)
}

const states = int(resilience.BreakerOpen) + 1
