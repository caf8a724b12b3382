package resilience

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

var errFailed = errors.New("failed")

// dependency is a simulated server: workers behind one endless queue, first come
// first served. It does not notice that a caller has gone: the work is done all
// the same, as most servers do it.
type dependency struct {
	began time.Time
	// service is how long a request is worked on that begins at the given time.
	service func(at time.Duration, chance *rand.Rand) time.Duration
	// fails says that requests which begin at the given time fail at once.
	fails func(at time.Duration) bool

	mu     sync.Mutex
	chance *rand.Rand
	free   times // when each worker is free, as offsets
	seen   []int // requests by second
}

func newDependency(workers int, seed uint64) *dependency {
	return &dependency{
		began: time.Now(), chance: rand.New(rand.NewPCG(seed, 1)), free: make(times, workers),
		fails: func(time.Duration) bool { return false },
	}
}

// call is a request: it waits for a worker and for the work.
func (d *dependency) call(ctx context.Context) error {
	timer := time.NewTimer(d.enter())
	defer timer.Stop()
	select {
	case <-timer.C:
		if d.fails(time.Since(d.began)) {
			return errFailed
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter puts a request in the queue and returns how long it takes from now.
func (d *dependency) enter() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Since(d.began)
	for len(d.seen) <= int(now/time.Second) {
		d.seen = append(d.seen, 0)
	}
	d.seen[now/time.Second]++
	if d.fails(now) {
		return time.Millisecond
	}
	begin := max(now, d.free[0])
	d.free[0] = begin + d.service(begin, d.chance)
	done := d.free[0]
	heap.Fix(&d.free, 0)
	return done - now
}

// times is a heap of offsets.
type times []time.Duration

func (t times) Len() int           { return len(t) }
func (t times) Less(i, j int) bool { return t[i] < t[j] }
func (t times) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *times) Push(any)          {} // the number of workers does not change
func (t *times) Pop() any          { return nil }
