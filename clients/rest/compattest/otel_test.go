package compattest

import (
	"net/http"
	"testing"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/semconv/v1.37.0"
)

// watched is what otelhttp needs, and where its spans go.
type watched struct {
	spans   *tracetest.SpanRecorder
	options []otelhttp.Option
}

func watch(t *testing.T) *watched {
	t.Helper()
	w := &watched{spans: tracetest.NewSpanRecorder()}
	traces := trace.NewTracerProvider(trace.WithSpanProcessor(w.spans))
	meters := sdkmetric.NewMeterProvider()
	w.options = []otelhttp.Option{otelhttp.WithTracerProvider(traces), otelhttp.WithMeterProvider(meters), otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Pattern })}
	return w
}

// statuses are the spans' answers, in the order in which the spans ended.
func (w *watched) statuses(t *testing.T, n int) (all []int64) {
	t.Helper()
	wait(t, "the spans have ended", func() bool { return len(w.spans.Ended()) >= n })
	for _, s := range w.spans.Ended() {
		var status int64
		for _, a := range s.Attributes() {
			if a.Key == semconv.HTTPResponseStatusCodeKey {
				status = a.Value.AsInt64()
			}
		}
		all = append(all, status)
	}
	return all
}

func equal(t *testing.T, what string, have []int64, want ...int64) {
	t.Helper()
	if len(have) != len(want) {
		t.Errorf("%s: %v, want %v", what, have, want)
		return
	}
	for i := range have {
		if have[i] != want[i] {
			t.Errorf("%s: %v, want %v", what, have, want)
			return
		}
	}
}

// TestTransportAndOtelhttp: outside the guard there is a span a call, inside it one an
// attempt, all in one trace.
func TestTransportAndOtelhttp(t *testing.T) {
	onEach(t, func(t *testing.T, on protocols) {
		outside, inside, server := watch(t), watch(t), watch(t)
		var bodies []string
		near := caller(t)
		s := serve(t, on, otelhttp.NewHandler(thirdTime(http.StatusServiceUnavailable, hello, &bodies), "server", server.options...))
		guarded := transport(t, on, near)
		guarded.Base = otelhttp.NewTransport(guarded.Base, inside.options...)
		tr := otelhttp.NewTransport(guarded, outside.options...)
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: tr}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 200 {
			t.Error(resp.Status)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		near.want(t, 1, 3, 1, 2, 0, 0)
		equal(t, "outside", outside.statuses(t, 1), 200)
		equal(t, "inside", inside.statuses(t, 3), 503, 503, 200)
		equal(t, "server", server.statuses(t, 3), 503, 503, 200)
		id := outside.spans.Ended()[0].SpanContext()
		for _, span := range inside.spans.Ended() {
			if span.SpanContext().TraceID() != id.TraceID() || span.Parent().SpanID() != id.SpanID() {
				t.Error("an attempt is not a child of its call")
			}
		}
		for _, span := range server.spans.Ended() {
			if span.SpanContext().TraceID() != id.TraceID() {
				t.Error("the trace ends at the wire")
			}
		}
	})
}

// TestHandlerAndOtelhttp: outside the guard refusals have a span, inside it only what
// was begun.
func TestHandlerAndOtelhttp(t *testing.T) {
	onEach(t, func(t *testing.T, on protocols) {
		outside, inside := watch(t), watch(t)
		far := service(t, 20)
		h := otelhttp.NewHandler(handler(t, far, otelhttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			hello(w, r)
		}), "inside", inside.options...)), "outside", outside.options...)
		s := serve(t, on, h)
		if resp, body, err := get(t, on, s.URL); resp.StatusCode != 200 || body != "hello" || err != nil {
			t.Error(resp.Status, body, err)
		}
		far.want(t, 1, 1, 1, 0, 0, 0)
		if err := far.Close(); err != nil {
			t.Fatal(err)
		}
		if resp, _, _ := get(t, on, s.URL); resp.StatusCode != 503 || resp.Header.Get("Backstay-Refused") != "draining" {
			t.Error(resp.Status, resp.Header)
		}
		equal(t, "outside", outside.statuses(t, 2), 200, 503)
		equal(t, "inside", inside.statuses(t, 1), 200)
		if in, out := inside.spans.Ended()[0], outside.spans.Ended()[0]; in.SpanContext().TraceID() != out.SpanContext().TraceID() {
			t.Error("two traces")
		}
		far.want(t, 2, 1, 1, 0, 0, 1)
	})
}

// TestOtelhttpFindsTheRoute that was found inside the guard.
func TestOtelhttpFindsTheRoute(t *testing.T) {
	onEach(t, func(t *testing.T, on protocols) {
		outside := watch(t)
		mux := http.NewServeMux()
		mux.Handle("GET /v1/{id}", hello)
		s := serve(t, on, otelhttp.NewHandler(handler(t, service(t, 20), mux), "outside", outside.options...))
		if resp, _, err := get(t, on, s.URL+"/v1/7"); resp.StatusCode != 200 || err != nil {
			t.Error(resp.Status, err)
		}
		equal(t, "outside", outside.statuses(t, 1), 200)
		if name := outside.spans.Ended()[0].Name(); name != "GET /v1/{id}" {
			t.Errorf("the span is named %q, not by its route", name)
		}
	})
}

// TestWebSocketAndOtelhttp: connections can be taken over through all layers.
func TestWebSocketAndOtelhttp(t *testing.T) {
	outside, inside := watch(t), watch(t)
	p := proxy(t, http1, otelhttp.NewHandler(shout(t), "backend", inside.options...), func(h http.Handler) http.Handler {
		return otelhttp.NewHandler(h, "proxy", outside.options...)
	})
	speak(t, p.url, nil)
	p.near.want(t, 1, 1, 1, 0, 0, 0)
	p.far.want(t, 1, 1, 0, 0, 0, 0)
	if len(outside.statuses(t, 1)) != 1 || len(inside.statuses(t, 1)) != 1 {
		t.Error("there is not one span on each side")
	}
}
