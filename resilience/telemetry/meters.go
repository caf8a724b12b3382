package telemetry

import (
	"context"
	"errors"

	"github.com/backstay-go/backstay/resilience"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// meters holds the instruments. It is safe for concurrent use.
type meters struct {
	call, attempt, wait, backoff, age family
	refusals, transitions, updates    metric.Int64Counter

	state, window, inFlight, waiting, limit metric.Int64ObservableGauge
	shareKeys, shareLargest                 metric.Int64ObservableGauge
	panics                                  metric.Int64ObservableCounter
	budget, amplification, throttled        metric.Float64ObservableGauge
	registration                            metric.Registration
}

// newMeters makes the instruments. The histograms come from bound if it is given, otherwise
// from the meter.
func newMeters(m metric.Meter, bound Histograms, observe metric.Callback) (*meters, error) {
	in := &meters{}
	var errs []error
	histogram := func(to *family, name, text string, bounds []float64) {
		*to = family{name: name, text: text, bounds: bounds, bound: bound}
		if bound == nil {
			h, err := m.Float64Histogram(name, metric.WithUnit(seconds), metric.WithDescription(text), metric.WithExplicitBucketBoundaries(bounds...))
			to.instrument, errs = h, append(errs, err)
		}
	}
	counter := func(to *metric.Int64Counter, name, unit, text string) {
		c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(text))
		*to, errs = c, append(errs, err)
	}
	gauge := func(to *metric.Int64ObservableGauge, name, unit, text string) {
		g, err := m.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(text))
		*to, errs = g, append(errs, err)
	}
	histogram(&in.call, metricCall, "Time of guarded calls as their callers see it.", durations)
	histogram(&in.attempt, metricAttempt, "Time of attempts of guarded calls.", durations)
	histogram(&in.wait, metricWait, "Time that calls waited for a permit.", durations)
	histogram(&in.backoff, metricBackoff, "Planned pauses before retries.", durations)
	histogram(&in.age, metricAge, "Age of remembered values that were served.", ages)
	counter(&in.refusals, metricRefusals, "{refusal}", "Calls and attempts that a policy refused.")
	counter(&in.transitions, metricTransitions, "{transition}", "Changes of a breaker's state, by the state entered.")
	counter(&in.updates, metricUpdates, "{update}", "Policies swapped at run time.")
	gauge(&in.state, metricState, "{breaker}", "1 for the state that a breaker is in, 0 for the others.")
	gauge(&in.window, metricWindow, "{attempt}", "Attempts in the breaker's rolling window.")
	gauge(&in.inFlight, metricInFlight, "{permit}", "Permits in use.")
	gauge(&in.waiting, metricWaiting, "{call}", "Calls that wait for a permit.")
	gauge(&in.limit, metricLimit, "{permit}", "Permits there are.")
	gauge(&in.shareKeys, metricShareKeys, "{key}", "Operations or keys that hold permits, of a bulkhead with shares.")
	gauge(&in.shareLargest, metricShareLargest, "{permit}", "Most permits that one operation or key holds, of a bulkhead with shares.")
	fraction := func(to *metric.Float64ObservableGauge, name, unit, text string) {
		g, err := m.Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(text))
		*to, errs = g, append(errs, err)
	}
	fraction(&in.budget, metricBudget, "{token}", "Tokens left for retries and hedges.")
	fraction(&in.amplification, metricAmplification, "1", "The policy's bound on attempts per call, over many calls.")
	fraction(&in.throttled, metricThrottled, "1", "Share of the attempts that the throttle refuses now, 0 to 1.")
	panics, err := m.Int64ObservableCounter(metricPanics, metric.WithUnit("{panic}"), metric.WithDescription("Panics that no caller got: of listeners, and of calls whose caller had gone."))
	in.panics, errs = panics, append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	in.registration, err = m.RegisterCallback(observe, in.state, in.window, in.inFlight, in.waiting, in.limit, in.shareKeys, in.shareLargest, in.throttled, in.budget, in.amplification, in.panics)
	return in, err
}

func (m *meters) close() error { return m.registration.Unregister() }

// record counts one event.
func (m *meters) record(ctx context.Context, s *series, e *resilience.Event) {
	switch e.Kind {
	case resilience.CallEnded:
		s.calls[callResult(e)].record(ctx, e.Took.Seconds())
		if e.Source == resilience.Cache || e.Source == resilience.Stale {
			s.ages[e.Source].record(ctx, e.Age.Seconds())
		}
	case resilience.AttemptEnded:
		s.attempts[int(typeOf(e))*outcomes+outcomeOf(e)].record(ctx, e.Took.Seconds())
	case resilience.Waited:
		s.wait.record(ctx, e.Took.Seconds())
	case resilience.BackedOff:
		s.backoff.record(ctx, e.Took.Seconds())
	case resilience.Refused:
		m.refusals.Add(ctx, 1, s.refusals[refuserOf(e)]...)
	}
}

// prepare makes every set of attributes that the operation can need.
func (m *meters) prepare(s *series) {
	with := func(more ...attribute.KeyValue) []attribute.KeyValue {
		return append(append([]attribute.KeyValue{}, s.identity...), more...)
	}
	add := func(attributes ...attribute.KeyValue) []metric.AddOption {
		return []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attributes...))}
	}
	s.wait, s.backoff = m.wait.of(s.identity...), m.backoff.of(s.identity...)
	for i := range s.calls {
		if i < sources {
			source := with(SourceKey.String(resilience.Source(i).String()))
			s.calls[i], s.ages[i] = m.call.of(source...), m.age.of(source...)
		} else {
			s.calls[i] = m.call.of(with(semconv.ErrorTypeKey.String(errorKind(i)))...)
		}
	}
	for i := range s.attempts {
		s.attempts[i] = m.attempt.of(with(AttemptTypeKey.String(attemptType(i/outcomes).String()), OutcomeKey.String(outcomeNames[i%outcomes]))...)
	}
	for i := range s.refusals {
		s.refusals[i] = add(with(RefusedByKey.String(refuser(i).String()))...)
	}
}
