package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/oteltext"
	"github.com/backstay-go/backstay/resilience"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
	"go.opentelemetry.io/otel/trace"
)

// Scope is the name of the tracer and of the meter.
const Scope = "github.com/backstay-go/backstay/clients/cassandra/telemetry"

// ErrConfig matches what New and Watch refuse.
var ErrConfig = errors.New("cassandra telemetry: invalid configuration")

// Config says where spans and metrics go. At least one provider is required.
type Config struct {
	// TracerProvider makes the spans. Nil: none are made.
	TracerProvider trace.TracerProvider
	// MeterProvider makes the metrics. Nil: none are made.
	MeterProvider metric.MeterProvider
	// MaxTables bounds the pairs of operation and table that metrics tell apart;
	// those beyond are counted as table "_OTHER". Default: 200.
	MaxTables int
	_         struct{}
}

const defaultMaxTables = 200

// other stands for everything beyond a bound, as in OpenTelemetry's conventions.
const other = "_OTHER"

// Telemetry is a cassandra.Observer that makes spans and metrics. One serves any
// number of sessions. It is safe for concurrent use. The caller must close it, after the
// sessions. The zero value makes nothing.
type Telemetry struct {
	tracer   trace.Tracer // nil: no spans
	duration *dbconv.ClientOperationDuration
	gauges   *gauges // nil: no metrics

	mu     sync.Mutex
	tables map[target]bool
	max    int
}

// target is what a request is aimed at, as metrics tell it.
type target struct{ namespace, operation, table string }

var _ cassandra.Observer = (*Telemetry)(nil)

// New checks the configuration and returns an observer for sessions.
func New(c Config) (*Telemetry, error) {
	switch {
	case c.TracerProvider == nil && c.MeterProvider == nil:
		return nil, fmt.Errorf("%w: neither TracerProvider nor MeterProvider is set; give at least one", ErrConfig)
	case c.MaxTables < 0:
		return nil, fmt.Errorf("%w: MaxTables is %d; use zero (200) or more", ErrConfig, c.MaxTables)
	}
	t := &Telemetry{tables: map[target]bool{}, max: c.MaxTables}
	if t.max == 0 {
		t.max = defaultMaxTables
	}
	if c.TracerProvider != nil {
		t.tracer = c.TracerProvider.Tracer(Scope, trace.WithSchemaURL(semconv.SchemaURL))
	}
	if c.MeterProvider != nil {
		meter := c.MeterProvider.Meter(Scope, metric.WithSchemaURL(semconv.SchemaURL))
		d, err := dbconv.NewClientOperationDuration(meter, metric.WithExplicitBucketBoundaries(.001, .005, .01, .05, .1, .5, 1, 5, 10))
		if err != nil {
			return nil, fmt.Errorf("cassandra telemetry: make the instruments: %w", err)
		}
		t.duration = &d
		if t.gauges, err = newGauges(meter); err != nil {
			return nil, fmt.Errorf("cassandra telemetry: make the instruments: %w", err)
		}
	}
	return t, nil
}

var system = semconv.DBSystemNameCassandra

// RequestStarted implements cassandra.Observer.
func (t *Telemetry) RequestStarted(ctx context.Context, r *cassandra.Request) context.Context {
	if t == nil || t.tracer == nil {
		return nil
	}
	name := summary(r)
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(system))
	if !span.IsRecording() {
		return ctx
	}
	attributes := []attribute.KeyValue{
		semconv.DBQuerySummary(name), semconv.DBOperationName(r.Operation), semconv.DBQueryText(r.Text),
		semconv.CassandraConsistencyLevelKey.String(strings.ToLower(r.Consistency.String())),
		semconv.CassandraPageSize(r.PageSize), semconv.CassandraQueryIdempotent(r.Idempotent), ProfileKey.String(r.Profile),
	}
	if r.Keyspace != "" {
		attributes = append(attributes, semconv.DBNamespace(r.Keyspace))
	}
	if r.Table != "" {
		attributes = append(attributes, semconv.DBCollectionName(r.Table))
	}
	if r.BatchSize > 1 {
		attributes = append(attributes, semconv.DBOperationBatchSize(r.BatchSize))
	}
	if r.SerialConsistency != 0 {
		attributes = append(attributes, SerialConsistencyKey.String(strings.ToLower(r.SerialConsistency.String())))
	}
	if r.Degraded {
		attributes = append(attributes, DegradedKey.Bool(true))
	}
	span.SetAttributes(oteltext.Attributes(attributes)...)
	return ctx
}

// summary is the request in few words, which are the span's name.
func summary(r *cassandra.Request) string {
	if r.Table == "" {
		return oteltext.Valid(r.Operation)
	}
	return oteltext.Valid(r.Operation + " " + r.Table)
}

// RequestEnded implements cassandra.Observer.
func (t *Telemetry) RequestEnded(ctx context.Context, r *cassandra.Request, a *cassandra.Answer) {
	if t == nil {
		return
	}
	if t.duration != nil {
		t.duration.Record(ctx, a.Took.Seconds(), dbconv.SystemNameCassandra, t.labels(r, a)...)
	}
	if t.tracer == nil {
		return
	}
	span := trace.SpanFromContext(ctx)
	defer span.End()
	if !span.IsRecording() {
		return
	}
	if a.Coordinator != "" {
		span.SetAttributes(coordinator(a)...)
	}
	if a.Err == nil {
		span.SetAttributes(semconv.DBResponseReturnedRows(a.Rows))
		return
	}
	kind, code := errorOf(a.Err)
	span.SetAttributes(semconv.ErrorTypeKey.String(kind))
	if code != "" {
		span.SetAttributes(semconv.DBResponseStatusCode(code))
	}
	if errors.Is(a.Err, cassandra.ErrOutcomeUnknown) {
		span.SetAttributes(OutcomeUnknownKey.Bool(true))
	}
	if !errors.Is(a.Err, cassandra.ErrCanceled) {
		span.SetStatus(codes.Error, kind)
	}
}

func coordinator(a *cassandra.Answer) []attribute.KeyValue {
	var attributes []attribute.KeyValue
	if host, port, err := net.SplitHostPort(a.Coordinator); err == nil {
		attributes = append(attributes, semconv.ServerAddress(host), semconv.NetworkPeerAddress(host))
		if n, err := strconv.Atoi(port); err == nil {
			attributes = append(attributes, semconv.ServerPort(n), semconv.NetworkPeerPort(n))
		}
	}
	if a.CoordinatorID != "" {
		attributes = append(attributes, semconv.CassandraCoordinatorID(a.CoordinatorID))
	}
	if a.DataCenter != "" {
		attributes = append(attributes, semconv.CassandraCoordinatorDC(a.DataCenter))
	}
	return oteltext.Attributes(attributes)
}

// labels are the attributes of the duration. The driver's text of an error is not
// among them, which would be without bound.
func (t *Telemetry) labels(r *cassandra.Request, a *cassandra.Answer) []attribute.KeyValue {
	at := t.bounded(target{r.Keyspace, r.Operation, r.Table})
	labels := make([]attribute.KeyValue, 0, 5)
	labels = append(labels, semconv.DBOperationName(at.operation))
	if at.namespace != "" {
		labels = append(labels, semconv.DBNamespace(at.namespace))
	}
	if at.table != "" {
		labels = append(labels, semconv.DBCollectionName(at.table))
	}
	if a.Err != nil {
		kind, code := errorOf(a.Err)
		labels = append(labels, semconv.ErrorTypeKey.String(kind))
		if code != "" {
			labels = append(labels, semconv.DBResponseStatusCode(code))
		}
	}
	return oteltext.Attributes(labels)
}

func (t *Telemetry) bounded(at target) target {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tables[at] {
		return at
	}
	if len(t.tables) >= t.max {
		return target{at.namespace, other, other}
	}
	t.tables[at] = true
	return at
}

// kinds are the values of error.type, in the order in which they are looked for.
var kinds = []struct {
	err  error
	name string
}{
	{cassandra.ErrCanceled, "canceled"}, {cassandra.ErrTimedOut, "timeout"}, {cassandra.ErrUnavailable, "unavailable"},
	{cassandra.ErrOverloaded, "overloaded"}, {cassandra.ErrDiskFull, "disk_full"}, {cassandra.ErrFailed, "failed"},
	{cassandra.ErrNotFound, "not_found"}, {cassandra.ErrClosed, "closed"}, {cassandra.ErrConfig, "invalid"}, {cassandra.ErrInvalid, "invalid"},
	{cassandra.ErrOutcomeUnknown, "outcome_unknown"}, {resilience.ErrRefused, "refused"},
}

// errorOf returns an error's kind, and the protocol's code if the server sent one.
func errorOf(err error) (kind, code string) {
	kind = other
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			kind = k.name
			break
		}
	}
	var e *cassandra.Error
	if errors.As(err, &e) && e.Code >= 0 {
		code = strconv.Itoa(e.Code)
	}
	return kind, code
}

// Close stops the gauges. Closing twice does nothing.
func (t *Telemetry) Close() error {
	if t == nil || t.gauges == nil {
		return nil
	}
	return t.gauges.close()
}
