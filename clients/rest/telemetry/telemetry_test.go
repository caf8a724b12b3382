package telemetry_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/clients/rest/telemetry"
	"github.com/backstay-go/backstay/resilience"
	guards "github.com/backstay-go/backstay/resilience/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// text is a set of attributes as lines, without the port.
func text(attributes []attribute.KeyValue) string {
	var lines []string
	for _, a := range attributes {
		if a.Key != "server.port" && !strings.HasPrefix(string(a.Key), "backstay.") {
			lines = append(lines, string(a.Key)+"="+a.Value.String())
		}
	}
	return strings.Join(lines, " ")
}

// TestSpansAndMetrics: attempts of a transport and of a typed client are described by
// the pattern that they matched, and by no path.
func TestSpansAndMetrics(t *testing.T) {
	fails := true
	parents := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parents[r.Header.Get("traceparent")] = true
		if fails = !fails; !fails {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, `{}`)
	}))
	defer s.Close()
	spans, reader := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
	tel, err := telemetry.New(telemetry.Config{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
	if err != nil {
		t.Fatal(err)
	}
	around, err := guards.New(guards.Config{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))})
	if err != nil {
		t.Fatal(err)
	}
	g, err := resilience.New(resilience.Policy{Name: "members", Bulkhead: resilience.BulkheadPolicy{Limit: 8},
		Default: resilience.OperationPolicy{Timeout: 20 * time.Second, Idempotent: true, Retry: &resilience.RetryPolicy{BaseDelay: time.Millisecond}},
	}, resilience.WithListener(around))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	tr := &rest.Transport{Guard: g, Observer: tel, Routes: map[string]string{"GET /v1/members/{id}": resilience.DefaultOperation}}
	defer tr.CloseIdleConnections()
	resp, err := tr.Client().Get(s.URL + "/v1/members/secret?q=secret")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	c, err := rest.NewClient(rest.ClientConfig{BaseURL: s.URL, Observer: tel, Templates: []string{"/v1/titles/{title}/{$}"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	if _, err := rest.Send[struct{}](t.Context(), c, g, "PUT", "/v1/titles/secret/", 1); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, one := range spans.Ended() {
		if line := text(one.Attributes()); strings.Contains(line, "http.") {
			got = append(got, line)
		}
	}
	want := []string{
		"http.request.method=GET server.address=127.0.0.1 url.scheme=http url.template=/v1/members/{id} network.protocol.version=1.1 http.response.status_code=502",
		"http.request.method=GET server.address=127.0.0.1 url.scheme=http url.template=/v1/members/{id} network.protocol.version=1.1 http.response.status_code=200 http.request.resend_count=1",
		"http.request.method=PUT server.address=127.0.0.1 url.scheme=http url.template=/v1/titles/{title}/ network.protocol.version=1.1 http.response.status_code=502",
		"http.request.method=PUT server.address=127.0.0.1 url.scheme=http url.template=/v1/titles/{title}/ network.protocol.version=1.1 http.response.status_code=200 http.request.resend_count=1",
	}
	if len(parents) != 4 || parents[""] {
		t.Errorf("the servers saw %d spans of 4 attempts: %v", len(parents), parents)
	}
	if len(got) != len(want) {
		t.Fatalf("%d spans are described:\n%s", len(got), strings.Join(got, "\n"))
	}
	for i := range want {
		for _, a := range strings.Fields(want[i]) {
			if !strings.Contains(got[i], a) {
				t.Errorf("span %d has no %s: %s", i, a, got[i])
			}
		}
		if strings.Contains(got[i], "secret") {
			t.Errorf("span %d tells a path: %s", i, got[i])
		}
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	points := all.ScopeMetrics[0].Metrics[0].Data.(metricdata.Histogram[float64]).DataPoints
	if name := all.ScopeMetrics[0].Metrics[0].Name; name != "http.client.request.duration" || len(points) != 4 {
		t.Errorf("%s has %d series, want 4", name, len(points))
	}
	failures := 0
	for _, p := range points {
		if kind, ok := p.Attributes.Value("error.type"); ok && kind.AsString() == "502" {
			failures++
		}
	}
	if failures != 2 {
		t.Errorf("%d series are of failures, want 2", failures)
	}
}

// keeper keeps the last exchange.
type keeper struct {
	*telemetry.Telemetry
	got *rest.Exchange
}

func (k *keeper) OnExchange(ctx context.Context, e rest.Exchange) {
	*k.got = e
	k.Telemetry.OnExchange(ctx, e)
}

// TestErrorsHaveAKind: an attempt without an answer says what kind of error it was.
func TestErrorsHaveAKind(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer slow.Close()
	for url, want := range map[string]string{closed.URL: "dial", slow.URL: "timeout"} {
		var got rest.Exchange
		g, err := resilience.New(resilience.Policy{Name: "x", Bulkhead: resilience.BulkheadPolicy{Limit: 1}, Default: resilience.OperationPolicy{Timeout: 200 * time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		reader := sdkmetric.NewManualReader()
		tel, err := telemetry.New(telemetry.Config{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
		if err != nil {
			t.Fatal(err)
		}
		tr := &rest.Transport{Guard: g, Observer: &keeper{tel, &got}}
		if resp, err := tr.Client().Get(url); err == nil {
			resp.Body.Close()
			t.Errorf("%s answered", url)
		}
		var all metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		points := all.ScopeMetrics[0].Metrics[0].Data.(metricdata.Histogram[float64]).DataPoints
		if kind, _ := points[0].Attributes.Value("error.type"); kind.AsString() != want || got.Status != 0 || got.Err == nil {
			t.Errorf("error.type is %q, want %s; %+v", kind.AsString(), want, got)
		}
		if port, _ := points[0].Attributes.Value("server.port"); !strings.HasSuffix(url, ":"+strconv.FormatInt(port.AsInt64(), 10)) {
			t.Errorf("server.port is %d for %s", port.AsInt64(), url)
		}
		tr.CloseIdleConnections()
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAKnownSeriesIsNotDescribedAgain: only the first exchange of a series makes its attributes.
func TestAKnownSeriesIsNotDescribedAgain(t *testing.T) {
	tel, err := telemetry.New(telemetry.Config{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))})
	if err != nil {
		t.Fatal(err)
	}
	e := rest.Exchange{Method: "GET", Template: "/v1/members/{id}", Scheme: "http", Host: "members.test", Protocol: "HTTP/1.1", Status: 200, Took: time.Millisecond}
	if n := testing.AllocsPerRun(100, func() { tel.OnExchange(t.Context(), e) }); n > 4 {
		t.Errorf("%v allocations", n)
	}
}
