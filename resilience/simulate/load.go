package simulate

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/backstay-go/backstay/resilience/record"
)

// maxLoad bounds Options.Load, so that a slip of the pen does not fill memory.
const maxLoad = 100

// maxWorkers bounds Options.Workers, for the same reason.
const maxWorkers = 1_000_000

// offer is a call that a replay makes.
type offer struct {
	record.Call
	// of is the call of the record that it is, or, if extra, that it is made beside.
	of    int
	extra bool
}

// offered returns the calls that a replay makes, by their start. Extra calls come
// between the one that they are made beside and the next, so that a burst stays one and
// nobody comes in step.
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
