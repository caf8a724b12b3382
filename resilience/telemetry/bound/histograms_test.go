package bound_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	apimetric "go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/resilience/telemetry"
	"github.com/backstay-go/backstay/resilience/telemetry/bound"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t rapid.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var bounds = []float64{.125, .25, .5, 4}

// TestCountsAsTheSDKDoes records the same values in ours and in OpenTelemetry's own,
// and compares what a reader collects.
func TestCountsAsTheSDKDoes(t *testing.T) {
	eighths := rapid.IntRange(0, 64) // whose sums are exact
	rapid.Check(t, func(rt *rapid.T) {
		ours, theirs := bound.New(), metric.NewManualReader()
		h, err := metric.NewMeterProvider(metric.WithReader(theirs)).Meter(telemetry.Scope).Float64Histogram("h",
			apimetric.WithUnit("s"), apimetric.WithDescription("text"), apimetric.WithExplicitBucketBoundaries(bounds...))
		must(rt, err)
		sets := []attribute.Set{attribute.NewSet(), attribute.NewSet(attribute.Int("a", 1)), attribute.NewSet(attribute.Int("a", 2))}
		for range rapid.IntRange(1, 50).Draw(rt, "values") {
			set := rapid.SampledFrom(sets).Draw(rt, "set")
			v := float64(eighths.Draw(rt, "eighths")) / 8
			ours.Histogram("h", "s", "text", bounds, set)(v)
			h.Record(t.Context(), v, apimetric.WithAttributeSet(set))
		}
		var want metricdata.ResourceMetrics
		must(rt, theirs.Collect(t.Context(), &want))
		got, err := ours.Produce(t.Context())
		must(rt, err)
		points := want.ScopeMetrics[0].Metrics[0].Data.(metricdata.Histogram[float64]).DataPoints
		for i := range points { // which ours do not tell
			points[i].Min, points[i].Max = metricdata.Extrema[float64]{}, metricdata.Extrema[float64]{}
		}
		mine := got[0].Metrics[0].Data.(metricdata.Histogram[float64]).DataPoints
		metricdatatest.AssertEqual(rt, want.ScopeMetrics[0].Metrics[0], got[0].Metrics[0], metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
		for i := range mine {
			if mine[i].StartTime.IsZero() || mine[i].Time.Before(mine[i].StartTime) {
				rt.Errorf("counted from %v to %v", mine[i].StartTime, mine[i].Time)
			}
		}
	})
}

func TestCountsEveryValueOnce(t *testing.T) {
	h := bound.New()
	const callers, each = 8, 1000
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			record := h.Histogram("h", "s", "", bounds, attribute.NewSet(attribute.String("a", "b")))
			for range each {
				record(1)
				if _, err := h.Produce(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	all, err := h.Produce(t.Context())
	must(t, err)
	points := all[0].Metrics[0].Data.(metricdata.Histogram[float64]).DataPoints
	if len(points) != 1 || points[0].Count != callers*each || points[0].BucketCounts[3] != callers*each || points[0].Sum != callers*each {
		t.Errorf("%+v, want one point with %d values of 1", points, callers*each)
	}
}

func TestWhatCountedNothingIsLeftOut(t *testing.T) {
	h := bound.New()
	h.Histogram("h", "s", "", bounds, attribute.NewSet())
	if all, err := h.Produce(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v; want nothing", all, err)
	}
}

// TestPrometheus has histograms of ours and an instrument of the SDK's, of one scope, on
// one page.
func TestPrometheus(t *testing.T) {
	h := bound.New()
	registry := prometheus.NewRegistry()
	exporter, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithProducer(h))
	must(t, err)
	c, err := metric.NewMeterProvider(metric.WithReader(exporter)).Meter(telemetry.Scope).Int64Counter("theirs")
	must(t, err)
	c.Add(t.Context(), 1)
	record := h.Histogram("ours", "s", "", bounds, attribute.NewSet(attribute.String("a", "b")))
	record(0.5)
	record(2)
	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(page.Result().Body)
	must(t, err)
	for _, want := range []string{"ours_seconds_count{a=\"b\"", "ours_seconds_bucket{a=\"b\"", "theirs_total{"} {
		if page.Code != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("status %d, no %s on the page:\n%s", page.Code, want, body)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	set := attribute.NewSet(attribute.String("a", "b"), attribute.String("c", "d"), attribute.String("e", "f"))
	b.Run("bound", func(b *testing.B) {
		record := bound.New().Histogram("h", "s", "", bounds, set)
		for b.Loop() {
			record(0.003)
		}
	})
	b.Run("OpenTelemetry's SDK", func(b *testing.B) {
		h, err := metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())).Meter("m").Float64Histogram("h", apimetric.WithExplicitBucketBoundaries(bounds...))
		must(b, err)
		options := []apimetric.RecordOption{apimetric.WithAttributeSet(set)}
		for b.Loop() {
			h.Record(b.Context(), 0.003, options...)
		}
	})
}
