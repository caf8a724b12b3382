package telemetry

import (
	"sync"

	"github.com/backstay-go/backstay/internal/oteltext"
	"github.com/backstay-go/backstay/resilience"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// dependency holds the prepared attributes of the metrics that belong to a dependency as a
// whole.
type dependency struct {
	name    attribute.KeyValue
	all     metric.MeasurementOption
	updates []metric.AddOption
	states  [states][]metric.AddOption
}

func newDependency(name string) *dependency {
	d := &dependency{name: DependencyKey.String(oteltext.Valid(name))}
	d.all = d.with()
	d.updates = []metric.AddOption{d.all}
	for i := range d.states {
		d.states[i] = []metric.AddOption{d.with(BreakerKey.String(resilience.BreakerState(i).String()))}
	}
	return d
}

// with returns the attributes of a measurement.
func (d *dependency) with(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(more, d.name)...))
}

// dependencyTable distinguishes at most max dependencies; all further ones are one. It is
// safe for concurrent use. It has a lock, because it is used for rare events only.
type dependencyTable struct {
	max int

	mu    sync.Mutex
	known map[string]*dependency
	rest  *dependency
}

func (t *dependencyTable) of(name string) *dependency {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := t.known[name]; d != nil {
		return d
	}
	if len(t.known) >= t.max {
		if t.rest == nil {
			t.rest = newDependency(other)
		}
		return t.rest
	}
	if t.known == nil {
		t.known = map[string]*dependency{}
	}
	d := newDependency(name)
	t.known[name] = d
	return d
}
