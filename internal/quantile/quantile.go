package quantile

import (
	"math"
	"time"
)

// Of returns the shortest duration within which at least the share q of all durations ended.
// q is from 0 to 1. The durations must be sorted, the shortest first. Without durations Of
// returns 0.
func Of(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[rank(q, len(sorted))-1]
}

// rank returns which of n sorted values is the quantile, counted from 1.
func rank(q float64, n int) int { return min(max(int(math.Ceil(q*float64(n))), 1), n) }

const (
	// binsPerDecade is the number of bins for durations of which the longest is ten times
	// the shortest.
	binsPerDecade = 12
	// The bins cover 0.1 ms to 100 s.
	bins     = 6 * binsPerDecade
	shortest = 100 * time.Microsecond
)

// Histogram counts durations in bins that grow by a fifth. It is not safe for concurrent use.
// The zero value is empty and ready to use.
type Histogram struct{ counts [bins]uint32 }

// Add counts a duration. One outside 0.1 ms to 100 s counts as the nearest that is inside.
func (h *Histogram) Add(d time.Duration) {
	bin := 0
	if d > shortest {
		bin = min(bins-1, int(math.Log10(float64(d)/float64(shortest))*binsPerDecade))
	}
	h.counts[bin]++
}

// Quantile returns the middle of the bin that has the shortest duration within which at least
// the share q ended. If nothing was counted, it returns 0.
func (h *Histogram) Quantile(q float64) time.Duration {
	total := 0
	for _, n := range h.counts {
		total += int(n)
	}
	if total == 0 {
		return 0
	}
	left := rank(q, total)
	for bin, n := range h.counts {
		if left -= int(n); left <= 0 {
			return time.Duration(float64(shortest) * math.Pow(10, (float64(bin)+0.5)/binsPerDecade))
		}
	}
	return 0
}
