package resilience

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	ours "github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/telemetry"
	"github.com/backstay-go/backstay/resilience/telemetry/bound"
)

// heard is our happy path without and with OpenTelemetry, compared with what OpenTelemetry's
// own SDK needs for its part.
var heard = []contender{
	{"no listener", func(tb testing.TB) func(context.Context) error { return listened(tb, nil) }, 1},
	{"a listener that does nothing", func(tb testing.TB) func(context.Context) error {
		return through(guardWith(tb, nil, ours.WithListener(deaf{})))
	}, 1},
	{"spans, not sampled", func(tb testing.TB) func(context.Context) error {
		return listened(tb, &telemetry.Config{TracerProvider: unsampled()})
	}, 3},
	{"spans, not sampled, and bound metrics", func(tb testing.TB) func(context.Context) error {
		h := bound.New()
		return listened(tb, &telemetry.Config{TracerProvider: unsampled(), MeterProvider: metered(sdkmetric.WithProducer(h)), Histograms: h})
	}, 3},
	{"spans, not sampled, and metrics of the SDK", func(tb testing.TB) func(context.Context) error {
		return listened(tb, &telemetry.Config{TracerProvider: unsampled(), MeterProvider: metered()})
	}, 3},
	{"spans, sampled, and metrics of the SDK", func(tb testing.TB) func(context.Context) error {
		return listened(tb, &telemetry.Config{TracerProvider: sdktrace.NewTracerProvider(), MeterProvider: metered()})
	}, unbounded},
	{"the SDK alone: one span, not sampled", func(testing.TB) func(context.Context) error {
		tracer := unsampled().Tracer("alone")
		return func(ctx context.Context) error {
			_, span := tracer.Start(ctx, "call")
			span.End()
			return nil
		}
	}, unbounded},
	{"the SDK alone: two measurements, attributes made before", func(tb testing.TB) func(context.Context) error {
		h, err := metered().Meter("alone").Float64Histogram("duration")
		if err != nil {
			tb.Fatal(err)
		}
		attributes := []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(
			attribute.String("dependency", "dep"), attribute.String("operation", "default"), attribute.String("source", "live")))}
		return func(ctx context.Context) error {
			h.Record(ctx, 0.001, attributes...)
			h.Record(ctx, 0.001, attributes...)
			return nil
		}
	}, unbounded},
}

// deaf listens and does nothing: what the guard spends on being listened to.
type deaf struct{}

func (deaf) Handle(context.Context, ours.Event) context.Context { return nil }

func unsampled() *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
}

func metered(o ...sdkmetric.ManualReaderOption) *sdkmetric.MeterProvider {
	return sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader(o...)))
}

func listened(tb testing.TB, c *telemetry.Config) func(context.Context) error {
	var opts []ours.Option
	if c != nil {
		tel, err := telemetry.New(*c)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = tel.Close() })
		opts = append(opts, ours.WithListener(tel))
	}
	return through(guardWith(tb, nil, opts...))
}
