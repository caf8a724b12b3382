package telemetry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/backstay-go/backstay/resilience"
	"go.opentelemetry.io/otel/metric"
)

// Watch adds a guard to the gauges: state and window of its breaker, permits, waiting calls,
// limit, shares, throttle, budget. It costs nothing between two collections. Two guards with the same name
// can't be distinguished in metrics, so the second is refused. Without a meter provider
// Watch does nothing.
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
		return fmt.Errorf("%w: a guard %q is watched already; give each guard its own name, or Unwatch the old one", ErrConfig, g.Name())
	}
	t.watched[g.Name()] = g
	return nil
}

// Unwatch removes a guard from the gauges.
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
	guards := slices.SortedFunc(maps.Values(t.watched), func(a, b *resilience.Guard) int { return strings.Compare(a.Name(), b.Name()) })
	t.mu.Unlock()
	seen := map[*dependency]*gauges{}
	for _, g := range guards {
		d := t.dependencies.of(g.Name())
		if seen[d] == nil {
			seen[d] = &gauges{}
		}
		seen[d].add(g.Snapshot())
	}
	for d, g := range seen {
		t.meters.observe(o, d, g)
	}
	return nil
}

// gauges holds the values of one dependency, or the sums of all beyond the limit.
type gauges struct {
	resilience.Snapshot
	states [states]int64
}

func (g *gauges) add(s resilience.Snapshot) {
	g.states[min(int(s.Breaker), states-1)]++
	g.Calls += s.Calls
	g.Failures += s.Failures
	g.Slow += s.Slow
	g.InFlight += s.InFlight
	g.Waiting += s.Waiting
	g.Limit += s.Limit
	g.ShareKeys += s.ShareKeys
	g.LargestShare = max(g.LargestShare, s.LargestShare)
	g.Throttled = max(g.Throttled, s.Throttled)
	g.Budget += s.Budget
	g.Amplification = max(g.Amplification, s.Amplification)
	g.ListenerPanics += s.ListenerPanics
	g.LostPanics += s.LostPanics
}

func (m *meters) observe(o metric.Observer, d *dependency, s *gauges) {
	for state, n := range s.states {
		o.ObserveInt64(m.state, n, d.with(BreakerKey.String(resilience.BreakerState(state).String())))
	}
	for _, w := range []struct {
		kind string
		n    int
	}{{"all", s.Calls}, {"failed", s.Failures}, {"slow", s.Slow}} {
		o.ObserveInt64(m.window, int64(w.n), d.with(WindowKey.String(w.kind)))
	}
	o.ObserveInt64(m.inFlight, int64(s.InFlight), d.all)
	o.ObserveInt64(m.waiting, int64(s.Waiting), d.all)
	o.ObserveInt64(m.limit, int64(s.Limit), d.all)
	o.ObserveInt64(m.shareKeys, int64(s.ShareKeys), d.all)
	o.ObserveInt64(m.shareLargest, int64(s.LargestShare), d.all)
	o.ObserveFloat64(m.throttled, s.Throttled, d.all)
	o.ObserveFloat64(m.budget, s.Budget, d.all)
	o.ObserveFloat64(m.amplification, s.Amplification, d.all)
	for _, p := range []struct {
		of string
		n  int64
	}{{"listener", s.ListenerPanics}, {"call", s.LostPanics}} {
		o.ObserveInt64(m.panics, p.n, d.with(PanicKey.String(p.of)))
	}
}
