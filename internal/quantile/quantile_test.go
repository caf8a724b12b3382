package quantile_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/internal/quantile"
)

func TestOf(t *testing.T) {
	ten := make([]time.Duration, 10)
	for i := range ten {
		ten[i] = time.Duration(i + 1)
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.05: 1, 0.1: 1, 0.11: 2, 0.5: 5, 0.9: 9, 0.99: 10, 1: 10} {
		if got := quantile.Of(ten, q); got != want {
			t.Errorf("%v of ten is %d, want %d", q, got, want)
		}
	}
	if got := quantile.Of(nil, 0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// TestHistogramIsNearTheExactQuantile compares both, for durations that the bins cover.
func TestHistogramIsNearTheExactQuantile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(int64(100*time.Microsecond), int64(99*time.Second)), 1, 200).Draw(t, "durations")
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		var h quantile.Histogram
		sorted := make([]time.Duration, len(all))
		for i, d := range all {
			sorted[i] = time.Duration(d)
			h.Add(sorted[i])
		}
		slices.Sort(sorted)
		exact, got := quantile.Of(sorted, q), h.Quantile(q)
		if ratio := float64(got) / float64(exact); math.Abs(math.Log10(ratio)) > 0.5/12+1e-9 {
			t.Errorf("%v of %v: exact %v, histogram %v", q, sorted, exact, got)
		}
	})
}

func TestHistogramAtItsEnds(t *testing.T) {
	var h quantile.Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("empty: %v", got)
	}
	h.Add(-time.Second)
	h.Add(0)
	if got := h.Quantile(1); got < 100*time.Microsecond || got > 125*time.Microsecond {
		t.Errorf("shorter than the bins: %v", got)
	}
	h.Add(time.Hour)
	if got := h.Quantile(1); got < 80*time.Second || got > 100*time.Second {
		t.Errorf("longer than the bins: %v", got)
	}
}
