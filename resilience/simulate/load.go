package simulate

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/backstay-go/backstay/resilience/record"
)

// maxLoad bounds Options.Load, so that a mistyped value does not fill the memory.
const maxLoad = 100

// maxWorkers bounds Options.Workers, for the same reason.
const maxWorkers = 1_000_000

// offer is a call that a replay makes.
type offer struct {
	record.Call
	// of is the index of the recorded call that this offer repeats. If extra is set, the offer
	// is an additional call, made shortly after that one.
	of    int
	extra bool
}

// offered returns the calls that a replay makes, ordered by their start. An extra call comes
// between the recorded call that it belongs to and the next one, so that a burst remains a
// burst and the calls are not evenly spaced.
func offered(calls []record.Call, o Options) []offer {
	whole, part := math.Modf(o.Load)
	offers := make([]offer, 0, int(math.Ceil(o.Load*float64(len(calls)))))
	for i, c := range calls {
		n := int(whole)
		chance := func(k int) float64 { return share(hash(^o.Seed, uint64(i), uint64(k))) }
		if chance(0) < part {
			n++
		}
		for k := range n {
			next := offer{Call: c, of: i, extra: k > 0}
			if k > 0 && i+1 < len(calls) {
				next.Start += time.Duration(chance(k) * float64(calls[i+1].Start-c.Start)).Truncate(time.Microsecond)
			}
			offers = append(offers, next)
		}
	}
	slices.SortStableFunc(offers, func(a, b offer) int { return cmp.Compare(a.Start, b.Start) })
	return offers
}
