package clock

import (
	"container/heap"
	"context"
	"iter"
	"math"
	"time"
)

// Run runs what was started, and what that starts in turn, until nothing is left to run
// or to wait for.
func (c *Clock) Run() {
	for {
		switch {
		case len(c.ready) > 0:
			t := c.ready[0]
			c.ready = c.ready[1:]
			t.queued = false
			c.running = t
			t.resume()
			c.running = nil
		case len(c.entries) > 0:
			e := heap.Pop(&c.entries).(*entry)
			if f := e.f; f != nil {
				c.elapsed, e.f = e.due, nil
				f()
			}
		default:
			return
		}
	}
}

// task is a goroutine of the simulation: a coroutine that runs while it is resumed.
type task struct {
	resume func() (struct{}, bool)
	yield  func(struct{}) bool
	queued bool
}

func (c *Clock) spawn(f func()) {
	t := &task{}
	t.resume, _ = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		f()
	})
	c.wake(t)
}

// wake makes a task ready to run, after those that were woken before.
func (c *Clock) wake(t *task) {
	if t != nil && !t.queued {
		t.queued = true
		c.ready = append(c.ready, t)
	}
}

func recv[T any](ctx context.Context, c *Clock, from <-chan T, d time.Duration) (v T, err error) {
	t, expired := c.running, false
	timer := c.add(d, func() {
		expired = true
		c.wake(t)
	})
	defer timer.Stop()
	if from != nil {
		c.waiting[from] = t
		defer delete(c.waiting, from)
	}
	if ctx.Done() != nil { // called first, because it makes a context that is created on demand
		if end, ok := ctx.Value(endKey{}).(*ending); ok {
			defer end.add(func() { c.wake(t) })()
		}
	}
	for {
		select {
		case v = <-from:
			return v, nil
		default:
		}
		switch {
		case ctx.Err() != nil:
			return v, ctx.Err()
		case expired:
			return v, ErrExpired
		}
		t.yield(struct{}{})
	}
}

// timer is a Timer of a virtual clock. Each Reset makes another entry.
type timer struct {
	clock *Clock
	f     func()
	entry *entry
}

// entry is one planned call. f is nil once it was called or cancelled.
type entry struct {
	due  time.Duration
	made uint64
	f    func()
}

func (c *Clock) add(d time.Duration, f func()) *timer {
	return &timer{clock: c, f: f, entry: c.plan(d, f)}
}

func (c *Clock) plan(d time.Duration, f func()) *entry {
	c.made++
	due := c.elapsed + max(d, 0)
	if due < c.elapsed { // beyond the largest time
		due = math.MaxInt64
	}
	e := &entry{due: due, made: c.made, f: f}
	heap.Push(&c.entries, e)
	return e
}

// Stop implements Timer.
func (t *timer) Stop() bool {
	pending := t.entry.f != nil
	t.entry.f = nil
	return pending
}

// Reset implements Timer.
func (t *timer) Reset(d time.Duration) bool {
	pending := t.Stop()
	t.entry = t.clock.plan(d, t.f)
	return pending
}

// entries is a heap, ordered by due time.
type entries []*entry

func (h entries) Len() int { return len(h) }
func (h entries) Less(i, j int) bool {
	return h[i].due < h[j].due || h[i].due == h[j].due && h[i].made < h[j].made
}
func (h entries) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *entries) Push(x any)   { *h = append(*h, x.(*entry)) }
func (h *entries) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
