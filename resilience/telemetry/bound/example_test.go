package bound_test

import (
	"context"
	"fmt"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/telemetry"
	"github.com/backstay-go/backstay/resilience/telemetry/bound"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func ExampleNew() {
	histograms := bound.New()
	reader := metric.NewManualReader(metric.WithProducer(histograms)) // with an exporter: NewPeriodicReader
	meters := metric.NewMeterProvider(metric.WithReader(reader))
	tel, err := telemetry.New(telemetry.Config{MeterProvider: meters, Histograms: histograms})
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := resilience.New(resilience.Policy{
		Name:     "catalog",
		Bulkhead: resilience.BulkheadPolicy{Limit: 20},
		Default:  resilience.OperationPolicy{Timeout: time.Minute},
	}, resilience.WithListener(tel))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()
	_, _ = resilience.Do(context.Background(), guard, func(context.Context) (int, error) { return 42, nil })

	var seen metricdata.ResourceMetrics
	fmt.Println(reader.Collect(context.Background(), &seen))
	for _, scope := range seen.ScopeMetrics {
		for _, m := range scope.Metrics {
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == "backstay.call.duration" {
				fmt.Println(m.Name, h.DataPoints[0].Count)
			}
		}
	}
	// Output:
	// <nil>
	// backstay.call.duration 1
}
