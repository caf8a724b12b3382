package telemetry

import (
	"context"
	"errors"

	"github.com/backstay-go/backstay/resilience"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// meters are the instruments. Safe for concurrent use.
type meters struct {
	call, attempt, wait, backoff, age metric.Float64Histogram
	refusals, transitions, updates    metric.Int64Counter

	state, window, inFlight, waiting, limit metric.Int64ObservableGauge
	panics                                  metric.Int64ObservableCounter
	budget, amplification                   metric.Float64ObservableGauge
	registration                            metric.Registration
}

// durations are the buckets that OpenTelemetry gives database and HTTP clients,
// put together: .001 to 10 s.
var durations = metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)

// ages go from a second to a day.
var ages = metric.WithExplicitBucketBoundaries(1, 5, 15, 60, 300, 900, 3600, 4*3600, 24*3600)

func newMeters(m metric.Meter, observe metric.Callback) (*meters, error) {
	in := &meters{}
	var errs []error
	seconds := func(to *metric.Float64Histogram, name, text string, buckets metric.HistogramOption) {
		h, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(text), buckets)
		*to, errs = h, append(errs, err)
	}
	counter := func(to *metric.Int64Counter, name, unit, text string) {
		c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(text))
		*to, errs = c, append(errs, err)
	}
	gauge := func(to *metric.Int64ObservableGauge, name, unit, text string) {
		g, err := m.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(text))
		*to, errs = g, append(errs, err)
	}
	seconds(&in.call, metricCall, "Time of guarded calls as their callers see it.", durations)
	seconds(&in.attempt, metricAttempt, "Time of attempts of guarded calls.", durations)
	seconds(&in.wait, metricWait, "Time that calls waited for a permit.", durations)
	seconds(&in.backoff, metricBackoff, "Planned pauses before retries.", durations)
	seconds(&in.age, metricAge, "Age of remembered values that were served.", ages)
	counter(&in.refusals, metricRefusals, "{refusal}", "Calls and attempts that a policy refused.")
	counter(&in.transitions, metricTransitions, "{transition}", "Changes of a breaker's state, by the state entered.")
	counter(&in.updates, metricUpdates, "{update}", "Policies swapped at run time.")
	gauge(&in.state, metricState, "1", "1 for the state that a breaker is in, 0 for the others.")
	gauge(&in.window, metricWindow, "{attempt}", "Attempts in the breaker's rolling window.")
	gauge(&in.inFlight, metricInFlight, "{permit}", "Permits in use.")
	gauge(&in.waiting, metricWaiting, "{call}", "Calls that wait for a permit.")
	gauge(&in.limit, metricLimit, "{permit}", "Permits there are.")
	budget, err := m.Float64ObservableGauge(metricBudget, metric.WithUnit("{token}"), metric.WithDescription("Tokens left for retries and hedges."))
	in.budget, errs = budget, append(errs, err)
	amplification, err := m.Float64ObservableGauge(metricAmplification, metric.WithUnit("1"), metric.WithDescription("The policy's bound on attempts a call, over many calls."))
	in.amplification, errs = amplification, append(errs, err)
	panics, err := m.Int64ObservableCounter(metricPanics, metric.WithUnit("{panic}"), metric.WithDescription("Panics that no caller got: of listeners, and of calls whose caller had gone."))
	in.panics, errs = panics, append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	in.registration, err = m.RegisterCallback(observe, in.state, in.window, in.inFlight, in.waiting, in.limit, in.budget, in.amplification, in.panics)
	return in, err
}

func (m *meters) close() error { return m.registration.Unregister() }

// record counts one event.
func (m *meters) record(ctx context.Context, s *series, e *resilience.Event) {
	switch e.Kind {
	case resilience.CallEnded:
		m.call.Record(ctx, e.Took.Seconds(), s.calls[callResult(e)]...)
		if e.Source == resilience.Cache || e.Source == resilience.Stale {
			m.age.Record(ctx, e.Age.Seconds(), s.ages[e.Source]...)
		}
	case resilience.AttemptEnded:
		m.attempt.Record(ctx, e.Took.Seconds(), s.attempts[int(typeOf(e))*outcomes+outcomeOf(e)]...)
	case resilience.Waited:
		m.wait.Record(ctx, e.Took.Seconds(), s.plain...)
	case resilience.BackedOff:
		m.backoff.Record(ctx, e.Took.Seconds(), s.plain...)
	case resilience.Refused:
		m.refusals.Add(ctx, 1, s.refusals[refuserOf(e.Err)]...)
	case resilience.BreakerChanged:
		m.transitions.Add(ctx, 1, s.states[min(int(e.To), states-1)]...)
	case resilience.PolicyUpdated:
		m.updates.Add(ctx, 1, s.updates...)
	}
}

// prepareMetrics makes every attribute set that the operation can need.
func (s *series) prepareMetrics() {
	with := func(more ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(append([]attribute.KeyValue{}, s.identity...), more...)...))
	}
	dependency := s.identity[0]
	s.plain = []metric.RecordOption{with()}
	for i := range s.calls {
		if i < sources {
			s.calls[i] = []metric.RecordOption{with(SourceKey.String(resilience.Source(i).String()))}
			s.ages[i] = s.calls[i]
		} else {
			s.calls[i] = []metric.RecordOption{with(semconv.ErrorTypeKey.String(errorKind(i)))}
		}
	}
	for i := range s.attempts {
		s.attempts[i] = []metric.RecordOption{with(AttemptTypeKey.String(attemptType(i/outcomes).String()), OutcomeKey.String(outcomeNames[i%outcomes]))}
	}
	for i := range s.refusals {
		s.refusals[i] = []metric.AddOption{with(RefusedByKey.String(refuser(i).String()))}
	}
	s.updates = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(dependency))}
	for i := range s.states {
		s.states[i] = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(dependency, BreakerKey.String(resilience.BreakerState(i).String())))}
	}
}
