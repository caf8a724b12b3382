package observe

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/backstay-go/backstay/internal/version"
)

// Providers receive the spans and metrics of a command. The caller that started them must shut
// them down.
type Providers struct {
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
	// Metrics is the Prometheus page.
	Metrics http.Handler

	// exported receives the spans of every service. It is nil if no spans are exported.
	exported sdktrace.SpanProcessor
	version  string
	shutdown []func(context.Context) error
}

// Start makes the providers. Spans are exported by OTLP as the environment says
// (OTEL_EXPORTER_OTLP_ENDPOINT and OpenTelemetry's other variables); without these variables no
// spans are made. Metrics, those of Go and of the process included, are available on the
// Prometheus page.
//
// service names the service in spans, unless the environment does: OTEL_SERVICE_NAME, or
// service.name in OTEL_RESOURCE_ATTRIBUTES.
func Start(ctx context.Context, service string, getenv func(string) string) (*Providers, error) {
	o := &Providers{Tracer: noop.NewTracerProvider(), version: version.String()}
	if name, ok := resource.Environment().Set().Value(semconv.ServiceNameKey); ok {
		service = name.AsString()
	}
	res := o.resource(cmp.Or(getenv("OTEL_SERVICE_NAME"), service))
	registry := prometheus.NewRegistry()
	if err := errors.Join(registry.Register(collectors.NewGoCollector()), registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	reader, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithoutScopeInfo())
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
	o.exported = sdktrace.NewBatchSpanProcessor(exporter)
	o.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(o.exported), sdktrace.WithResource(res))
	o.shutdown = append(o.shutdown, o.exported.Shutdown)
	return o, nil
}

// Service returns a tracer provider for another service that runs in this process, so that its
// spans carry its name.
func (o *Providers) Service(name string) trace.TracerProvider {
	if o.exported == nil {
		return o.Tracer
	}
	return sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(o.exported), sdktrace.WithResource(o.resource(name)))
}

// resource describes one service of one process. Each has an id of its own.
func (o *Providers) resource(service string) *resource.Resource {
	return resource.NewWithAttributes(semconv.SchemaURL, semconv.ServiceName(service), semconv.ServiceVersion(o.version), semconv.ServiceInstanceID(rand.Text()))
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
