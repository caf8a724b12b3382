package service

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// State is the state of a component.
type State string

// The states.
const (
	// StateOK: the component works.
	StateOK State = "ok"
	// StateDegraded: the component works, but somebody should act.
	StateDegraded State = "degraded"
	// StateFailed: the component does not work.
	StateFailed State = "failed"
)

// level orders the states, for the metric.
func (s State) level() float64 {
	return float64(max(0, slices.Index([]State{StateOK, StateDegraded, StateFailed}, s)))
}

// health is the state of a component and the reason for it.
type health struct {
	state State
	why   string
}

// ok is the health of a component that works.
func ok() health { return health{state: StateOK} }

// component is a part of the service. All fields but the name are optional.
type component struct {
	name string
	// required says that the service can't do its work while the component has failed.
	required bool
	// health returns the current state. It must be quick.
	health func() health
	// run works in the background until its context ends.
	run func(context.Context) error
	// close releases the component. It is called after run has returned.
	close func() error
	// meters are the component's metrics.
	meters []meter
}

// meter is a metric that is read when metrics are collected.
type meter struct {
	name, unit, help string
	// total says that the value only grows.
	total bool
	read  func(observe func(value float64, attributes ...attribute.KeyValue))
}

// Component is the state of a component as /readyz shows it.
type Component struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Required says that the service is not ready while the component has failed.
	Required bool `json:"required"`
	// Since is when the state began.
	Since time.Time `json:"since"`
	// Why says what is wrong and what to do. Of the rules it also says which version decides.
	Why string `json:"why,omitempty"`
}

// watchEvery is the interval at which the states are compared with those before.
const watchEvery = time.Second

// components is the registry of a service's parts: it starts and closes them, knows their
// states, and collects their metrics. It is safe for concurrent use, except for add, which is
// called before start.
type components struct {
	log  *slog.Logger
	list []component

	running sync.WaitGroup
	stop    context.CancelFunc

	mu   sync.Mutex
	last map[string]Component
}

func newComponents(log *slog.Logger) *components {
	return &components{log: log, last: map[string]Component{}, stop: func() {}}
}

// add adds a component. Components are closed in the reverse order.
func (c *components) add(part component) { c.list = append(c.list, part) }

// start runs the background work of all components, and watches their states.
func (c *components) start(ctx context.Context) {
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, part := range c.list {
		if part.run != nil {
			c.running.Go(func() {
				if err := part.run(ctx); err != nil && !errors.Is(err, context.Canceled) {
					c.log.Error("ended", "component", part.name, "error", err)
				}
			})
		}
	}
	c.running.Go(func() { c.watch(ctx) })
}

// watch logs each change of a state once.
func (c *components) watch(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		c.states(time.Now())
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// states returns the states of all components that have one, in the order in which they were
// added.
func (c *components) states(now time.Time) []Component {
	var all []Component
	for _, part := range c.list {
		if part.health != nil {
			h := part.health()
			all = append(all, Component{Name: part.name, State: h.state, Required: part.required, Since: now.UTC(), Why: h.why})
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range all {
		before, known := c.last[s.Name]
		switch {
		case known && before.State == s.State:
			all[i].Since = before.Since
		case s.State != StateOK:
			c.log.Warn("a component changed", "component", s.Name, "state", s.State, "why", s.Why)
		case known:
			c.log.Info("a component works again", "component", s.Name, "was", before.State, "since", before.Since)
		}
		c.last[s.Name] = all[i]
	}
	return all
}

// close ends the background work and closes the components.
func (c *components) close() error {
	c.stop()
	c.running.Wait()
	var errs []error
	for _, part := range slices.Backward(c.list) {
		if part.close != nil {
			errs = append(errs, part.close())
		}
	}
	c.list = nil
	return errors.Join(errs...)
}

// meter registers the metrics of all components, and one for their states. The component that
// it adds ends that.
func (c *components) meter(m metric.Meter) error {
	c.add(component{name: "metrics", meters: []meter{{
		name: "licensesvc.component.state", help: "State of a component: 0 ok, 1 degraded, 2 failed.",
		read: func(observe func(float64, ...attribute.KeyValue)) {
			for _, s := range c.states(time.Now()) {
				observe(s.State.level(), attribute.String("component", s.Name))
			}
		}}}})
	type source struct {
		instrument metric.Float64Observable
		read       func(func(float64, ...attribute.KeyValue))
	}
	var sources []source
	var instruments []metric.Observable
	for _, part := range c.list {
		for _, one := range part.meters {
			instrument, err := one.instrument(m)
			if err != nil {
				return err
			}
			sources = append(sources, source{instrument, one.read})
			instruments = append(instruments, instrument)
		}
	}
	registration, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, s := range sources {
			s.read(func(value float64, attributes ...attribute.KeyValue) {
				o.ObserveFloat64(s.instrument, value, metric.WithAttributes(attributes...))
			})
		}
		return nil
	}, instruments...)
	if err != nil {
		return err
	}
	c.list[len(c.list)-1].close = registration.Unregister
	return nil
}

// instrument makes the instrument of a meter.
func (m meter) instrument(from metric.Meter) (metric.Float64Observable, error) {
	if m.total {
		return from.Float64ObservableCounter(m.name, metric.WithUnit(m.unit), metric.WithDescription(m.help))
	}
	return from.Float64ObservableGauge(m.name, metric.WithUnit(m.unit), metric.WithDescription(m.help))
}
