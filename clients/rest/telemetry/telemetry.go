package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/internal/oteltext"
	"github.com/backstay-go/backstay/resilience"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"
	"go.opentelemetry.io/otel/trace"
)

// Scope is the name of the meter.
const Scope = "github.com/backstay-go/backstay/clients/rest/telemetry"

// other stands for methods that are none of HTTP's, and errors without a name.
const other = "_OTHER"

// Config says where metrics go.
type Config struct {
	// MeterProvider makes the metric. Nil: none is made, and spans are described only.
	MeterProvider metric.MeterProvider
	// Propagator writes the current span into each attempt's header. Nil: W3C trace context
	// (traceparent and tracestate). To send nothing, give an empty
	// propagation.NewCompositeTextMapPropagator().
	Propagator propagation.TextMapPropagator
	_          struct{}
}

// Telemetry describes requests. One serves any number of transports and clients. It is
// safe for concurrent use and needs no closing. Its zero value describes spans only.
type Telemetry struct {
	duration   metric.Float64Histogram       // nil: no metric
	propagator propagation.TextMapPropagator // nil: W3C trace context
	series     series
	cache      *cacheMeters // nil: no metrics
}

var _ rest.Observer = (*Telemetry)(nil)

// New makes the instruments.
func New(c Config) (*Telemetry, error) {
	t := &Telemetry{propagator: c.Propagator}
	if c.MeterProvider == nil {
		return t, nil
	}
	d, err := httpconv.NewClientRequestDuration(c.MeterProvider.Meter(Scope, metric.WithSchemaURL(semconv.SchemaURL)),
		metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10))
	if err != nil {
		return nil, fmt.Errorf("rest telemetry: make the instruments: %w", err)
	}
	t.duration = d.Inst()
	if t.cache, err = newCacheMeters(c.MeterProvider.Meter(Scope, metric.WithSchemaURL(semconv.SchemaURL))); err != nil {
		return nil, fmt.Errorf("rest telemetry: make the instruments: %w", err)
	}
	return t, nil
}

// OnRequest implements rest.Observer: it writes the trace's headers.
func (t *Telemetry) OnRequest(ctx context.Context, header http.Header) {
	p := t.propagator
	if p == nil {
		p = propagation.TraceContext{}
	}
	p.Inject(ctx, propagation.HeaderCarrier(header))
}

// OnExchange implements rest.Observer: it measures an attempt and describes its span.
func (t *Telemetry) OnExchange(ctx context.Context, e rest.Exchange) {
	span := trace.SpanFromContext(ctx)
	if t.duration == nil && !span.IsRecording() {
		return
	}
	if t.duration != nil {
		t.duration.Record(ctx, e.Took.Seconds(), t.series.of(&e)...)
	}
	if !span.IsRecording() {
		return
	}
	attributes := describe(&e)
	if e.Resends > 0 {
		attributes = append(attributes, semconv.HTTPRequestResendCount(e.Resends))
	}
	span.SetAttributes(attributes...)
}

// maxSeries is the number of series whose attributes are remembered. Further ones are described
// each time.
const maxSeries = 1000

// series remembers the attributes of the metric's series, because making them costs more than
// recording a value. Its zero value is ready for use. It is safe for concurrent use.
type series struct {
	mu  sync.RWMutex
	all map[seriesKey][]metric.RecordOption
}

// seriesKey is all that describe reads of an exchange without an error.
type seriesKey struct {
	method, template, scheme, host, protocol string
	status                                   int
}

// of returns the options with which a value of the exchange is recorded.
func (s *series) of(e *rest.Exchange) []metric.RecordOption {
	if e.Err != nil {
		return recordOptions(e)
	}
	key := seriesKey{e.Method, e.Template, e.Scheme, e.Host, e.Protocol, e.Status}
	s.mu.RLock()
	known, ok := s.all[key]
	s.mu.RUnlock()
	if ok {
		return known
	}
	made := recordOptions(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[seriesKey][]metric.RecordOption{}
	}
	if len(s.all) < maxSeries {
		s.all[key] = made
	}
	return made
}

func recordOptions(e *rest.Exchange) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(describe(e)...))}
}

// describe is what spans and the metric have in common.
func describe(e *rest.Exchange) []attribute.KeyValue {
	method := e.Method
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
	default:
		method = other
	}
	host, port := address(e.Scheme, e.Host)
	attributes := append(make([]attribute.KeyValue, 0, 9), semconv.HTTPRequestMethodKey.String(method),
		semconv.ServerAddress(host), semconv.ServerPort(port), semconv.URLScheme(e.Scheme))
	if e.Template != "" {
		attributes = append(attributes, semconv.URLTemplate(e.Template))
	}
	if version, ok := strings.CutPrefix(e.Protocol, "HTTP/"); ok {
		attributes = append(attributes, semconv.NetworkProtocolVersion(strings.TrimSuffix(version, ".0")))
	}
	if e.Status != 0 {
		attributes = append(attributes, semconv.HTTPResponseStatusCode(e.Status))
	}
	switch {
	case e.Err != nil:
		attributes = append(attributes, semconv.ErrorTypeKey.String(kindOf(e.Err)))
	case e.Status >= 400:
		attributes = append(attributes, semconv.ErrorTypeKey.String(strconv.Itoa(e.Status)))
	}
	return oteltext.Attributes(attributes)
}

// address takes a host apart; the port is the scheme's if it names none.
func address(scheme, hostport string) (host string, port int) {
	port = 80
	if scheme == "https" {
		port = 443
	}
	host, text, err := net.SplitHostPort(hostport)
	if err != nil {
		return strings.Trim(hostport, "[]"), port
	}
	if n, err := strconv.Atoi(text); err == nil {
		port = n
	}
	return host, port
}

// kindOf is what kind of error it was, of few.
func kindOf(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, rest.ErrTooLarge):
		return "too_large"
	case errors.Is(err, rest.ErrStalled):
		return "stalled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.As(err, &dns):
		return "dns"
	case errors.As(err, &op):
		return op.Op
	case errors.As(err, new(*resilience.Refusal)):
		return "refused"
	}
	return other
}
