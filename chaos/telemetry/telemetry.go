package telemetry

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/internal/oteltext"
)

// EventName is the name of the span event.
const EventName = "chaos.fault"

const scope = "github.com/backstay-go/backstay/chaos/telemetry"

// The attributes of the event and of the metric.
const (
	RuleKey       = attribute.Key("chaos.rule")
	KindKey       = attribute.Key("chaos.kind")
	DependencyKey = attribute.Key("chaos.dependency")
	NodeKey       = attribute.Key("chaos.node")
	// DelayKey is how long a fault waits, in seconds. Only the event has it.
	DelayKey = attribute.Key("chaos.delay_s")
)

// Faults is a chaos.Listener. It is safe for concurrent use and needs no closing. The zero
// value marks spans, and counts nothing.
type Faults struct {
	injected metric.Int64Counter
	tracer   trace.Tracer
}

// New returns a listener that counts faults with meters and makes spans with tracers. It makes
// a span, called EventName, only for a fault that is not within a span of this process, as in
// a proxy. If meters is nil it counts nothing; if tracers is nil it makes no spans.
func New(meters metric.MeterProvider, tracers trace.TracerProvider) (*Faults, error) {
	f := &Faults{}
	if tracers != nil {
		f.tracer = tracers.Tracer(scope)
	}
	if meters == nil {
		return f, nil
	}
	var err error
	f.injected, err = meters.Meter(scope).
		Int64Counter("chaos.faults", metric.WithDescription("Faults that were injected."), metric.WithUnit("{fault}"))
	if err != nil {
		return nil, fmt.Errorf("chaos/telemetry: %w", err)
	}
	return f, nil
}

// Handle implements chaos.Listener.
func (f *Faults) Handle(ctx context.Context, e chaos.Event) {
	attributes := []attribute.KeyValue{RuleKey.String(e.Rule), KindKey.String(string(e.Kind)), DependencyKey.String(e.Call.Dependency)}
	if e.Call.Node != "" {
		attributes = append(attributes, NodeKey.String(e.Call.Node))
	}
	oteltext.Attributes(attributes)
	if f.injected != nil {
		f.injected.Add(ctx, 1, metric.WithAttributes(attributes...))
	}
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() && f.tracer != nil {
		// The context may hold a span of the caller's process, which is then the parent.
		_, span = f.tracer.Start(ctx, EventName, trace.WithTimestamp(e.Time), trace.WithAttributes(attributes...))
		defer span.End()
	}
	if span.IsRecording() {
		if e.Delay > 0 {
			attributes = append(attributes, DelayKey.Float64(e.Delay.Seconds()))
		}
		span.AddEvent(EventName, trace.WithTimestamp(e.Time), trace.WithAttributes(attributes...))
	}
}
