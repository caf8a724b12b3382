package cqlproxy_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cqlproxy"
)

// bench is a proxy, and a plan to change.
type bench struct {
	t        *testing.T
	proxy    *cqlproxy.Proxy
	injector *chaos.Injector
	failed   failures
	reported recorder
}

// failures keeps the errors that the proxy reported.
type failures struct {
	mu  sync.Mutex
	all []string
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, err.Error())
}

func (f *failures) list() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.all)
}

// recorder keeps the faults that were injected, and in which traces.
type recorder struct {
	mu     sync.Mutex
	all    []chaos.Event
	traces []string
}

func (e *recorder) Handle(ctx context.Context, event chaos.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, event)
	e.traces = append(e.traces, trace.SpanContextFromContext(ctx).TraceID().String())
}

func (e *recorder) list() []chaos.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.all)
}

// start starts a proxy before the nodes.
func start(t *testing.T, cfg cqlproxy.Config, rules ...chaos.Rule) *bench {
	t.Helper()
	b := &bench{t: t}
	var err error
	if b.injector, err = chaos.New(chaos.Plan{Seed: 1, Rules: rules}, chaos.Config{Listeners: []chaos.Listener{&b.reported}}); err != nil {
		t.Fatal(err)
	}
	b.injector.Start()
	cfg.Dependency, cfg.Injector, cfg.OnError = "cassandra", b.injector, b.failed.add
	if b.proxy, err = cqlproxy.Start(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.proxy.Close(); err != nil {
			t.Error(err)
		}
		b.injector.Stop()
	})
	return b
}

// rules replaces the plan's rules.
func (b *bench) rules(rules ...chaos.Rule) {
	b.t.Helper()
	if err := b.injector.Update(chaos.Plan{Seed: 1, Rules: rules}); err != nil {
		b.t.Fatal(err)
	}
}
