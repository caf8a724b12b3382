package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/clients/cassandra/telemetry"
	"github.com/backstay-go/backstay/internal/cassandratest"
	"github.com/backstay-go/backstay/resilience"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/gocql/gocql.(*Conn).awaitSchemaAgreement"))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is telemetry, and what it reported.
type rig struct {
	*telemetry.Telemetry
	spans  *tracetest.SpanRecorder
	reader *metric.ManualReader
}

func newRig(t *testing.T, maxTables int) *rig {
	t.Helper()
	r := &rig{spans: tracetest.NewSpanRecorder(), reader: metric.NewManualReader()}
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.spans))
	meters := metric.NewMeterProvider(metric.WithReader(r.reader))
	var err error
	r.Telemetry, err = telemetry.New(telemetry.Config{TracerProvider: tracers, MeterProvider: meters, MaxTables: maxTables})
	must(t, err)
	t.Cleanup(func() {
		must(t, r.Close())
		must(t, r.Close())
		ctx := context.WithoutCancel(t.Context())
		must(t, tracers.Shutdown(ctx))
		must(t, meters.Shutdown(ctx))
	})
	return r
}

// metric returns the data of the metric of that name, by its attributes.
func (r *rig) metric(t *testing.T, name string) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	must(t, r.reader.Collect(t.Context(), &all))
	found := map[string]float64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch d := m.Data.(type) {
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					found[p.Attributes.Encoded(attribute.DefaultEncoder())] = float64(p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					found[p.Attributes.Encoded(attribute.DefaultEncoder())] = p.Value
				}
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					found[p.Attributes.Encoded(attribute.DefaultEncoder())] = float64(p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					found[p.Attributes.Encoded(attribute.DefaultEncoder())] = float64(p.Count)
				}
			}
		}
	}
	return found
}

func attributes(s sdktrace.ReadOnlySpan) string {
	var all []string
	for _, a := range s.Attributes() {
		all = append(all, fmt.Sprintf("%s=%s", a.Key, a.Value.String()))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// run tells the telemetry of one request.
func run(r *rig, q cassandra.Request, a cassandra.Answer) sdktrace.ReadOnlySpan {
	ctx := r.RequestStarted(context.Background(), &q)
	r.RequestEnded(ctx, &q, &a)
	ended := r.spans.Ended()
	return ended[len(ended)-1]
}

func TestSpansFollowTheConventions(t *testing.T) {
	r := newRig(t, 0)
	base := cassandra.Request{Profile: "append", Keyspace: "licenses", Operation: "SELECT", Table: "streams", Text: "SELECT head FROM streams WHERE id = ?",
		Consistency: cassandra.LocalQuorum, PageSize: 100, Idempotent: true}
	batch := cassandra.Request{Profile: "append", Operation: "BATCH", Text: "a; b", BatchSize: 2, Consistency: cassandra.LocalQuorum, SerialConsistency: cassandra.LocalSerial}
	for _, c := range []struct {
		name   string
		q      cassandra.Request
		a      cassandra.Answer
		span   string
		status codes.Code
		want   string
	}{
		{"a read", base, cassandra.Answer{Coordinator: "10.0.0.7:9042", DataCenter: "dc1", Rows: 3}, "SELECT streams", codes.Unset, `backstay.cassandra.profile=append
cassandra.consistency.level=local_quorum
cassandra.coordinator.dc=dc1
cassandra.page.size=100
cassandra.query.idempotent=true
db.collection.name=streams
db.namespace=licenses
db.operation.name=SELECT
db.query.summary=SELECT streams
db.query.text=SELECT head FROM streams WHERE id = ?
db.response.returned_rows=3
db.system.name=cassandra
network.peer.address=10.0.0.7
network.peer.port=9042
server.address=10.0.0.7
server.port=9042`},
		{"a write whose outcome is unknown", batch, cassandra.Answer{Err: &cassandra.Error{Kind: cassandra.ErrTimedOut, OutcomeUnknown: true, Code: 0x1100, Message: "secret"}},
			"BATCH", codes.Error, `backstay.cassandra.outcome_unknown=true
backstay.cassandra.profile=append
backstay.cassandra.serial_consistency=local_serial
cassandra.consistency.level=local_quorum
cassandra.page.size=0
cassandra.query.idempotent=false
db.operation.batch.size=2
db.operation.name=BATCH
db.query.summary=BATCH
db.query.text=a; b
db.response.status_code=4352
db.system.name=cassandra
error.type=timeout`},
		{"the caller went", cassandra.Request{Operation: "SELECT", Degraded: true, Consistency: cassandra.LocalOne}, cassandra.Answer{Err: &cassandra.Error{Kind: cassandra.ErrCanceled, Code: -1}},
			"SELECT", codes.Unset, `backstay.cassandra.degraded=true
backstay.cassandra.profile=
cassandra.consistency.level=local_one
cassandra.page.size=0
cassandra.query.idempotent=false
db.operation.name=SELECT
db.query.summary=SELECT
db.query.text=
db.system.name=cassandra
error.type=canceled`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := run(r, c.q, c.a)
			if s.Name() != c.span || s.SpanKind() != trace.SpanKindClient || s.Status().Code != c.status {
				t.Errorf("span %q, %v, %+v", s.Name(), s.SpanKind(), s.Status())
			}
			if got := attributes(s); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if strings.Contains(s.Status().Description, "secret") {
				t.Error("the status has the server's message")
			}
		})
	}
}

func TestMetricsAreBounded(t *testing.T) {
	r := newRig(t, 2)
	for i := range 5 {
		run(r, cassandra.Request{Keyspace: "k", Operation: "SELECT", Table: fmt.Sprint("t", i)}, cassandra.Answer{Took: time.Millisecond})
	}
	run(r, cassandra.Request{Keyspace: "k", Operation: "SELECT", Table: "t0"}, cassandra.Answer{Err: &cassandra.Error{Kind: cassandra.ErrOverloaded, Code: 0x1001}})
	got := r.metric(t, "db.client.operation.duration")
	want := map[string]float64{
		"db.collection.name=t0,db.namespace=k,db.operation.name=SELECT,db.system.name=cassandra":                                                    1,
		"db.collection.name=t1,db.namespace=k,db.operation.name=SELECT,db.system.name=cassandra":                                                    1,
		"db.collection.name=_OTHER,db.namespace=k,db.operation.name=_OTHER,db.system.name=cassandra":                                                3,
		"db.collection.name=t0,db.namespace=k,db.operation.name=SELECT,db.response.status_code=4097,db.system.name=cassandra,error.type=overloaded": 1,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestWhatIsRefused(t *testing.T) {
	for _, c := range []telemetry.Config{{}, {TracerProvider: sdktrace.NewTracerProvider(), MaxTables: -1}} {
		if _, err := telemetry.New(c); !errors.Is(err, telemetry.ErrConfig) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	spans, err := telemetry.New(telemetry.Config{TracerProvider: sdktrace.NewTracerProvider()})
	must(t, err)
	if err := spans.Watch(&cassandra.Session{}); !errors.Is(err, telemetry.ErrConfig) {
		t.Errorf("Watch without metrics: %v", err)
	}
	r := newRig(t, 0)
	if err := r.Watch(nil); !errors.Is(err, telemetry.ErrConfig) {
		t.Errorf("Watch of nil: %v", err)
	}
	var none *telemetry.Telemetry
	none.RequestEnded(t.Context(), &cassandra.Request{}, &cassandra.Answer{})
	if none.RequestStarted(t.Context(), &cassandra.Request{}) != nil || none.Close() != nil {
		t.Error("nil tells something")
	}
}

// TestRequestsOnRealNodes runs requests and looks at what was reported about them, and at what
// the nodes tell of themselves.
func TestRequestsOnRealNodes(t *testing.T) {
	hosts, keyspace := cassandratest.Keyspace(t)
	r := newRig(t, 0)
	op := resilience.OperationPolicy{Timeout: 20 * time.Second}
	s, err := cassandra.Connect(t.Context(), cassandra.Config{
		Hosts: hosts, Keyspace: keyspace, LocalDC: "dc1", Observers: []cassandra.Observer{r}, DefaultProfile: "read",
		Profiles: map[string]cassandra.Profile{
			"read":   {OperationPolicy: op, Consistency: cassandra.LocalQuorum},
			"append": {OperationPolicy: op, Consistency: cassandra.LocalQuorum, SerialConsistency: cassandra.LocalSerial},
		},
	})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	must(t, r.Watch(s))
	must(t, s.Query("CREATE TABLE people (id text PRIMARY KEY, name text)").Exec())
	must(t, s.Query("INSERT INTO people (id, name) VALUES (?, 'written secret')", "bound secret").Exec())
	_, err = s.NewBatch(cassandra.LoggedBatch).Profile("append").
		Query("INSERT INTO people (id, name) VALUES (?, ?) IF NOT EXISTS", "bound secret", "another secret").CAS()
	must(t, err)
	if err := s.Query("SELECT nothing FROM people").Exec(); !errors.Is(err, cassandra.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	var names []string
	for _, span := range r.spans.Ended() {
		names = append(names, span.Name())
		all := attributes(span) + span.Status().Description
		if strings.Contains(all, "secret") {
			t.Errorf("%s has a value:\n%s", span.Name(), all)
		}
		for _, want := range []string{"db.namespace=" + keyspace, "server.port=9042", "cassandra.consistency.level=local_quorum", "cassandra.coordinator.id="} {
			if !strings.Contains(all, want) {
				t.Errorf("%s has no %s:\n%s", span.Name(), want, all)
			}
		}
	}
	if want := "[CREATE INSERT people BATCH people SELECT people]"; fmt.Sprint(names) != want {
		t.Errorf("spans %v, want %s", names, want)
	}
	if got := r.metric(t, "backstay.cassandra.node.connections"); len(got) != len(hosts) {
		t.Errorf("connections %v", got)
	}

	inspector, err := s.Inspector()
	must(t, err)
	t.Cleanup(func() { must(t, inspector.Close()) })
	ctx, stop := context.WithCancel(t.Context())
	err = inspector.Watch(ctx, time.Hour, func(nodes []cassandra.NodeHealth, err error) {
		must(t, err)
		r.Report(nodes)
		stop()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Watch ended with %v", err)
	}
	disk, tasks := r.metric(t, "backstay.cassandra.disk.usage"), r.metric(t, "backstay.cassandra.thread_pool.tasks")
	for _, h := range hosts {
		for name, m := range map[string]map[string]float64{"disk": disk, "tasks": tasks, "hints": r.metric(t, "backstay.cassandra.hints")} {
			if !slices.ContainsFunc(slices.Collect(keys(m)), func(k string) bool { return strings.Contains(k, h+":9042") }) {
				t.Errorf("%s tells nothing of %s: %v", name, h, m)
			}
		}
	}
}

func keys(m map[string]float64) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
