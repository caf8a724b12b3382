package telemetry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/oteltext"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// gauges are what is observed when metrics are read. Safe for concurrent use.
type gauges struct {
	inFlight, orphans, available, connections, suspect metric.Int64ObservableGauge
	replaced                                           metric.Int64ObservableCounter
	latency, queueDelay                                metric.Float64ObservableGauge

	disk, partition, tasks, hints metric.Int64ObservableGauge
	guardrail                     metric.Float64ObservableGauge

	registration metric.Registration

	mu       sync.Mutex
	sessions []*cassandra.Session
	health   []cassandra.NodeHealth
	closed   bool
}

func newGauges(m metric.Meter) (*gauges, error) {
	g := &gauges{}
	var errs []error
	gauge := func(to *metric.Int64ObservableGauge, name, unit, text string) {
		in, err := m.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(text))
		*to, errs = in, append(errs, err)
	}
	gauge(&g.inFlight, "backstay.cassandra.node.in_flight", "{request}", "Requests that a node owes an answer to.")
	gauge(&g.orphans, "backstay.cassandra.node.orphans", "{request}", "Requests that nobody waits for any more and that hold a stream.")
	gauge(&g.available, "backstay.cassandra.node.available", "{request}", "Streams that are left on a node's connections.")
	gauge(&g.connections, "backstay.cassandra.node.connections", "{connection}", "Open connections to a node.")
	gauge(&g.suspect, "backstay.cassandra.node.suspect", "1", "1 while a node is asked last, else 0.")
	gauge(&g.disk, "backstay.cassandra.disk.usage", "By", "Bytes of a keyspace's live data on a node, as its system_views.disk_usage says.")
	gauge(&g.partition, "backstay.cassandra.partition.largest", "By", "Bytes of a table's largest partition on a node, from a MiB on, as its system_views.max_partition_size says.")
	gauge(&g.tasks, "backstay.cassandra.thread_pool.tasks", "{task}", "Tasks of a node's thread pools, by state.")
	gauge(&g.hints, "backstay.cassandra.hints", "{file}", "Files of hints that a node holds for others.")
	var err error
	g.replaced, err = m.Int64ObservableCounter("backstay.cassandra.node.connections_replaced", metric.WithUnit("{connection}"),
		metric.WithDescription("Connections that were closed because of too many requests without an answer."))
	errs = append(errs, err)
	g.latency, err = m.Float64ObservableGauge("backstay.cassandra.node.latency", metric.WithUnit("s"), metric.WithDescription("Moving average of a node's answers."))
	errs = append(errs, err)
	g.queueDelay, err = m.Float64ObservableGauge("backstay.cassandra.node.queue_delay", metric.WithUnit("s"),
		metric.WithDescription("Moving average of the time from a caller's asking to the first sending."))
	errs = append(errs, err)
	g.guardrail, err = m.Float64ObservableGauge("backstay.cassandra.guardrail", metric.WithUnit("1"), metric.WithDescription("Numbers of a node's guardrail settings that are on."))
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	g.registration, err = m.RegisterCallback(g.observe, g.inFlight, g.orphans, g.available, g.connections, g.suspect, g.replaced, g.latency, g.queueDelay, g.disk, g.partition, g.tasks, g.hints, g.guardrail)
	return g, err
}

// Watch adds gauges of the session's nodes, until Close. A session that is closed is
// read no more.
func (t *Telemetry) Watch(s *cassandra.Session) error {
	switch {
	case t == nil || t.gauges == nil:
		return fmt.Errorf("%w: Watch needs a MeterProvider", ErrConfig)
	case s == nil:
		return fmt.Errorf("%w: Watch needs a session", ErrConfig)
	}
	g := t.gauges
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return fmt.Errorf("%w: it is closed", ErrConfig)
	}
	g.sessions = append(g.sessions, s)
	return nil
}

// Report takes what nodes say of themselves, which the gauges then show. It replaces
// the report before: a node that is not in it is not shown. Give it to
// cassandra.Inspector.Watch.
func (t *Telemetry) Report(nodes []cassandra.NodeHealth) {
	if t == nil || t.gauges == nil {
		return
	}
	t.gauges.mu.Lock()
	defer t.gauges.mu.Unlock()
	t.gauges.health = nodes
}

func (g *gauges) observe(_ context.Context, o metric.Observer) error {
	g.mu.Lock()
	sessions, health := g.sessions, g.health
	g.mu.Unlock()
	for _, s := range sessions {
		for _, n := range s.Nodes() {
			at := with(NodeKey.String(n.Address))
			o.ObserveInt64(g.inFlight, int64(n.InFlight), at)
			o.ObserveInt64(g.orphans, int64(n.Orphans), at)
			o.ObserveInt64(g.available, int64(n.Available), at)
			o.ObserveFloat64(g.queueDelay, n.QueueDelay.Seconds(), at)
			o.ObserveInt64(g.connections, int64(n.Connections), at)
			o.ObserveInt64(g.replaced, n.Replaced, at)
			o.ObserveFloat64(g.latency, n.Latency.Seconds(), at)
			suspect := int64(0)
			if n.Suspect {
				suspect = 1
			}
			o.ObserveInt64(g.suspect, suspect, at)
		}
	}
	for _, n := range health {
		node := NodeKey.String(n.Address)
		for keyspace, bytes := range n.DiskBytes {
			o.ObserveInt64(g.disk, bytes, with(node, attribute.String("db.namespace", keyspace)))
		}
		for table, bytes := range n.LargestPartitions {
			keyspace, table, _ := strings.Cut(table, ".")
			o.ObserveInt64(g.partition, bytes, with(node, attribute.String("db.namespace", keyspace), attribute.String("db.collection.name", table)))
		}
		for _, p := range n.ThreadPools {
			for state, tasks := range map[string]int{"active": p.Active, "pending": p.Pending, "blocked": p.Blocked} {
				o.ObserveInt64(g.tasks, int64(tasks), with(node, PoolKey.String(p.Name), StateKey.String(state)))
			}
		}
		o.ObserveInt64(g.hints, int64(n.HintFiles()), with(node))
		for setting, limit := range n.Guardrails {
			o.ObserveFloat64(g.guardrail, limit, with(node, SettingKey.String(setting)))
		}
	}
	return nil
}

// with makes an option of attributes whose values may come from the cluster.
func with(attributes ...attribute.KeyValue) metric.ObserveOption {
	return metric.WithAttributeSet(attribute.NewSet(oteltext.Attributes(attributes)...))
}

func (g *gauges) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	g.sessions, g.health = nil, nil
	return g.registration.Unregister()
}
