package httpfault_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/httpfault"
)

// traces keeps the trace that each fault was reported in.
type traces struct{ seen []trace.SpanContext }

func (t *traces) Handle(ctx context.Context, _ chaos.Event) {
	t.seen = append(t.seen, trace.SpanContextFromContext(ctx))
}

// TestAFaultBelongsToTheTraceOfItsRequest, whether the trace is known from the header or from
// the context.
func TestAFaultBelongsToTheTraceOfItsRequest(t *testing.T) {
	const id = "0af7651916cd43dd8448eb211c80319c"
	listener := &traces{}
	injector, err := chaos.New(chaos.Plan{Rules: []chaos.Rule{{Name: "500", Where: chaos.Where{Dependency: "d"}, What: chaos.What{Kind: chaos.Status, Status: 500}}}},
		chaos.Config{Listeners: []chaos.Listener{listener}})
	if err != nil {
		t.Fatal(err)
	}
	injector.Start()
	defer injector.Stop()
	h := httpfault.Handler(http.NotFoundHandler(), httpfault.Config{Dependency: "d", Injector: injector})
	inner := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}})
	for _, tt := range []struct {
		name, header, want string
		ctx                context.Context
	}{
		{"header", "00-" + id + "-b7ad6b7169203331-01", id, t.Context()},
		{"context before header", "00-" + id + "-b7ad6b7169203331-01", inner.TraceID().String(), trace.ContextWithSpanContext(t.Context(), inner)},
		{"neither", "", trace.TraceID{}.String(), t.Context()},
		{"nonsense", "00-xyz", trace.TraceID{}.String(), t.Context()},
	} {
		r := httptest.NewRequestWithContext(tt.ctx, http.MethodGet, "/", nil)
		r.Header.Set("Traceparent", tt.header)
		listener.seen = nil
		h.ServeHTTP(httptest.NewRecorder(), r)
		if len(listener.seen) != 1 || listener.seen[0].TraceID().String() != tt.want {
			t.Errorf("%s: %v, want trace %s", tt.name, listener.seen, tt.want)
		}
	}
}
