package telemetry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/telemetry"
	"github.com/backstay-go/backstay/resilience/telemetry/bound"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("down")

func policy() resilience.Policy {
	return resilience.Policy{
		Name:     "catalog",
		Bulkhead: resilience.BulkheadPolicy{Limit: 2, Queue: 2},
		Default:  resilience.OperationPolicy{Timeout: time.Second},
		Operations: map[string]resilience.OperationPolicy{
			"plan": {Timeout: time.Second, Idempotent: true, Retry: &resilience.RetryPolicy{MaxAttempts: 2, BaseDelay: 10 * time.Millisecond}},
		},
	}
}

// bench is a guard with telemetry, and what it reported.
type rig struct {
	guard  *resilience.Guard
	tel    *telemetry.Telemetry
	spans  *tracetest.SpanRecorder
	tracer *sdktrace.TracerProvider
	reader *metric.ManualReader
}

func newRig(t testing.TB, p resilience.Policy, sampler sdktrace.Sampler) *rig {
	t.Helper()
	return newRigWith(t, p, sampler, nil)
}

// newRigWith has histograms that are bound, unless nil.
func newRigWith(t testing.TB, p resilience.Policy, sampler sdktrace.Sampler, histograms *bound.Histograms) *rig {
	t.Helper()
	r := &rig{spans: tracetest.NewSpanRecorder(), reader: metric.NewManualReader()}
	r.tracer = sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(r.spans))
	config := telemetry.Config{TracerProvider: r.tracer}
	if histograms != nil {
		config.Histograms = histograms
		r.reader = metric.NewManualReader(metric.WithProducer(histograms))
	}
	meters := metric.NewMeterProvider(metric.WithReader(r.reader))
	config.MeterProvider = meters
	var err error
	r.tel, err = telemetry.New(config)
	must(t, err)
	r.guard, err = resilience.New(p, resilience.WithListener(r.tel))
	must(t, err)
	must(t, r.tel.Watch(r.guard))
	t.Cleanup(func() {
		must(t, r.guard.Close())
		must(t, r.tel.Close())
		ctx := context.WithoutCancel(t.Context())
		must(t, r.tracer.Shutdown(ctx))
		must(t, meters.Shutdown(ctx))
		if n := r.guard.Snapshot().ListenerPanics; n != 0 {
			t.Errorf("%d panics in the listener", n)
		}
	})
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newRigBounded has metrics only, tells few apart, and watches nothing yet.
func newRigBounded(t testing.TB, operations int) *rig {
	t.Helper()
	r := &rig{reader: metric.NewManualReader()}
	meters := metric.NewMeterProvider(metric.WithReader(r.reader))
	var err error
	r.tel, err = telemetry.New(telemetry.Config{MeterProvider: meters, MaxOperations: operations})
	must(t, err)
	t.Cleanup(func() {
		must(t, r.tel.Close())
		must(t, meters.Shutdown(context.WithoutCancel(t.Context())))
	})
	return r
}

// named returns the ended spans of that name, in the order they ended.
func (r *rig) named(name string) []sdktrace.ReadOnlySpan {
	var found []sdktrace.ReadOnlySpan
	for _, s := range r.spans.Ended() {
		if s.Name() == name {
			found = append(found, s)
		}
	}
	return found
}

func (r *rig) one(t *testing.T, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	found := r.named(name)
	if len(found) != 1 {
		t.Fatalf("%d spans %q, want 1", len(found), name)
	}
	return found[0]
}

func get(attributes []attribute.KeyValue, key attribute.Key) string {
	for _, a := range attributes {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

func wantAttributes(t *testing.T, s sdktrace.ReadOnlySpan, want map[attribute.Key]string) {
	t.Helper()
	for key, value := range want {
		if got := get(s.Attributes(), key); got != value {
			t.Errorf("span %q: %s is %q, want %q", s.Name(), key, got, value)
		}
	}
}

func wantChild(t *testing.T, child, parent sdktrace.ReadOnlySpan) {
	t.Helper()
	if child.Parent().SpanID() != parent.SpanContext().SpanID() {
		t.Errorf("%q is not a child of %q", child.Name(), parent.Name())
	}
}

// metrics collects, and returns the data by name.
func (r *rig) metrics(t *testing.T) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	must(t, r.reader.Collect(t.Context(), &all))
	found := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			found[m.Name] = m
		}
	}
	return found
}

// failing fails the first n times.
func failing(n int) func(context.Context) (int, error) {
	return func(context.Context) (int, error) {
		if n--; n >= 0 {
			return 0, errDown
		}
		return 42, nil
	}
}
