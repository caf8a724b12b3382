package observe

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Providers receive the spans and metrics of a command. The caller that started them must shut
// them down.
type Providers struct {
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
	// Metrics is the Prometheus page.
	Metrics http.Handler

	shutdown []func(context.Context) error
}

// Start makes the providers. Spans are exported by OTLP as the environment says
// (OTEL_EXPORTER_OTLP_ENDPOINT and OpenTelemetry's other variables); without these variables no
// spans are made. Metrics, those of Go and of the process included, are available on the
// Prometheus page.
func Start(ctx context.Context, service string, getenv func(string) string) (*Providers, error) {
	o := &Providers{Tracer: noop.NewTracerProvider()}
	res := resource.NewSchemaless(attribute.String("service.name", service))
	registry := prometheus.NewRegistry()
	if err := errors.Join(registry.Register(collectors.NewGoCollector()), registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	reader, err := otelprom.New(otelprom.WithRegisterer(registry))
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(res))
	o.Meter, o.Metrics = meter, promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	o.shutdown = append(o.shutdown, meter.Shutdown)
	if getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return o, nil
	}
	exporter, err := exporter(ctx, getenv)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("telemetry: exporter of OTEL_EXPORTER_OTLP_ENDPOINT=%s: %w", getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), err), o.Shutdown(ctx))
	}
	tracer := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
	o.Tracer = tracer
	o.shutdown = append(o.shutdown, tracer.Shutdown)
	return o, nil
}

func exporter(ctx context.Context, getenv func(string) string) (sdktrace.SpanExporter, error) {
	protocol := getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	switch protocol {
	case "", "http/protobuf":
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	}
	return nil, fmt.Errorf("protocol %q: there are http/protobuf and grpc", protocol)
}

// Shutdown sends the remaining spans and ends the providers.
func (o *Providers) Shutdown(ctx context.Context) error {
	var errs []error
	for _, end := range o.shutdown {
		errs = append(errs, end(ctx))
	}
	o.shutdown = nil
	return errors.Join(errs...)
}
