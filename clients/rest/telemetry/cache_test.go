package telemetry_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/backstay-go/backstay/clients/rest/cache"
	"github.com/backstay-go/backstay/clients/rest/telemetry"
)

// TestAnswersOfACacheAreSeen: each is counted by how it was come by, and is an event of the
// caller's span.
func TestAnswersOfACacheAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spans, reader := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
		tel, err := telemetry.New(telemetry.Config{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
		if err != nil {
			t.Fatal(err)
		}
		kept, err := cache.New(cache.Config{StaleIfError: time.Hour, OnAnswer: tel.Cache("caf\xe9")})
		if err != nil {
			t.Fatal(err)
		}
		defer kept.Close()
		var next cache.Next
		answer := func(status int) cache.Next {
			return func(*http.Request) (*http.Response, error) {
				h := http.Header{"Cache-Control": {"max-age=1"}, "Etag": {`"1"`}}
				return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("x")), ContentLength: 1}, nil
			}
		}
		fails := func(*http.Request) (*http.Response, error) { return nil, errors.New("down") }
		tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
		ask := func(path string) {
			ctx, span := tracer.Start(t.Context(), "handler")
			defer span.End()
			r, _ := http.NewRequestWithContext(ctx, "GET", "http://catalog.test"+path, nil)
			if resp, err := kept.Serve(r, next); err == nil {
				_ = resp.Body.Close()
			}
		}
		next = answer(200)
		ask("/") // a miss
		ask("/") // a hit
		time.Sleep(2 * time.Second)
		next = answer(304)
		ask("/") // revalidated
		time.Sleep(2 * time.Second)
		next = fails
		ask("/")      // stale
		ask("/other") // an error
		got := map[string]int64{}
		var all metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		for _, m := range all.ScopeMetrics[0].Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "backstay.cache.answers" {
				for _, p := range sum.DataPoints {
					result, _ := p.Attributes.Value(telemetry.CacheResultKey)
					reason, _ := p.Attributes.Value(telemetry.CacheReasonKey)
					name, _ := p.Attributes.Value(telemetry.DependencyKey)
					if name.AsString() != "caf\uFFFD" {
						t.Errorf("of %q", name.AsString())
					}
					got[result.AsString()+" "+reason.AsString()] = p.Value
				}
			}
		}
		want := map[string]int64{"miss uri-miss": 1, "hit ": 1, "revalidated stale": 1, "stale if-error": 1, "error ": 1}
		if !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		var reported []string
		for _, s := range spans.Ended() {
			for _, e := range s.Events() {
				for _, a := range e.Attributes {
					if a.Key == telemetry.CacheResultKey {
						reported = append(reported, a.Value.AsString())
					}
				}
			}
		}
		if want := []string{"miss", "hit", "revalidated", "stale", "error"}; !slices.Equal(reported, want) {
			t.Errorf("%v, want %v", reported, want)
		}
	})
}
