package bound

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/backstay-go/backstay/resilience/telemetry"
)

// Histograms implements telemetry.Histograms, and metric.Producer of OpenTelemetry's SDK. It
// is safe for concurrent use. One Histograms serves one Telemetry and any number of readers.
// Its zero value can't be used; call New.
type Histograms struct {
	start time.Time

	mu       sync.Mutex
	families []*family // by first use
}

// family is one histogram by name.
type family struct {
	name, unit, description string
	bounds                  []float64
	members                 []*histogram // by first use
	known                   map[attribute.Distinct]*histogram
}

// histogram is a family's member for one set of attributes.
type histogram struct {
	attributes attribute.Set
	bounds     []float64
	counts     []atomic.Uint64
	sum        atomic.Uint64 // the bits of a float64
}

// New returns histograms that count from now on.
func New() *Histograms { return &Histograms{start: time.Now()} }

// Histogram implements telemetry.Histograms. A second call with the same name and attributes
// returns a function that records to the same histogram. The unit, the description and the
// bounds of a name are those of its first call.
func (h *Histograms) Histogram(name, unit, description string, bounds []float64, attributes attribute.Set) (record func(value float64)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.familyLocked(name)
	if f == nil {
		f = &family{name: name, unit: unit, description: description, bounds: append([]float64{}, bounds...),
			known: map[attribute.Distinct]*histogram{}}
		h.families = append(h.families, f)
	}
	key := attributes.Equivalent()
	if known := f.known[key]; known != nil {
		return known.record
	}
	m := &histogram{attributes: attributes, bounds: f.bounds, counts: make([]atomic.Uint64, len(f.bounds)+1)}
	f.members, f.known[key] = append(f.members, m), m
	return m.record
}

func (h *Histograms) familyLocked(name string) *family {
	for _, f := range h.families {
		if f.name == name {
			return f
		}
	}
	return nil
}

// record counts a value. There are few bounds and most values are small, so a search from the
// smallest bound is as fast as a binary search.
func (m *histogram) record(value float64) {
	bucket := 0
	for bucket < len(m.bounds) && value > m.bounds[bucket] {
		bucket++
	}
	m.counts[bucket].Add(1)
	for {
		old := m.sum.Load()
		if m.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+value)) {
			return
		}
	}
}

// Produce implements metric.Producer. A histogram that has counted nothing is left out.
func (h *Histograms) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	all := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: telemetry.Scope, SchemaURL: semconv.SchemaURL}}
	for _, f := range h.families {
		if points := f.points(h.start, now); len(points) > 0 {
			all.Metrics = append(all.Metrics, metricdata.Metrics{Name: f.name, Unit: f.unit, Description: f.description,
				Data: metricdata.Histogram[float64]{DataPoints: points, Temporality: metricdata.CumulativeTemporality}})
		}
	}
	if len(all.Metrics) == 0 {
		return nil, nil
	}
	return []metricdata.ScopeMetrics{all}, nil
}

func (f *family) points(start, now time.Time) (points []metricdata.HistogramDataPoint[float64]) {
	for _, m := range f.members {
		p := metricdata.HistogramDataPoint[float64]{Attributes: m.attributes, StartTime: start, Time: now,
			Bounds: f.bounds, BucketCounts: make([]uint64, len(m.counts))}
		for i := range m.counts {
			p.BucketCounts[i] = m.counts[i].Load()
			p.Count += p.BucketCounts[i]
		}
		if p.Count > 0 {
			p.Sum = math.Float64frombits(m.sum.Load())
			points = append(points, p)
		}
	}
	return points
}
