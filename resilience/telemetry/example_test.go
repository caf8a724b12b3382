package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/telemetry"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// A page for Prometheus, through OpenTelemetry's exporter.
func Example_prometheus() {
	registry := prometheus.NewRegistry()
	exporter, err := otelprom.New(otelprom.WithRegisterer(registry))
	if err != nil {
		fmt.Println(err)
		return
	}
	tel, err := telemetry.New(telemetry.Config{
		TracerProvider: sdktrace.NewTracerProvider(), // with an exporter
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(exporter)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := resilience.New(resilience.Policy{
		Name:     "catalog",
		Bulkhead: resilience.BulkheadPolicy{Limit: 20},
		Default:  resilience.OperationPolicy{Timeout: time.Second},
	}, resilience.WithListener(tel))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()
	if err := tel.Watch(guard); err != nil { // gauges
		fmt.Println(err)
		return
	}

	res, err := resilience.Do(context.Background(), guard, func(context.Context) (string, error) {
		return "", errors.New("connection refused")
	}, resilience.FallbackValue("the strictest default"))
	fmt.Println(res.Value, res.Source, err)

	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(page.Body.String()) {
		if strings.Contains(line, "backstay_call_duration_seconds_count") || strings.Contains(line, "backstay_bulkhead_limit{") {
			// The exporter adds labels with the instrumentation's name and version.
			before, after, _ := strings.Cut(line, ",otel_scope_name")
			fmt.Println(before + " …" + after[strings.LastIndex(after, "}"):len(after)-1])
		}
	}
	// Output:
	// the strictest default static <nil>
	// backstay_bulkhead_limit{backstay_dependency="catalog" …} 20
	// backstay_call_duration_seconds_count{backstay_dependency="catalog",backstay_operation="default",backstay_source="static" …} 1
}
