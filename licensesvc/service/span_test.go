package service_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	sdktest "go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/backstay-go/backstay/internal/observe"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/service"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
	"github.com/backstay-go/backstay/resilience/resiliencetest/tracetest"
)

// away is a store's file that fails while it is away.
type away struct {
	eventstore.LoadAppender
	is *atomic.Bool
}

func (a away) Load(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	if a.is.Load() {
		return eventstore.Page{}, fmt.Errorf("%w: it is away", eventstore.ErrUnavailable)
	}
	return a.LoadAppender.Load(ctx, q)
}

func (a away) Append(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	if a.is.Load() {
		return eventstore.Appended{Outcome: eventstore.Rejected}, fmt.Errorf("%w: it is away", eventstore.ErrUnavailable)
	}
	return a.LoadAppender.Append(ctx, c)
}

// TestSpansSayWhatBecameOfARequest: each root span has the route, the outcome, the reason and
// what was decided on; a promise and its confirmation lead to each other.
func TestSpansSayWhatBecameOfARequest(t *testing.T) {
	spans := sdktest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	servers, err := server.Start(t.Context(), server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := servers.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	var gone atomic.Bool
	in := start(t, func(c *service.Config) {
		c.Membership, c.Catalog, c.Keys = servers.URL("membership"), servers.URL("catalog"), servers.URL("key-service")
		c.Observed = &observe.Providers{Tracer: provider, Meter: sdkmetric.NewMeterProvider(), Metrics: http.NotFoundHandler()}
		c.Store = service.SQLite{Path: filepath.Join(filepath.Dir(c.Data), "events.db"), Between: func(s eventstore.LoadAppender) eventstore.LoadAppender { return away{s, &gone} }}
	})
	// ask sends a request and returns the tree of its spans.
	ask := func(method, path, body string, want int) *tracetest.Span {
		t.Helper()
		before := len(spans.Ended())
		req, err := http.NewRequestWithContext(t.Context(), method, in.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", fmt.Sprint("k-", before))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != want {
			t.Fatalf("%s %s: %d, want %d, %v\n%s", method, path, resp.StatusCode, want, err, text)
		}
		for deadline := time.Now().Add(20 * time.Second); ; {
			for _, s := range spans.Ended()[before:] {
				if strings.HasPrefix(s.Name(), method+" /v1") {
					return tracetest.Of(t, spans.Ended()[before:], s.Name()).Roots[0]
				}
			}
			if time.Now().After(deadline) {
				t.Fatal("the request's span did not end")
			}
			runtime.Gosched()
		}
	}
	const licenses, tablet = "/v1/members/m-00001/licenses", `{"device":"tablet","title":"capstan-002"}`
	granted := ask("POST", licenses, tablet, http.StatusCreated)
	granted.Want(t, "http.route=/v1/members/{member}/licenses", "licensesvc.outcome=done", "licensesvc.reason=", "error.type=")
	if granted.Tags["licensesvc.license"] == "" || !strings.Contains(granted.Tags["licensesvc.decided_on"], "catalog live") {
		t.Errorf("%v", granted.Tags)
	}
	stored := false
	for _, c := range granted.Children {
		for _, attempt := range c.Children {
			if c.Name == "event-store/append" && attempt.Tags["eventstore.outcome"] == "applied" && attempt.Tags["eventstore.version"] != "" && attempt.Tags["eventstore.events"] != "0" {
				stored = true
			}
		}
	}
	if !stored {
		t.Errorf("no append says what became of it:\n%s", granted)
	}
	ask("GET", licenses+"/nothing", "", http.StatusNotFound).Want(t, "http.route=/v1/members/{member}/licenses/{license}", "licensesvc.outcome=not_found", "error.type=")
	gone.Store(true)
	promised := ask("POST", licenses, `{"device":"phone","title":"capstan-003"}`, http.StatusAccepted)
	promised.Want(t, "licensesvc.outcome=promised")
	commit := promised.Tags["licensesvc.commit"]
	if commit == "" {
		t.Errorf("the promise has no commit: %v", promised.Tags)
	}
	gone.Store(false)
	for deadline := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		for _, tr := range tracetest.Traces(spans.Ended()) {
			for _, s := range tr.All("outbox/carry-over") {
				if s.Tags["licensesvc.commit"] == commit && s.Tags["licensesvc.outcome"] == "stored" {
					if len(s.Links) != 1 || s.Links[0].SpanID != promised.ID || s.Tags["licensesvc.request_trace"] != s.Links[0].TraceID {
						t.Errorf("the confirmation links %v, not the request %s", s.Links, promised.ID)
					}
					return
				}
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the promise was not confirmed")
		}
	}
}
