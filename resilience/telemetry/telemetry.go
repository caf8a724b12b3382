package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/backstay-go/backstay/resilience"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// ErrConfig matches what New, Watch and Close refuse.
var ErrConfig = errors.New("telemetry: invalid configuration")

// Config says where spans and metrics go. At least one provider is required.
type Config struct {
	// TracerProvider makes the spans. Default: nil, no spans.
	TracerProvider trace.TracerProvider
	// MeterProvider makes the metrics. Default: nil, no metrics.
	MeterProvider metric.MeterProvider
	// Histograms makes the histograms in place of MeterProvider, which makes all other
	// metrics. Package bound has histograms that cost very little. Default: nil,
	// MeterProvider makes them.
	Histograms Histograms
	// AttemptKind is the kind of attempt spans. Default: internal, because the
	// client below makes the client span. Use trace.SpanKindClient where nothing
	// below an attempt makes one.
	AttemptKind trace.SpanKind
	// MaxOperations limits the number of distinct pairs of dependency and operation in span
	// names and metrics. It also limits the number of distinct dependencies in metrics
	// without an operation (gauges, breaker transitions, policy updates). Further ones are
	// reported together as "_OTHER", with the sums of their gauges. Default: 0, which means
	// 200.
	MaxOperations int
	_             struct{}
}

const defaultMaxOperations = 200

func (c Config) check() error {
	var errs []error
	if c.TracerProvider == nil && c.MeterProvider == nil {
		errs = append(errs, errors.New("neither TracerProvider nor MeterProvider is set; give at least one"))
	}
	if c.Histograms != nil && c.MeterProvider == nil {
		errs = append(errs, errors.New("Histograms is set without MeterProvider, which makes the other metrics; give both"))
	}
	if c.MaxOperations < 0 {
		errs = append(errs, fmt.Errorf("MaxOperations is %d; use zero (200) or more", c.MaxOperations))
	}
	if k := c.AttemptKind; k != trace.ValidateSpanKind(k) && k != trace.SpanKindUnspecified {
		errs = append(errs, fmt.Errorf("AttemptKind is %d; use a trace.SpanKind constant", int(k)))
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrConfig, errors.Join(errs...))
	}
	return nil
}

// Telemetry is a resilience.Listener that makes spans and metrics. One Telemetry serves any
// number of guards. It is safe for concurrent use. The caller that created it must close
// it, after the guards. The zero value makes nothing. It calls no user code except the
// providers.
type Telemetry struct {
	tracer      trace.Tracer // nil: no spans
	meters      *meters      // nil: no metrics
	attemptKind trace.SpanKind
	series      seriesTable
	// dependencies is for what belongs to no operation.
	dependencies dependencyTable
	// The addresses of callKey and attemptKey are the keys of context values.
	callKey, attemptKey byte

	breakers sync.Map // dependency → *breakerTrace

	mu      sync.Mutex
	watched map[string]*resilience.Guard
	closed  atomic.Bool
}

// New checks the configuration and returns a listener for guards.
func New(c Config) (*Telemetry, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	t := &Telemetry{attemptKind: c.AttemptKind, watched: map[string]*resilience.Guard{}}
	t.series.max = c.MaxOperations
	if t.series.max == 0 {
		t.series.max = defaultMaxOperations
	}
	t.dependencies.max = t.series.max
	if c.TracerProvider != nil {
		t.tracer = c.TracerProvider.Tracer(Scope, trace.WithSchemaURL(semconv.SchemaURL))
	}
	if c.MeterProvider != nil {
		m, err := newMeters(c.MeterProvider.Meter(Scope, metric.WithSchemaURL(semconv.SchemaURL)), c.Histograms, t.observe)
		if err != nil {
			return nil, fmt.Errorf("telemetry: make the instruments: %w", err)
		}
		t.meters, t.series.meters = m, m
	}
	return t, nil
}

// Handle implements resilience.Listener.
func (t *Telemetry) Handle(ctx context.Context, e resilience.Event) context.Context {
	if t == nil {
		return nil
	}
	traces := t.tracer != nil && t.traces(ctx, &e)
	if !traces && (t.meters == nil || e.Kind == resilience.CallStarted || e.Kind == resilience.AttemptStarted) {
		return nil
	}
	switch e.Kind {
	case resilience.BreakerChanged, resilience.PolicyUpdated, resilience.LimitChanged:
		t.changed(ctx, &e, traces)
		return nil
	}
	s := t.series.of(e.Dependency, e.Operation)
	if t.meters != nil {
		t.meters.record(ctx, s, &e)
	}
	if !traces {
		return nil
	}
	return t.trace(ctx, s, &e)
}

// changed handles what belongs to a dependency and to no operation.
func (t *Telemetry) changed(ctx context.Context, e *resilience.Event, traces bool) {
	if t.meters != nil {
		switch e.Kind {
		case resilience.BreakerChanged:
			t.meters.transitions.Add(ctx, 1, t.dependencies.of(e.Dependency).states[min(int(e.To), states-1)]...)
		case resilience.PolicyUpdated:
			t.meters.updates.Add(ctx, 1, t.dependencies.of(e.Dependency).updates...)
		}
	}
	if traces && e.Kind == resilience.BreakerChanged {
		t.breakerChanged(ctx, e)
	}
}

// Close stops the gauges. Closing twice does nothing. Spans and other metrics of
// guards that still run go on.
func (t *Telemetry) Close() error {
	if t == nil || t.meters == nil || t.closed.Swap(true) {
		return nil
	}
	return t.meters.close()
}
