package load

import (
	"fmt"
	"slices"
	"time"

	"github.com/backstay-go/backstay/internal/quantile"
)

// Result is what a run recorded. Treat it as a value: its samples must not be changed.
type Result struct {
	// Start is the wall-clock time from which the times of the samples count.
	Start time.Time `json:"start"`
	// Samples holds the requests in the order of the schedule.
	Samples []Sample `json:"samples"`
	// Planned is the number of requests in the schedule.
	Planned int `json:"planned"`
	// Interrupted says that the context ended before the schedule was complete.
	Interrupted bool `json:"interrupted"`
	// Abandoned says that the run ended early, because the generator had fallen so far behind
	// that the run could not prove anything.
	Abandoned bool `json:"abandoned,omitempty"`
	// MaxLag is the longest delay of a start. Late is the number of starts later than
	// LagBound.
	MaxLag   time.Duration `json:"max_lag_ns"`
	Late     int           `json:"late"`
	LagBound time.Duration `json:"lag_bound_ns"`
	// LagShare is the share of late starts above which a run is void.
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

// Void says why the run proves nothing, or returns "". A run is void if it was interrupted, or
// if the generator fell behind, so that the load was not the planned one.
func (r Result) Void() string {
	switch {
	case r.Interrupted:
		return fmt.Sprintf("interrupted after %d of %d requests", len(r.Samples), r.Planned)
	case r.Abandoned:
		return fmt.Sprintf("the generator fell behind, and the run was ended after %d of %d requests: %d started more than %s late, the latest by %s; use a faster or quieter machine, or a lower rate",
			len(r.Samples), r.Planned, r.Late, r.LagBound, r.MaxLag.Round(time.Millisecond))
	case float64(r.Late) > r.LagShare*float64(len(r.Samples)):
		return fmt.Sprintf("the generator fell behind: %d of %d requests started more than %s late, the latest by %s; use a faster or quieter machine, or a lower rate",
			r.Late, len(r.Samples), r.LagBound, r.MaxLag.Round(time.Millisecond))
	}
	return ""
}

// Latencies holds exact quantiles of the latency from the intended start.
type Latencies struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P95   time.Duration `json:"p95_ns"`
	P99   time.Duration `json:"p99_ns"`
	Max   time.Duration `json:"max_ns"`
}

// Quantiles returns the latencies of the samples for which keep returns true. If keep is nil,
// it returns those of all samples.
func Quantiles(samples []Sample, keep func(Sample) bool) Latencies {
	all := make([]time.Duration, 0, len(samples))
	for _, s := range samples {
		if keep == nil || keep(s) {
			all = append(all, s.Latency())
		}
	}
	slices.Sort(all)
	return Latencies{Count: len(all), P50: quantile.Of(all, 0.5), P95: quantile.Of(all, 0.95), P99: quantile.Of(all, 0.99), Max: quantile.Of(all, 1)}
}

// Bucket describes one interval of a run.
type Bucket struct {
	// From is when the interval begins, counted from the start of the run.
	From time.Duration `json:"from_ns"`
	// Offered counts the requests that were meant to start in the interval. Good counts those
	// of them whose client got what it has a right to.
	Offered int `json:"offered"`
	Good    int `json:"good"`
	// Outcomes counts the offered requests by outcome. Sources counts them by "dependency
	// source".
	Outcomes map[string]int `json:"outcomes"`
	Sources  map[string]int `json:"sources"`
	// Latency is the latency of the offered requests.
	Latency Latencies `json:"latency"`
}

// Buckets divides the run into intervals of equal width, by the intended start. A width below
// one millisecond counts as one second.
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
