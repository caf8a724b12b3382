package telemetry_test

import (
	"context"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/telemetry"
	"github.com/backstay-go/backstay/resilience/telemetry/bound"
	"go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// deaf listens and does nothing: what the guard itself spends on being listened to.
type deaf struct{}

func (deaf) Handle(context.Context, resilience.Event) context.Context { return nil }

func answer(context.Context) (int, error) { return 42, nil }

// costs are guards to compare: the bar is "not sampled" against "no listener".
func costs(tb testing.TB) map[string]*resilience.Guard {
	never := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	always := sdktrace.NewTracerProvider() // samples, exports nowhere
	meters := metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))
	guards := map[string]*resilience.Guard{}
	add := func(name string, opts ...resilience.Option) {
		g, err := resilience.New(policy(), opts...)
		must(tb, err)
		tb.Cleanup(func() { must(tb, g.Close()) })
		guards[name] = g
	}
	tel := func(c telemetry.Config) resilience.Option {
		t, err := telemetry.New(c)
		must(tb, err)
		tb.Cleanup(func() { must(tb, t.Close()) })
		return resilience.WithListener(t)
	}
	add("no listener")
	add("deaf listener", resilience.WithListener(deaf{}))
	add("not sampled", tel(telemetry.Config{TracerProvider: never}))
	add("not sampled, with metrics", tel(telemetry.Config{TracerProvider: never, MeterProvider: meters}))
	add("metrics only", tel(telemetry.Config{MeterProvider: meters}))
	add("metrics only, bound", tel(telemetry.Config{MeterProvider: meters, Histograms: bound.New()}))
	add("not sampled, with metrics, bound", tel(telemetry.Config{TracerProvider: never, MeterProvider: meters, Histograms: bound.New()}))
	add("sampled, with metrics", tel(telemetry.Config{TracerProvider: always, MeterProvider: meters}))
	return guards
}

var costNames = []string{"no listener", "deaf listener", "not sampled", "not sampled, with metrics", "not sampled, with metrics, bound",
	"metrics only", "metrics only, bound", "sampled, with metrics"}

// BenchmarkCall compares within one run; the standard library's timeout is the
// measure of the machine.
func BenchmarkCall(b *testing.B) {
	b.Run("context.WithTimeout", func(b *testing.B) {
		for b.Loop() {
			_, cancel := context.WithTimeout(b.Context(), time.Second)
			cancel()
		}
	})
	guards := costs(b)
	for _, name := range costNames {
		b.Run(name, func(b *testing.B) {
			ctx, g := b.Context(), guards[name]
			b.ReportAllocs()
			for b.Loop() {
				if _, err := resilience.Do(ctx, g, answer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestNotSampledCostsTwoAllocations(t *testing.T) {
	guards := costs(t)
	allocations := func(name string) float64 {
		return testing.AllocsPerRun(1000, func() {
			if _, err := resilience.Do(t.Context(), guards[name], answer); err != nil {
				t.Fatal(err)
			}
		})
	}
	bare := allocations("no listener")
	for _, name := range []string{"not sampled", "not sampled, with metrics", "not sampled, with metrics, bound"} {
		if more := allocations(name) - bare; more > 2 {
			t.Errorf("%s: %v allocations more than no listener, want at most 2", name, more)
		}
	}
	for _, name := range []string{"metrics only", "metrics only, bound"} {
		if more := allocations(name) - bare; more > 0 {
			t.Errorf("%s: %v allocations more than no listener, want none", name, more)
		}
	}
}
