package telemetry_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/telemetry"
)

func TestFaultsAreMarkedAndCounted(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	faults, err := telemetry.New(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), nil)
	if err != nil {
		t.Fatal(err)
	}
	injector, err := chaos.New(chaos.Plan{Rules: []chaos.Rule{{Name: "gone", Where: chaos.Where{Dependency: "store"}, What: chaos.What{Kind: chaos.Error}}}},
		chaos.Config{Listeners: []chaos.Listener{faults}})
	if err != nil {
		t.Fatal(err)
	}
	injector.Start()
	defer injector.Stop()
	spans := tracetest.NewSpanRecorder()
	ctx, span := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("t").Start(t.Context(), "call")
	point := injector.Point("store", "load", nil)
	for _, ctx := range []context.Context{ctx, t.Context()} {
		if _, err := chaos.Do(ctx, point, func(context.Context) (int, error) { return 1, nil }); !errors.Is(err, chaos.ErrInjected) {
			t.Fatal(err)
		}
	}
	span.End()
	events := spans.Ended()[0].Events()
	if len(events) != 1 || events[0].Name != telemetry.EventName {
		t.Fatalf("events %v", events)
	}
	set := attribute.NewSet(events[0].Attributes...)
	if rule, _ := set.Value(telemetry.RuleKey); rule.AsString() != "gone" {
		t.Errorf("attributes %v", events[0].Attributes)
	}
	var got metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	sum := got.ScopeMetrics[0].Metrics[0].Data.(metricdata.Sum[int64])
	if len(sum.DataPoints) != 1 || sum.DataPoints[0].Value != 2 {
		t.Errorf("counted %+v, want 2 at one point", sum.DataPoints)
	}
}

func TestAFaultOutsideOfSpansIsOne(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	faults, err := telemetry.New(nil, tracers)
	if err != nil {
		t.Fatal(err)
	}
	event := chaos.Event{Time: time.Now(), Rule: "gone", Kind: chaos.DropReply, Delay: time.Second, Call: chaos.Call{Dependency: "store", Node: "node1"}}
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, Remote: true})
	faults.Handle(t.Context(), event)
	faults.Handle(trace.ContextWithRemoteSpanContext(t.Context(), parent), event)
	ctx, mine := tracers.Tracer("t").Start(t.Context(), "call")
	faults.Handle(ctx, event)
	mine.End()
	var names []string
	for _, s := range spans.Ended() {
		names = append(names, s.Name())
		if len(s.Events()) != 1 {
			t.Errorf("%s has events %v", s.Name(), s.Events())
		}
	}
	if !slices.Equal(names, []string{telemetry.EventName, telemetry.EventName, "call"}) {
		t.Errorf("spans %v", names)
	}
	if got := spans.Ended()[1].Parent().TraceID(); got != parent.TraceID() {
		t.Errorf("the fault is in trace %s, its call in %s", got, parent.TraceID())
	}
}
