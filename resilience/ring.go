package resilience

import "sync/atomic"

// ring counts the newest calls, however old they are. Each slot holds how one call
// ended, and the sums are updated as slots are overwritten. Safe for concurrent use.
// While several calls end at the same time, the sums may lag behind by these.
type ring struct {
	slots            []atomic.Uint32
	next             atomic.Uint64
	calls, bad, slow atomic.Int64
}

const (
	ringUsed = 1 << iota
	ringBad
	ringSlow
)

// maxWindowCalls bounds the size of a ring. A ring takes four bytes per call.
const maxWindowCalls = 100_000

func newRing(size int) *ring { return &ring{slots: make([]atomic.Uint32, size)} }

func (r *ring) add(bad, slow bool) {
	now := uint32(ringUsed)
	if bad {
		now |= ringBad
	}
	if slow {
		now |= ringSlow
	}
	old := r.slots[(r.next.Add(1)-1)%uint64(len(r.slots))].Swap(now)
	move := func(sum *atomic.Int64, bit uint32) {
		if d := int64(now&bit/bit) - int64(old&bit/bit); d != 0 {
			sum.Add(d)
		}
	}
	move(&r.calls, ringUsed)
	move(&r.bad, ringBad)
	move(&r.slow, ringSlow)
}

func (r *ring) sum() tally {
	calls := max(0, int(r.calls.Load()))
	return tally{calls: calls, bad: min(calls, max(0, int(r.bad.Load()))), slow: min(calls, max(0, int(r.slow.Load())))}
}

// resized returns a ring of another size that holds the newest of the calls.
func (r *ring) resized(size int) *ring {
	to := newRing(size)
	end := r.next.Load()
	for i := end - min(end, uint64(len(r.slots)), uint64(size)); i < end; i++ {
		slot := r.slots[i%uint64(len(r.slots))].Load()
		to.add(slot&ringBad != 0, slot&ringSlow != 0)
	}
	return to
}

// fill adds calls of which only the sums are known, as many as the ring can hold, with
// good, bad and slow calls in proportion.
func (r *ring) fill(t tally) {
	n := min(t.calls, len(r.slots))
	for i := range n {
		share := func(of int) bool { return (i+1)*of/t.calls > i*of/t.calls }
		r.add(share(t.bad), share(t.slow))
	}
}
