package service

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

const (
	// headroomEvery is the interval at which the process is measured.
	headroomEvery = 50 * time.Millisecond
	// delayTarget is how long a goroutine that could run may wait for a processor, on average
	// over the last smooth measurements. More means that the process has more work than processors, whatever share of them the
	// machine or the container gives it. Go limits the processors by the container's quota.
	delayTarget = 25 * time.Millisecond
	smooth      = 8
	// memoryShare is the share of the memory limit from which requests are refused.
	memoryShare = 0.9
	// maxGoroutines is the number of goroutines from which requests are refused.
	maxGoroutines = 100_000
	// fastest is how much more is refused after one measurement.
	fastest = 0.1
	// slowest is how much less is refused after one good measurement.
	slowest = 0.02
	// classes is the number of classes that are refused one after the other: what can be
	// shed, then what is critical. CriticalPlus is left to the guard.
	classes = 3
)

// headroom measures what the process has left, and says which requests are refused because of
// that, the least important first. It is safe for concurrent use.
type headroom struct {
	memoryLimit float64
	sample      []metrics.Sample
	counts      []uint64 // of the histogram of delays, at the last measurement

	// pressure is how much is refused: 0 is nothing, each whole number is one class. It is the
	// bits of a float.
	pressure   atomic.Uint64
	delay      atomic.Int64
	memory     atomic.Uint64
	goroutines atomic.Int64
	refused    atomic.Int64
}

func newHeadroom() *headroom {
	h := &headroom{memoryLimit: memoryLimit(), sample: []metrics.Sample{
		{Name: "/sched/latencies:seconds"}, {Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
		{Name: "/sched/goroutines:goroutines"}, {Name: "/gc/gomemlimit:bytes"},
	}}
	h.measure()
	return h
}

// memoryLimit returns the limit of the control group in bytes, or infinity.
func memoryLimit() float64 {
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64); err == nil && n < 1<<60 {
			return n
		}
	}
	return math.Inf(1)
}

// run measures until the context ends.
func (h *headroom) run(ctx context.Context) error {
	ticker := time.NewTicker(headroomEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			h.adjust(h.measure())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// measured is one measurement of the process.
type measured struct {
	delay      time.Duration
	memory     float64 // the share of the limit
	goroutines int64
}

// measure measures the process.
func (h *headroom) measure() measured {
	metrics.Read(h.sample)
	var m measured
	delays := h.sample[0].Value.Float64Histogram()
	m.delay = time.Duration(h.delay.Load())
	m.delay += (h.mean(delays) - m.delay) / smooth
	used := float64(h.sample[1].Value.Uint64() - h.sample[2].Value.Uint64())
	m.memory = used / min(h.memoryLimit, float64(h.sample[4].Value.Uint64()))
	m.goroutines = int64(h.sample[3].Value.Uint64())
	h.delay.Store(int64(m.delay))
	h.memory.Store(math.Float64bits(used))
	h.goroutines.Store(m.goroutines)
	return m
}

// mean returns the mean of the delays since the last call.
func (h *headroom) mean(now *metrics.Float64Histogram) time.Duration {
	if h.counts == nil {
		h.counts = make([]uint64, len(now.Counts))
	}
	var n, sum float64
	for i, count := range now.Counts {
		since := float64(count - h.counts[i])
		h.counts[i] = count
		low, high := now.Buckets[i], now.Buckets[i+1]
		switch {
		case math.IsInf(low, -1):
			low = high
		case math.IsInf(high, 1):
			high = low
		}
		n, sum = n+since, sum+since*(low+high)/2
	}
	if n == 0 {
		return 0
	}
	return time.Duration(sum / n * float64(time.Second))
}

// adjust changes the pressure after a measurement.
func (h *headroom) adjust(m measured) {
	p := math.Float64frombits(h.pressure.Load())
	over := max(float64(m.delay)/float64(delayTarget), m.memory/memoryShare, float64(m.goroutines)/maxGoroutines)
	if over > 1 {
		p = min(classes, p+min(fastest, slowest*over))
	} else {
		p = max(0, p-slowest)
	}
	h.pressure.Store(math.Float64bits(p))
}

// shed reports whether a request of a class is refused.
func (h *headroom) shed(class resilience.Criticality) bool {
	p := math.Float64frombits(h.pressure.Load())
	if p == 0 || class >= resilience.CriticalPlus {
		return false
	}
	// Sheddable is refused first, then SheddablePlus, then Critical.
	share := p - float64(class-resilience.Sheddable)
	if share <= 0 || share < 1 && rand.Float64() >= share {
		return false
	}
	h.refused.Add(1)
	return true
}

// health says what the process lacks.
func (h *headroom) health() health {
	if p := math.Float64frombits(h.pressure.Load()); p > 0 {
		return health{StateDegraded, fmt.Sprintf("some requests are refused (pressure %.2f of %d): runnable work waits %s for one of %d processors, %.0f MiB of memory and %d goroutines are in use",
			p, classes, time.Duration(h.delay.Load()).Round(time.Microsecond), runtime.GOMAXPROCS(0), math.Float64frombits(h.memory.Load())/(1<<20), h.goroutines.Load())}
	}
	return ok()
}
