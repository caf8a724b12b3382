package telemetry

import (
	"context"
	"errors"

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
	refusers
)

func (r refuser) String() string {
	return [refusers]string{"guard", "breaker", "bulkhead", "rate_limit"}[r]
}

func refuserOf(refusal error) refuser {
	switch {
	case errors.Is(refusal, resilience.ErrOpen):
		return byBreaker
	case errors.Is(refusal, resilience.ErrFull):
		return byBulkhead
	case errors.Is(refusal, resilience.ErrRateLimited):
		return byRateLimit
	}
	return byGuard
}

// How a call can end, as its metric tells: by source if it has a value, else by
// the kind of its error.
const (
	sources = int(resilience.Static) + 1

	failedTimeout  = sources
	failedCanceled = sources + 1
	failedRefused  = sources + 2 // + refuser
	failedOther    = failedRefused + int(refusers)
	callResults    = failedOther + 1
)

// callResult is where a call's end belongs. Only a refusal of the guard itself is one;
// that of another guard, which the call met further down, is a failure.
func callResult(e *resilience.Event) int {
	err := e.Err
	if err == nil {
		return min(int(e.Source), sources-1)
	}
	if r, ok := resilience.RefusalOf(err, e.Dependency); ok {
		return failedRefused + int(refuserOf(r))
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return failedTimeout
	case errors.Is(err, context.Canceled):
		return failedCanceled
	}
	return failedOther
}

// errorKind is the error.type of one of the results above.
func errorKind(result int) string {
	switch {
	case result == failedTimeout:
		return "timeout"
	case result == failedCanceled:
		return "canceled"
	case result >= failedRefused && result < failedOther:
		return "refused." + refuser(result-failedRefused).String()
	}
	return other
}

// errorType is the error.type of a span: the guard's own kinds, else what the
// error says of itself, else its Go type.
func errorType(dependency string, err error) attribute.KeyValue {
	if kind := errorKind(callResult(&resilience.Event{Dependency: dependency, Err: err})); kind != other {
		return semconv.ErrorTypeKey.String(kind)
	}
	var call *resilience.CallError
	if errors.As(err, &call) && len(call.Errs) > 0 {
		err = call.Errs[len(call.Errs)-1]
	}
	return semconv.ErrorType(err)
}

// How an attempt can end, as its metric tells: by type and outcome.
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
