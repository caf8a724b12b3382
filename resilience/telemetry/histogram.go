package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Histograms makes histograms whose attributes are bound once. OpenTelemetry's SDK
// looks at the attributes of every measurement, which costs more than all else that
// telemetry does for a call; package bound has some that do not. It must be safe for
// concurrent use, as must be the functions that it returns.
type Histograms interface {
	// Histogram returns what records a value. It is asked once for each name and set of
	// attributes. Bounds are the upper bounds of all buckets but the last, ascending.
	Histogram(name, unit, description string, bounds []float64, attributes attribute.Set) (record func(value float64))
}

// family is one histogram by name, of whichever maker.
type family struct {
	name, text string
	bounds     []float64

	bound      Histograms              // or
	instrument metric.Float64Histogram // if bound is nil
}

// histogram is a family's member for one set of attributes.
type histogram struct {
	bound      func(float64) // or
	instrument metric.Float64Histogram
	options    []metric.RecordOption // made once
}

func (f *family) of(attributes ...attribute.KeyValue) histogram {
	set := attribute.NewSet(attributes...)
	if f.bound != nil {
		return histogram{bound: f.bound.Histogram(f.name, seconds, f.text, f.bounds, set)}
	}
	return histogram{instrument: f.instrument, options: []metric.RecordOption{metric.WithAttributeSet(set)}}
}

func (h *histogram) record(ctx context.Context, value float64) {
	if h.bound != nil {
		h.bound(value)
		return
	}
	h.instrument.Record(ctx, value, h.options...)
}

const seconds = "s"

// durations are the buckets that OpenTelemetry gives database and HTTP clients,
// put together: .001 to 10 s.
var durations = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// ages go from a second to a day.
var ages = []float64{1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600}
