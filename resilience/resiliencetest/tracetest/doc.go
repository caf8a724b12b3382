// Package tracetest is for tests of what a trace shows: that the fallback came after two
// attempts, that a refusal names the breaker, that a call is below the request that made it.
//
// It makes a tree of the spans that a test recorded with the SDK's own span recorder
// (go.opentelemetry.io/otel/sdk/trace/tracetest):
//
//	spans := sdktest.NewSpanRecorder()
//	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
//	...
//	call := tracetest.Of(t, spans.Ended(), "GET /plan").One(t, "catalog/plan")
//	call.Want(t, "backstay.source=stale", "backstay.attempts=2")
//	call.WantOrder(t, "catalog/plan attempt", "catalog/plan attempt", "backstay.fell_back")
//
// It imports the standard library and OpenTelemetry's SDK, and is imported by tests only. Its
// values are safe for concurrent reading, and need not be closed.
package tracetest
