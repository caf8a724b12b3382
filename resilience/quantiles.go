package resilience

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// quantiles estimates quantiles of an operation's latency. It is a histogram whose
// buckets grow by an eighth of a power of two, so that an answer is at most 12.5 % too
// high. The counts are halved from time to time, so that old latencies fade. Safe for
// concurrent use.
type quantiles struct {
	buckets [quantileBuckets]atomic.Uint32
	count   atomic.Int64

	mu     sync.Mutex
	halved int64 // when the counts were last halved, as an offset from the guard's base
	answer quantileAnswer
}

// quantileAnswer is the last answer. It is reused for a while.
type quantileAnswer struct {
	share    float64
	at       int64 // when the answer was computed
	count    int64 // from how many calls
	duration time.Duration
}

const (
	quantileBuckets = 40 * 8
	// enoughMeasured is how many calls must have been measured before there is an
	// answer.
	enoughMeasured = 50
	// An answer is computed again after this time, or after this many calls.
	answerFor   = 100 * time.Millisecond
	answerCalls = 16
	// halveEvery is how often counts are halved, unless there are few calls.
	halveEvery = 10 * time.Second
	fewCalls   = 1000
)

func quantileBucket(took int64) int {
	us := uint64(max(took, 0)) >> 10 // units of 1.024 µs
	if us < 8 {
		return int(us)
	}
	top := bits.Len64(us) - 1
	return min(top*8+int(us>>(top-3)&7)-16, quantileBuckets-1)
}

// quantileBound returns the upper bound of a bucket.
func quantileBound(bucket int) time.Duration {
	if bucket < 8 {
		return time.Duration(bucket+1) << 10
	}
	top, part := (bucket+16)/8, (bucket+16)%8
	return time.Duration((uint64(8+part+1) << (top - 3)) << 10)
}

func (q *quantiles) add(took int64) {
	q.buckets[quantileBucket(took)].Add(1)
	q.count.Add(1)
}

// quantile returns the latency within which the given share of the calls stayed, or
// zero if too few calls were measured.
func (q *quantiles) quantile(share float64, now int64) time.Duration {
	n := q.count.Load()
	if n < enoughMeasured {
		return 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if a := &q.answer; a.share != share || now-a.at >= int64(answerFor) || n-a.count >= answerCalls || n < a.count {
		if n > fewCalls {
			q.fadeLocked(now)
		}
		*a = quantileAnswer{share: share, at: now, count: n, duration: q.find(share)}
	}
	return q.answer.duration
}

func (q *quantiles) find(share float64) time.Duration {
	var total int64
	for i := range q.buckets {
		total += int64(q.buckets[i].Load())
	}
	rank := int64(share * float64(total))
	var seen int64
	for i := range q.buckets {
		if seen += int64(q.buckets[i].Load()); seen > rank {
			return quantileBound(i)
		}
	}
	return 0
}

func (q *quantiles) fadeLocked(now int64) {
	if now-q.halved < int64(halveEvery) {
		return
	}
	q.halved = now
	var total int64
	for i := range q.buckets {
		half := q.buckets[i].Load() / 2
		q.buckets[i].Store(half)
		total += int64(half)
	}
	q.count.Store(total)
}
