package load

import (
	"fmt"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is what a run recorded. It is a value; nobody changes its samples.
type Result struct {
	// Start is the wall-clock time that the samples' times count from.
	Start time.Time `json:"start"`
	// Samples are the requests in the order of the schedule.
	Samples []Sample `json:"samples"`
	// Planned is the number of requests in the schedule.
	Planned int `json:"planned"`
	// Interrupted says that the context ended before the schedule did.
	Interrupted bool `json:"interrupted"`
	// MaxLag is the latest start, Late the number of starts later than LagBound.
	MaxLag   time.Duration `json:"max_lag_ns"`
	Late     int           `json:"late"`
	LagBound time.Duration `json:"lag_bound_ns"`
	// LagShare is the share of late starts that voids a run.
	LagShare float64 `json:"lag_share"`
}

func newResult(cfg Config, start time.Time, samples []Sample, interrupted bool) Result {
	r := Result{
		Start: start, Samples: slices.Clone(samples), Planned: len(cfg.Schedule), Interrupted: interrupted,
		LagBound: cfg.MaxLag, LagShare: cfg.LagShare,
	}
	slices.SortFunc(r.Samples, func(a, b Sample) int { return a.N - b.N })
	for _, s := range r.Samples {
		lag := s.Lag()
		r.MaxLag = max(r.MaxLag, lag)
		if lag > cfg.MaxLag {
			r.Late++
		}
	}
	return r
}

// Void says why the run proves nothing, or returns "": it was interrupted, or the
// generator fell behind, so that the load was not the one that was planned.
func (r Result) Void() string {
	switch {
	case r.Interrupted:
		return fmt.Sprintf("interrupted after %d of %d requests", len(r.Samples), r.Planned)
	case float64(r.Late) > r.LagShare*float64(len(r.Samples)):
		return fmt.Sprintf("the generator fell behind: %d of %d requests started more than %s late, the latest by %s; use a faster or quieter machine, or a lower rate",
			r.Late, len(r.Samples), r.LagBound, r.MaxLag.Round(time.Millisecond))
	}
	return ""
}

// Latencies are quantiles of latency from the intended start.
type Latencies struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P95   time.Duration `json:"p95_ns"`
	P99   time.Duration `json:"p99_ns"`
	Max   time.Duration `json:"max_ns"`
}

// Quantiles returns the latencies of the samples that keep admits; nil admits all.
func Quantiles(samples []Sample, keep func(Sample) bool) Latencies {
	// 1 µs to 10 min with three significant figures.
	h := hdrhistogram.New(1, (10 * time.Minute).Microseconds(), 3)
	var l Latencies
	for _, s := range samples {
		if keep != nil && !keep(s) {
			continue
		}
		l.Count++
		l.Max = max(l.Max, s.Latency())
		// Beyond ten minutes the histogram keeps ten minutes; Max stays exact.
		if h.RecordValue(max(1, s.Latency().Microseconds())) != nil {
			_ = h.RecordValue((10 * time.Minute).Microseconds())
		}
	}
	q := func(p float64) time.Duration {
		return min(l.Max, time.Duration(h.ValueAtQuantile(p))*time.Microsecond)
	}
	l.P50, l.P95, l.P99 = q(50), q(95), q(99)
	return l
}

// Bucket is what happened in one slice of time.
type Bucket struct {
	// From is when the slice begins, counted from the run's start.
	From time.Duration `json:"from_ns"`
	// Offered counts the requests meant to start in it, Good those of them that
	// got what they are owed.
	Offered int `json:"offered"`
	Good    int `json:"good"`
	// Outcomes and Sources count the offered requests by outcome, and by
	// "dependency source".
	Outcomes map[string]int `json:"outcomes"`
	Sources  map[string]int `json:"sources"`
	// Latency is that of the offered requests.
	Latency Latencies `json:"latency"`
}

// Buckets cuts the run into slices of equal width by the intended start. A width
// below one millisecond counts as a second.
func (r Result) Buckets(width time.Duration) []Bucket {
	if width < time.Millisecond {
		width = time.Second
	}
	groups := map[int][]Sample{}
	last := -1
	for _, s := range r.Samples {
		i := int(s.Intended / width)
		groups[i] = append(groups[i], s)
		last = max(last, i)
	}
	buckets := make([]Bucket, last+1)
	for i := range buckets {
		b := Bucket{From: time.Duration(i) * width, Outcomes: map[string]int{}, Sources: map[string]int{}}
		for _, s := range groups[i] {
			b.Offered++
			if s.Good {
				b.Good++
			}
			b.Outcomes[s.Outcome]++
			for dependency, source := range s.Sources {
				b.Sources[dependency+" "+source]++
			}
		}
		b.Latency = Quantiles(groups[i], nil)
		buckets[i] = b
	}
	return buckets
}
