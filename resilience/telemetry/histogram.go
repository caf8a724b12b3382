package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Histograms makes histograms whose attributes are bound once. OpenTelemetry's SDK looks at
// the attributes of every measurement, which costs more than everything else that telemetry
// does for a call. Package bound has an implementation that does not. An implementation must
// be safe for concurrent use, and so must the functions that it returns.
type Histograms interface {
	// Histogram returns a function that records a value. It is called once per name and set of
	// attributes. Bounds are the upper bounds of all buckets except the last, in ascending
	// order.
	Histogram(name, unit, description string, bounds []float64, attributes attribute.Set) (record func(value float64))
}

// family is one histogram by name, made by OpenTelemetry's meter or by a Histograms.
type family struct {
	name, text string
	bounds     []float64

	bound      Histograms              // or
	instrument metric.Float64Histogram // if bound is nil
}

// histogram is the member of a family that has one set of attributes.
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

// durations joins the buckets that OpenTelemetry recommends for database and HTTP clients:
// from 0.001 s to 10 s.
var durations = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// ages are buckets from one second to one day.
var ages = []float64{1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600}
