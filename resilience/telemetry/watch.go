package telemetry

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/backstay-go/backstay/resilience"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Watch adds a guard's snapshot to the gauges: state and window of its breaker,
// permits, waiting calls, limit, budget. It costs nothing between two collections.
// Two guards of one name can't be told apart in metrics: the second is refused.
// Without a meter provider Watch does nothing.
func (t *Telemetry) Watch(g *resilience.Guard) error {
	if t == nil || t.meters == nil {
		return nil
	}
	if g.Name() == "" {
		return fmt.Errorf("%w: Watch of a nil guard", ErrConfig)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.watched[g.Name()]; known != nil && known != g {
		return fmt.Errorf("%w: a guard %q is watched already; give each guard a name of its own, or Unwatch the old one", ErrConfig, g.Name())
	}
	t.watched[g.Name()] = g
	return nil
}

// Unwatch takes a guard out of the gauges.
func (t *Telemetry) Unwatch(g *resilience.Guard) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watched[g.Name()] == g {
		delete(t.watched, g.Name())
	}
}

// observe is called by the SDK for each collection.
func (t *Telemetry) observe(_ context.Context, o metric.Observer) error {
	t.mu.Lock()
	guards := slices.Collect(maps.Values(t.watched))
	t.mu.Unlock()
	for _, g := range guards {
		t.meters.observe(o, g.Snapshot())
	}
	return nil
}

func (m *meters) observe(o metric.Observer, s resilience.Snapshot) {
	dependency := DependencyKey.String(s.Dependency)
	all := metric.WithAttributes(dependency)
	for state := range resilience.BreakerState(states) {
		var in int64
		if s.Breaker == state {
			in = 1
		}
		o.ObserveInt64(m.state, in, metric.WithAttributes(dependency, BreakerKey.String(state.String())))
	}
	for _, w := range []struct {
		kind string
		n    int
	}{{"all", s.Calls}, {"failed", s.Failures}, {"slow", s.Slow}} {
		o.ObserveInt64(m.window, int64(w.n), metric.WithAttributes(dependency, attribute.String("backstay.breaker.window.kind", w.kind)))
	}
	o.ObserveInt64(m.inFlight, int64(s.InFlight), all)
	o.ObserveInt64(m.waiting, int64(s.Waiting), all)
	o.ObserveInt64(m.limit, int64(s.Limit), all)
	o.ObserveFloat64(m.budget, s.Budget, all)
	o.ObserveFloat64(m.amplification, s.Amplification, all)
	for _, p := range []struct {
		of string
		n  int64
	}{{"listener", s.ListenerPanics}, {"call", s.LostPanics}} {
		o.ObserveInt64(m.panics, p.n, metric.WithAttributes(dependency, attribute.String("backstay.panic.of", p.of)))
	}
}
