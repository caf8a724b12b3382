package tracetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	sdktest "go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/resiliencetest/tracetest"
	"github.com/backstay-go/backstay/resilience/telemetry"
)

// degraded makes a request whose catalog fails twice, so that a static plan stands in. It returns
// what was recorded.
func degraded() ([]sdktrace.ReadOnlySpan, error) {
	spans := sdktest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	listener, err := telemetry.New(telemetry.Config{TracerProvider: provider})
	if err != nil {
		return nil, err
	}
	guard, err := resilience.New(resilience.Policy{Name: "catalog", Bulkhead: resilience.BulkheadPolicy{Limit: 4},
		Default: resilience.OperationPolicy{Timeout: time.Minute},
		Operations: map[string]resilience.OperationPolicy{
			"plan": {Timeout: time.Minute, Idempotent: true, Retry: &resilience.RetryPolicy{MaxAttempts: 2, BaseDelay: time.Millisecond}}}},
		resilience.WithListener(listener))
	if err != nil {
		return nil, err
	}
	ctx, request := provider.Tracer("example").Start(context.Background(), "GET /plan")
	_, err = resilience.Do(ctx, guard.Operation("plan"), func(context.Context) (string, error) { return "", errors.New("down") }, resilience.FallbackValue("basic"))
	request.End()
	return spans.Ended(), errors.Join(err, guard.Close())
}

func Example() {
	// In a test, t is the test's.
	show := func(t testing.TB, spans []sdktrace.ReadOnlySpan) {
		trace := tracetest.Of(t, spans, "GET /plan")
		call := trace.One(t, "catalog/plan")
		call.Want(t, "backstay.source=static", "backstay.attempts=2")
		call.WantOrder(t, "catalog/plan attempt", "catalog/plan attempt", "backstay.fell_back")
		fmt.Print(trace)
	}
	spans, err := degraded()
	if err != nil {
		fmt.Println(err)
		return
	}
	show(&testing.T{}, spans)
	// Output:
	// GET /plan
	//   catalog/plan
	//     * backstay.fell_back
	//     catalog/plan attempt (error)
	//     catalog/plan backoff
	//     catalog/plan attempt (error)
}
