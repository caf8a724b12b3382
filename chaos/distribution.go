package chaos

import (
	"math"
	"time"
)

// The distributions of a delay.
const (
	Fixed     = "fixed"
	Uniform   = "uniform"
	Normal    = "normal"
	Pareto    = "pareto"
	Histogram = "histogram"
)

var distributions = []string{Fixed, Uniform, Normal, Pareto, Histogram}

const defaultShape = 3

// distribution names the distribution that the fault draws its delay from.
func (w What) distribution() string {
	switch {
	case w.Distribution != "":
		return w.Distribution
	case len(w.Histogram) > 0:
		return Histogram
	case w.Jitter > 0:
		return Uniform
	}
	return Fixed
}

// draw returns the nth delay of a decision. A connection draws one delay per read.
func (w What) draw(r roll, n uint64) time.Duration {
	var d float64
	at := drawDelay + 2*n // two numbers per draw
	switch w.distribution() {
	case Uniform:
		d = float64(w.Delay) + (2*r.unit(at)-1)*float64(w.Jitter)
	case Normal:
		d = float64(w.Delay) + r.normal(at)*float64(w.Jitter)
	case Pareto:
		shape := w.Shape
		if shape == 0 {
			shape = defaultShape
		}
		// Inverse of the distribution function 1-(delay/x)^shape.
		d = float64(w.Delay) / math.Pow(1-r.unit(at), 1/shape)
	case Histogram:
		d = drawHistogram(w.Histogram, r.unit(at))
	default:
		d = float64(w.Delay)
	}
	bound := MaxTTL
	if w.Max > 0 {
		bound = min(bound, w.Max)
	}
	return time.Duration(max(0, min(d, float64(bound))))
}

// drawHistogram picks a bucket by its count and, within it, linearly.
func drawHistogram(buckets []Bucket, u float64) float64 {
	var total float64
	for _, b := range buckets {
		total += float64(b.Count)
	}
	rank, lower := u*total, 0.0
	for _, b := range buckets {
		if n := float64(b.Count); rank < n {
			return lower + (float64(b.UpTo)-lower)*rank/n
		} else {
			rank -= n
		}
		lower = float64(b.UpTo)
	}
	return lower
}
