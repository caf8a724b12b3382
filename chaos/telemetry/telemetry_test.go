package telemetry_test

import (
	"context"
	"errors"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/telemetry"
)

func TestFaultsAreMarkedAndCounted(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	faults, err := telemetry.New(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
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
