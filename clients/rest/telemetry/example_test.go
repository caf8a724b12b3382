package telemetry_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/clients/rest/telemetry"
	"github.com/backstay-go/backstay/resilience"
	"go.opentelemetry.io/otel/sdk/trace"
)

// Each attempt carries the trace of its caller.
func ExampleNew() {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println("traceparent:", r.Header.Get("Traceparent") != "")
	}))
	defer server.Close()
	tel, err := telemetry.New(telemetry.Config{}) // with a MeterProvider for metrics
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := resilience.New(resilience.Policy{
		Name:     "catalog",
		Bulkhead: resilience.BulkheadPolicy{Limit: 20},
		Default:  resilience.OperationPolicy{Timeout: time.Minute},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()
	base := rest.NewBase(20)
	defer base.CloseIdleConnections()
	client := http.Client{Transport: &rest.Transport{Guard: guard, Base: base, Observer: tel}}

	ctx, span := trace.NewTracerProvider().Tracer("example").Start(context.Background(), "play")
	defer span.End()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.StatusCode, resp.Body.Close())
	// Output:
	// traceparent: true
	// 200 <nil>
}
