package service_test

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/httpfault"
	faultmarks "github.com/backstay-go/backstay/chaos/telemetry"
	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/internal/jaegertest"
	"github.com/backstay-go/backstay/internal/observe"
	"github.com/backstay-go/backstay/licensesvc/service"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
)

// TestADegradedRequestIsOneTraceInJaeger sends a license request through the whole
// service while the catalog answers 500, and holds the tree that Jaeger gives back.
func TestADegradedRequestIsOneTraceInJaeger(t *testing.T) {
	jaeger := jaegertest.Start(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, dir := t.Context(), t.TempDir()
	marks, err := faultmarks.New(nil, nil)
	must(err)
	injector, err := chaos.New(chaos.Plan{Rules: []chaos.Rule{{
		Name: "catalog out of order", Where: chaos.Where{Dependency: upstream.Catalog}, What: chaos.What{Kind: chaos.Status, Status: 500},
	}}}, chaos.Config{Listeners: []chaos.Listener{marks}})
	must(err)
	defer injector.Stop()
	servers, err := server.Start(ctx, server.Config{Tracer: func(name string) trace.TracerProvider { return jaeger.TracerProvider(t, name) }})
	must(err)
	defer func() { must(servers.Shutdown(context.WithoutCancel(ctx))) }()
	store := service.SQLite{Path: filepath.Join(dir, "events.db")}
	in, err := service.Start(ctx, service.Config{
		Listen: "127.0.0.1:0", Data: dir, Store: store, Log: slog.New(slog.DiscardHandler),
		Membership: servers.URL("membership"), Catalog: servers.URL("catalog"), Keys: servers.URL("key-service"),
		Observed: &observe.Providers{Tracer: jaeger.TracerProvider(t, "licensesvc"), Meter: sdkmetric.NewMeterProvider(), Metrics: http.NotFoundHandler()},
		Transport: func(name string) http.RoundTripper {
			return httpfault.Transport(rest.NewBase(8), httpfault.Config{Dependency: name, Injector: injector})
		},
	})
	must(err)
	defer func() { must(in.Shutdown(context.WithoutCancel(ctx))) }()
	tracer := jaeger.TracerProvider(t, "device").Tracer("test")
	client := &http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	request := func(name, key string) *jaegertest.Trace {
		t.Helper()
		ctx, span := tracer.Start(ctx, name)
		req, err := http.NewRequestWithContext(ctx, "POST", in.URL()+"/v1/members/m-00001/licenses", strings.NewReader(`{"device":"tablet","title":"capstan-002"}`))
		must(err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", key)
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(req.Header))
		resp, err := client.Do(req)
		must(err)
		resp.Body.Close()
		span.End()
		if resp.StatusCode != http.StatusCreated {
			t.Fatalf("%s: status %d", name, resp.StatusCode)
		}
		return jaeger.Trace(t, span.SpanContext().TraceID(), name, "POST /v1/members/{member}/licenses", "membership/plan-to-issue", "catalog/title", "key-service/key", "event-store/append", "GET /v1/members/{member}")
	}
	request("healthy", "k1")
	injector.Start()
	tree := request("degraded", "k2")
	t.Logf("Jaeger shows\n%s", tree)

	root := tree.One(t, "degraded")
	served := tree.One(t, "POST /v1/members/{member}/licenses")
	if served.Parent != root || served.Kind != "server" {
		t.Errorf("the server span is a %s span below %v", served.Kind, served.Parent)
	}
	for _, name := range []string{"membership/plan-to-issue", "catalog/title", "key-service/key", "event-store/append"} {
		for _, call := range tree.All(name) {
			if call.Parent != served {
				t.Errorf("%s is not below the server span", name)
			}
		}
		if len(tree.All(name)) == 0 {
			t.Errorf("there is no span %s", name)
		}
	}
	catalog := tree.One(t, "catalog/title")
	catalog.Want(t, "backstay.source=stale", "backstay.attempts=2")
	catalog.Event(t, "backstay.fell_back").Want(t, "backstay.source=stale")
	if catalog.Tags["backstay.age_s"] == "" {
		t.Errorf("the stale value has no age: %v", catalog.Tags)
	}
	attempts := tree.All("catalog/title attempt")
	if len(attempts) != 2 || len(tree.All("catalog/title backoff")) != 1 {
		t.Fatalf("%d attempts, %d pauses", len(attempts), len(tree.All("catalog/title backoff")))
	}
	for _, a := range attempts {
		if a.Parent != catalog || a.Status != "error" {
			t.Fatalf("attempt %+v", a)
		}
		a.Event(t, faultmarks.EventName).Want(t, "chaos.rule=catalog out of order", "chaos.kind=status")
	}
	member := tree.One(t, "membership/plan-to-issue")
	member.Want(t, "backstay.source=live")
	if hop := tree.One(t, "GET /v1/members/{member}"); hop.Service != "membership" || hop.Kind != "server" {
		t.Errorf("the membership server's span is %s of %s", hop.Kind, hop.Service)
	}
}
