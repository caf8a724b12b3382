package telemetry

import (
	"sync"
	"sync/atomic"

	"github.com/backstay-go/backstay/internal/oteltext"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// series holds everything that is prepared for one operation of one dependency, so that
// handling an event allocates nothing.
type series struct {
	dependency, operation string // as events name them

	name     string // dependency/operation: the span's name
	identity []attribute.KeyValue

	attemptName, hedgeName, waitName, backoffName string

	// Metrics. Each array is indexed by the attributes in which its members differ.
	wait, backoff histogram
	calls         [callResults]histogram
	attempts      [attemptResults]histogram
	ages          [sources]histogram
	refusals      [refusers][]metric.AddOption
}

func newSeries(dependency, operation string, m *meters) *series {
	s := &series{dependency: dependency, operation: operation}
	dependency, operation = oteltext.Valid(dependency), oteltext.Valid(operation)
	s.name = dependency + "/" + operation
	s.identity = []attribute.KeyValue{DependencyKey.String(dependency), OperationKey.String(operation)}
	s.attemptName, s.hedgeName = s.name+" attempt", s.name+" hedge"
	s.waitName, s.backoffName = s.name+" wait", s.name+" backoff"
	if m != nil {
		m.prepare(s)
	}
	return s
}

type seriesKey struct{ dependency, operation string }

// seriesTable finds series without a lock. It holds at most max pairs of dependency and
// operation.
type seriesTable struct {
	max    int
	meters *meters // nil: no metrics
	known  atomic.Pointer[map[seriesKey]*series]
	// near makes most look-ups possible without hashing two names. The comparison of a name
	// with itself compares only pointers.
	near [64]atomic.Pointer[series]

	mu sync.Mutex
}

func (t *seriesTable) of(dependency, operation string) *series {
	place := &t.near[nearness(dependency, operation)]
	if s := place.Load(); s != nil && s.operation == operation && s.dependency == dependency {
		return s
	}
	s := t.find(dependency, operation)
	place.Store(s)
	return s
}

// nearness distributes names over near by their lengths and last bytes.
func nearness(dependency, operation string) int {
	n := len(dependency) + 7*len(operation)
	if len(dependency) > 0 {
		n += 5 * int(dependency[len(dependency)-1])
	}
	if len(operation) > 0 {
		n += 3 * int(operation[len(operation)-1])
	}
	return n & 63
}

func (t *seriesTable) find(dependency, operation string) *series {
	if known := t.known.Load(); known != nil {
		if s := (*known)[seriesKey{dependency, operation}]; s != nil {
			return s
		}
	}
	return t.add(dependency, operation)
}

// add makes the series of a new pair. It copies the table, which is expensive but happens only
// once per pair. All pairs beyond the bound share one series, and are looked up under the
// lock.
func (t *seriesTable) add(dependency, operation string) *series {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := map[seriesKey]*series{}
	if known := t.known.Load(); known != nil {
		old = *known
	}
	key := seriesKey{dependency, operation}
	if s := old[key]; s != nil {
		return s
	}
	if len(old) >= t.max {
		key = seriesKey{other, other}
		if s := old[key]; s != nil {
			return s
		}
	}
	s := newSeries(key.dependency, key.operation, t.meters)
	next := make(map[seriesKey]*series, len(old)+1)
	for k, v := range old {
		next[k] = v
	}
	next[key] = s
	t.known.Store(&next)
	return s
}
