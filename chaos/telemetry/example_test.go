package telemetry_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/telemetry"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
)

// Injected faults are counted, and marked in the traces of the requests that they hit.
func ExampleNew() {
	reader := metric.NewManualReader() // with an exporter: NewPeriodicReader
	faults, err := telemetry.New(metric.NewMeterProvider(metric.WithReader(reader)), trace.NewTracerProvider())
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := chaos.Parse("tax.yaml", []byte("name: drill\nseed: 1\nrules: [{name: down, where: {dependency: tax}, what: {kind: error, code: down}}]\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	injector, err := chaos.New(plan, chaos.Config{Listeners: []chaos.Listener{faults}})
	if err != nil {
		fmt.Println(err)
		return
	}
	tax := injector.Point("tax", "rate", map[string]error{"down": errors.New("down")})
	injector.Start()
	_, err = chaos.Do(context.Background(), tax, func(context.Context) (int, error) { return 19, nil })
	fmt.Println(err)
	injector.Stop()

	var seen metricdata.ResourceMetrics
	_ = reader.Collect(context.Background(), &seen)
	fmt.Println(seen.ScopeMetrics[0].Metrics[0].Name)
	// Output:
	// tax rate: down (injected by chaos rule "down")
	// chaos.faults
}
