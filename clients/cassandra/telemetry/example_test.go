package telemetry_test

import (
	"context"
	"fmt"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/clients/cassandra/telemetry"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
)

// Telemetry observes each request of a session.
func ExampleNew() {
	tel, err := telemetry.New(telemetry.Config{
		TracerProvider: trace.NewTracerProvider(), // with an exporter
		MeterProvider:  metric.NewMeterProvider(), // with a reader
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	connect := func(ctx context.Context, config cassandra.Config) (*cassandra.Session, error) {
		config.Observers = append(config.Observers, tel)
		return cassandra.Connect(ctx, config)
	}
	_ = connect // it needs a cluster
	_, err = telemetry.New(telemetry.Config{})
	fmt.Println(err)
	// Output: cassandra telemetry: invalid configuration: neither TracerProvider nor MeterProvider is set; give at least one
}
