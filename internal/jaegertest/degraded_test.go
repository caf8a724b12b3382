package jaegertest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/jaegertest"
	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/telemetry"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
)

// TestADegradedCallAsJaegerShowsIt sends two requests over a guard to a real server
// that fails, and holds what Jaeger gives back: a call that is retried, opens the
// breaker and is served stale data, and one that is refused.
func TestADegradedCallAsJaegerShowsIt(t *testing.T) {
	jaeger := jaegertest.Start(t)
	tracers := jaeger.TracerProvider(t, "licenses")
	var down atomic.Bool
	upstream := httptest.NewServer(otelhttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			http.Error(w, "out of order", http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, "six downloads")
	}), "GET /plan", otelhttp.WithTracerProvider(jaeger.TracerProvider(t, "catalog")), otelhttp.WithPropagators(propagation.TraceContext{})))
	defer upstream.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: otelhttp.NewTransport(transport, otelhttp.WithTracerProvider(tracers), otelhttp.WithPropagators(propagation.TraceContext{}))}
	plan := func(ctx context.Context) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, upstream.URL, nil)
		if err != nil {
			return "", err
		}
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("the catalog answered %s", resp.Status)
		}
		return string(body), err
	}

	tel, err := telemetry.New(telemetry.Config{TracerProvider: tracers})
	must(t, err)
	guard, err := resilience.New(resilience.Policy{
		Name:     "catalog",
		Bulkhead: resilience.BulkheadPolicy{Limit: 4},
		Breaker:  &resilience.BreakerPolicy{MinimumCalls: 3, FailureRate: 0.6, OpenFor: time.Hour},
		Default:  resilience.OperationPolicy{Timeout: time.Minute},
		Operations: map[string]resilience.OperationPolicy{"plan": {
			Timeout: time.Minute, AttemptTimeout: 20 * time.Second, Idempotent: true,
			Retry: &resilience.RetryPolicy{MaxAttempts: 2, BaseDelay: 10 * time.Millisecond},
			Stale: &resilience.StalePolicy{MaxAge: time.Hour},
		}},
	}, resilience.WithListener(tel))
	must(t, err)
	defer func() { must(t, guard.Close()) }()
	last := resilience.NewLastGood[string](1)
	request := func(name string) (context.Context, func(), func() *jaegertest.Trace) {
		ctx, span := tracers.Tracer("test").Start(t.Context(), name)
		return ctx, func() { span.End() }, func() *jaegertest.Trace { return jaeger.Trace(t, span.SpanContext().TraceID(), name) }
	}

	ctx, end, _ := request("before")
	res, err := resilience.Do(ctx, guard.Operation("plan"), plan, last.For("member"))
	end()
	if err != nil || res.Value != "six downloads" || res.Source != resilience.Live {
		t.Fatal(res, err)
	}

	down.Store(true)
	ctx, end, degraded := request("degraded")
	res, err = resilience.Do(ctx, guard.Operation("plan"), plan, last.For("member"))
	end()
	if err != nil || res.Value != "six downloads" || res.Source != resilience.Stale {
		t.Fatal(res, err)
	}
	ctx, end, refused := request("refused")
	if _, err := resilience.Do(ctx, guard.Operation("plan"), plan); !errors.Is(err, resilience.ErrOpen) {
		t.Fatal(err)
	}
	end()

	tree := degraded()
	const want = `degraded
  catalog/plan
    * backstay.fell_back
    catalog/plan attempt (error)
      HTTP GET [client] (error)
        GET [server] (error)
    catalog/plan backoff
    catalog/plan attempt (error)
      * backstay.breaker.changed
      HTTP GET [client] (error)
        GET [server] (error)
`
	if got := tree.String(); got != want {
		t.Fatalf("Jaeger shows\n%swant\n%s", got, want)
	}
	call := tree.One(t, "catalog/plan")
	call.Want(t, "backstay.dependency=catalog", "backstay.operation=plan", "backstay.source=stale", "backstay.attempts=2", "error.type=")
	call.Event(t, "backstay.fell_back").Want(t, "backstay.source=stale", "backstay.cause=*errors.errorString")
	attempts := tree.All("catalog/plan attempt")
	attempts[0].Want(t, "backstay.attempt=1", "backstay.attempt.type=original", "backstay.attempt.processed=unknown")
	attempts[1].Want(t, "backstay.attempt=2", "backstay.attempt.type=retry", "backstay.attempt.outcome=failure")
	if got := attempts[1].Message; got != "the catalog answered 500 Internal Server Error" {
		t.Errorf("the attempt's status says %q", got)
	}
	attempts[1].Event(t, "backstay.breaker.changed").Want(t, "backstay.breaker.from=closed", "backstay.breaker.state=open")

	after := refused().One(t, "catalog/plan")
	after.Want(t, "error.type=refused.breaker", "backstay.attempts=0")
	after.Event(t, "backstay.refused").Want(t, "backstay.refused.by=breaker", "backstay.breaker.state=open", "backstay.breaker.opened_by.trace_id="+tree.ID)
	if opener := (jaegertest.Link{TraceID: tree.ID, SpanID: attempts[1].ID}); !slices.Equal(after.Links, []jaegertest.Link{opener}) {
		t.Errorf("links %v, want one to %v", after.Links, opener)
	}
	if got := jaeger.Services(t); !slices.Equal(got, []string{"catalog", "licenses"}) {
		t.Errorf("services %v", got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
