package telemetry

import "go.opentelemetry.io/otel/attribute"

// Scope is the name of the tracer and of the meter.
const Scope = "github.com/backstay-go/backstay/resilience/telemetry"

// The attributes of spans, span events and metrics. OpenTelemetry has no convention for
// resilience (semantic-conventions#2355), so the names are in the project's namespace
// "backstay". Only error.type is OpenTelemetry's.
const (
	// DependencyKey is the guard's name. Every span and metric has it.
	DependencyKey = attribute.Key("backstay.dependency")
	// OperationKey is the operation's name, or "default" for calls under the guard's default
	// policy. Everything that belongs to a call has it.
	OperationKey = attribute.Key("backstay.operation")
	// SourceKey says where the value came from: live, hedge, cache, stale, static.
	SourceKey = attribute.Key("backstay.source")
	// AgeKey is how old a remembered value is, in seconds.
	AgeKey = attribute.Key("backstay.age_s")
	// AttemptsKey is the number of attempts that a call started, hedges included.
	AttemptsKey = attribute.Key("backstay.attempts")
	// CauseKey is the kind of error that a fallback replaced, as in error.type.
	CauseKey = attribute.Key("backstay.cause")
	// AttemptKey is an attempt's number, from 1.
	AttemptKey = attribute.Key("backstay.attempt")
	// AttemptTypeKey is original, retry or hedge.
	AttemptTypeKey = attribute.Key("backstay.attempt.type")
	// OutcomeKey is the verdict of an attempt: success, failure, overload or ignored.
	OutcomeKey = attribute.Key("backstay.attempt.outcome")
	// RaceKey says which attempt of a hedged call won: it is won or lost.
	RaceKey = attribute.Key("backstay.attempt.race")
	// ProcessedKey says whether the dependency carried out the attempt: yes, no, or unknown. A
	// failed attempt may have been carried out.
	ProcessedKey = attribute.Key("backstay.attempt.processed")
	// RefusedByKey names the policy that refused: breaker, bulkhead, rate_limit or throttle, or guard
	// for a guard that is closed.
	RefusedByKey = attribute.Key("backstay.refused.by")
	// RefusedUntilKey is the time, as in RFC 3339, from which another try is worthwhile.
	RefusedUntilKey = attribute.Key("backstay.refused.until")
	// BreakerKey is a breaker's state: closed, half-open, open.
	BreakerKey = attribute.Key("backstay.breaker.state")
	// BreakerFromKey is the state that a breaker left.
	BreakerFromKey = attribute.Key("backstay.breaker.from")
	// WindowKey says which attempts of a breaker's window are counted: all, failed, slow.
	WindowKey = attribute.Key("backstay.breaker.window.kind")
	// PanicKey says what panicked: listener, call.
	PanicKey = attribute.Key("backstay.panic.of")
	// OpenedByTraceKey is the id of the trace whose failure opened the breaker. The span also
	// has a link to that trace, but few user interfaces show links.
	OpenedByTraceKey = attribute.Key("backstay.breaker.opened_by.trace_id")
	// PauseKey is how long a pause was planned to take, in seconds.
	PauseKey = attribute.Key("backstay.backoff.planned_s")
	// CanceledKey is true on calls that their caller gave up.
	CanceledKey = attribute.Key("backstay.canceled")
	// LinkKey says what a link means. Its value is "opened the breaker".
	LinkKey = attribute.Key("backstay.link")
)

// The names of span events.
const (
	eventRefused  = "backstay.refused"
	eventFellBack = "backstay.fell_back"
	eventBreaker  = "backstay.breaker.changed"
)

// The names of metrics. docs/reference/telemetry.md lists their units and attributes.
const (
	metricCall        = "backstay.call.duration"
	metricAttempt     = "backstay.attempt.duration"
	metricWait        = "backstay.wait.duration"
	metricBackoff     = "backstay.backoff.duration"
	metricAge         = "backstay.value.age"
	metricRefusals    = "backstay.refusals"
	metricTransitions = "backstay.breaker.transitions"
	metricUpdates     = "backstay.policy.updates"

	metricState    = "backstay.breaker.state"
	metricWindow   = "backstay.breaker.window"
	metricInFlight = "backstay.bulkhead.in_flight"
	metricWaiting  = "backstay.bulkhead.waiting"
	metricLimit    = "backstay.bulkhead.limit"
	metricBudget   = "backstay.budget.tokens"
	// The shares of the permits that operations, or keys, hold.
	metricShareKeys    = "backstay.bulkhead.share.keys"
	metricShareLargest = "backstay.bulkhead.share.largest"
	metricThrottled    = "backstay.throttle.refused"
	// The policy's bound on amplification. To see the real amplification, divide the attempts
	// of all types by those of type original.
	metricAmplification = "backstay.amplification.bound"
	metricPanics        = "backstay.panics"
)

// other stands for everything beyond a bound, as in OpenTelemetry's conventions.
const other = "_OTHER"
