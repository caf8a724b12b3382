package resilience

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// windowBuckets is the number of parts of a rolling window. A window of 10 s forgets
// its oldest second at a time.
const windowBuckets = 10

// window counts calls over a rolling time. Each counter is one word that holds the
// number of its bucket's period next to its counts, so that a late count can't land in
// a later period. The counters are split into shards, so that cores do not contend for
// one cache line. Offsets are monotonic and independent of the wall clock. Safe for
// concurrent use.
type window struct {
	bucket int64 // length of a bucket, ns
	// period is the newest bucket's number since the base.
	period atomic.Int64
	mu     sync.Mutex // held while the window moves on
	shards []windowShard
	ring   *ring // if not nil, it counts in place of the buckets
}

// windowShard is padded to whole cache lines.
type windowShard struct {
	slots [windowBuckets]windowSlot
	_     [32]byte
}

// windowSlot is one bucket of one shard. calls packs period (20 bits), bad and
// all calls (22 bits each); slow packs period (20 bits) and slow calls (44 bits).
type windowSlot struct{ calls, slow atomic.Uint64 }

const (
	countBits = 22
	countMask = 1<<countBits - 1
	tagShift  = 2 * countBits
	tagMask   = 1<<20 - 1
	slowMask  = 1<<tagShift - 1
	// maxMinimumCalls is the least that a bucket can count, even right after it was
	// halved.
	maxMinimumCalls = 1 << 20
)

// tally is the result of a window's counts.
type tally struct{ calls, bad, slow int }

func newWindow(length time.Duration, now int64) *window {
	shards := 1 << bits.Len(uint(min(runtime.GOMAXPROCS(0), 16)-1))
	w := &window{bucket: max(1, int64(length)/windowBuckets), shards: make([]windowShard, shards)}
	w.period.Store(now / w.bucket)
	for i := range w.shards {
		for j := range w.shards[i].slots {
			period := w.period.Load() - int64(windowBuckets-1) + int64(j)
			slot := &w.shards[i].slots[mod(period)]
			slot.calls.Store(tag(period))
			slot.slow.Store(tag(period))
		}
	}
	return w
}

func tag(period int64) uint64 { return uint64(period) & tagMask << tagShift }

func mod(period int64) int {
	return int((period%windowBuckets + windowBuckets) % windowBuckets)
}

// add counts one call that ended at now.
func (w *window) add(now int64, bad, slow bool) {
	if w.ring != nil {
		w.ring.add(bad, slow)
		return
	}
	period := w.period.Load()
	if into := now - period*w.bucket; into < 0 || into >= w.bucket { // it is another one
		if period = now / w.bucket; period > w.period.Load() {
			w.moveTo(period)
		}
	}
	slot := &w.shards[w.shard()].slots[mod(period)]
	one := uint64(1)
	if bad {
		one |= 1 << countBits
	}
	for mine := tag(period); ; {
		old := slot.calls.Load()
		if old&^slowMask != mine {
			return // too late for its bucket
		}
		if old&countMask == countMask {
			slot.halve(old)
			continue
		}
		if slot.calls.CompareAndSwap(old, old+one) {
			break
		}
	}
	if !slow {
		return
	}
	for mine := tag(period); ; {
		old := slot.slow.Load()
		if old&^slowMask != mine || slot.slow.CompareAndSwap(old, old+1) {
			return
		}
	}
}

// halve makes room in a full bucket. It halves all counts of the bucket, so that the
// rates stay as they are and later calls can still change them.
func (s *windowSlot) halve(old uint64) {
	tag, bad, calls := old&^slowMask, old>>countBits&countMask, old&countMask
	if !s.calls.CompareAndSwap(old, tag|bad/2<<countBits|calls/2) {
		return
	}
	for {
		slow := s.slow.Load()
		if slow&^slowMask != tag || s.slow.CompareAndSwap(slow, tag|slow&slowMask/2) {
			return
		}
	}
}

// shard spreads goroutines over the shards. Their stacks have different addresses, and
// so cores get different shards.
func (w *window) shard() uint {
	var here byte
	return uint(uint64(uintptr(unsafe.Pointer(&here)))*0x9E3779B97F4A7C15>>48) & uint(len(w.shards)-1)
}

// window returns an empty window for the policy.
func (p *BreakerPolicy) window(now int64) *window {
	if p.WindowCalls > 0 {
		return &window{ring: newRing(p.WindowCalls)}
	}
	return newWindow(p.Window, now)
}

// changed returns a window for the policy that holds the counts of the one before, as
// far as they fit.
func (w *window) changed(p *BreakerPolicy, now int64) *window {
	switch {
	case w.ring == nil && p.WindowCalls == 0:
		return w.resized(p.Window, now)
	case w.ring != nil && p.WindowCalls > 0:
		return &window{ring: w.ring.resized(p.WindowCalls)}
	}
	next := p.window(now)
	t := w.sum(now)
	if next.ring != nil {
		next.ring.fill(t)
	} else if t.calls > 0 {
		slot := &next.shards[0].slots[mod(now/next.bucket)]
		slot.calls.Add(uint64(t.bad)<<countBits | uint64(t.calls))
		slot.slow.Add(uint64(t.slow))
	}
	return next
}

// moveTo empties the buckets that fall out when the given period begins.
func (w *window) moveTo(period int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := w.period.Load()
	if period <= from {
		return
	}
	for p := max(from+1, period-windowBuckets+1); p <= period; p++ {
		for i := range w.shards {
			slot := &w.shards[i].slots[mod(p)]
			slot.calls.Store(tag(p))
			slot.slow.Store(tag(p))
		}
	}
	w.period.Store(period)
}

// sum counts the window that ends now.
func (w *window) sum(now int64) tally {
	if w.ring != nil {
		return w.ring.sum()
	}
	if period := now / w.bucket; period > w.period.Load() {
		w.moveTo(period)
	}
	var t tally
	for i := range w.shards {
		for j := range w.shards[i].slots {
			slot := &w.shards[i].slots[j]
			calls := slot.calls.Load()
			t.calls += int(calls & countMask)
			t.bad += int(calls >> countBits & countMask)
			t.slow += int(slot.slow.Load() & slowMask)
		}
	}
	return t
}

// resized returns a window of another length with the same counts, each in the bucket
// of its time. Counts that are older than the new length are forgotten.
func (w *window) resized(length time.Duration, now int64) *window {
	next := newWindow(length, now)
	w.moveTo(now / w.bucket)
	last := w.period.Load()
	for p := last - windowBuckets + 1; p <= last; p++ {
		// A bucket's counts are moved to where its middle lies; those of the current
		// one, to now.
		at := min(p*w.bucket+w.bucket/2, now)
		if at/next.bucket <= now/next.bucket-windowBuckets {
			continue
		}
		to := &next.shards[0].slots[mod(at/next.bucket)]
		for i := range w.shards {
			to.merge(&w.shards[i].slots[mod(p)])
		}
	}
	return next
}

// merge adds the counts of another bucket. If they do not fit, all are halved until they do.
func (s *windowSlot) merge(from *windowSlot) {
	mine, other := s.calls.Load(), from.calls.Load()
	calls := mine&countMask + other&countMask
	bad := mine>>countBits&countMask + other>>countBits&countMask
	slow := s.slow.Load()&slowMask + from.slow.Load()&slowMask
	for ; calls > countMask; calls /= 2 {
		bad, slow = bad/2, slow/2
	}
	s.calls.Store(mine&^slowMask | bad<<countBits | calls)
	s.slow.Store(mine&^slowMask | slow)
}
