package tcpproxy

import (
	"sync"
	"time"
)

const (
	// maxQueued bounds the bytes that wait for their latency. While that many bytes wait,
	// nothing is read from the sender.
	maxQueued = 32 << 20
	// pacedBytes bounds the bytes that wait for a bandwidth, in addition to those that pass
	// in a beat and during the latency, because a slow line buffers little.
	pacedBytes = 64 << 10
	// beat is the interval at which a slow line passes something.
	beat = 100 * time.Millisecond
	// maxCatchUp bounds for how much lost time a line compensates after its receiver did not
	// read. A real line does not send faster later.
	maxCatchUp = 500 * time.Millisecond
	// maxPortion bounds the portions of a slice, which are never longer than one read.
	maxPortion = 1 << 29
)

// room returns how many bytes may wait.
func (p pace) room() int {
	if p.perSecond == 0 && p.slice == 0 {
		return maxQueued
	}
	return int(min(maxQueued, pacedBytes+float64(p.perSecond)*(p.delay+beat).Seconds()))
}

// queue holds bytes until they are due, in order. The pipe puts them in, and a goroutine
// that the queue owns writes them.
type queue struct {
	pipe *pipe
	wg   sync.WaitGroup

	mu      sync.Mutex
	moved   *sync.Cond
	parcels []parcel
	bytes   int
	idle    bool
	closed  bool

	// Of the goroutine that writes.
	free    time.Time // when the bandwidth is free for the next byte
	last    time.Time // when the last portion of this parcel went; zero: none did
	portion int64     // what is left of a portion; 0: the next is not drawn yet
	paused  bool      // the portion has not begun: its pause comes first
	drawn   uint64    // lengths of portions
}

// parcel is bytes that were read together, with what they wait for.
type parcel struct {
	b     []byte
	came  time.Time
	waits []wait
}

func newQueue(p *pipe) *queue {
	q := &queue{pipe: p, idle: true}
	q.moved = sync.NewCond(&q.mu)
	q.wg.Go(q.run)
	return q
}

// put adds bytes; it waits while the queue is full. It returns false if nothing more will be
// written.
func (q *queue) put(b []byte, waits []wait, room int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes >= room && !q.closed {
		q.moved.Wait()
	}
	if q.closed {
		return false
	}
	q.parcels = append(q.parcels, parcel{append([]byte(nil), b...), time.Now(), waits})
	q.bytes += len(b)
	q.idle = false
	q.moved.Broadcast()
	return true
}

// empty reports whether nothing is under way, so that bytes may bypass the queue without
// changing their order.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.idle
}

// drain waits until everything was written. It returns false if that is impossible.
func (q *queue) drain() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.idle && !q.closed {
		q.moved.Wait()
	}
	return q.idle
}

// close ends the queue's goroutine; what is under way is lost, as the direction is over.
func (q *queue) close() {
	q.shut()
	q.wg.Wait()
}

func (q *queue) shut() {
	q.mu.Lock()
	q.closed = true
	q.moved.Broadcast()
	q.mu.Unlock()
}

func (q *queue) run() {
	defer q.shut()
	for {
		head, ok := q.head()
		if !ok {
			return
		}
		for q.last, q.portion = (time.Time{}), 0; len(head.b) > 0; {
			n, ok := q.next(head)
			if !ok {
				return
			}
			written, err := q.pipe.to.Write(head.b[:n])
			q.pipe.count(written)
			if err != nil {
				q.pipe.fail()
				return
			}
			head.b = head.b[n:]
			q.wrote(n, len(head.b) == 0)
		}
	}
}

// head waits for the first parcel and takes it. It returns false if the queue was closed.
func (q *queue) head() (parcel, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.parcels) == 0 && !q.closed {
		q.moved.Wait()
	}
	if q.closed {
		return parcel{}, false
	}
	head := q.parcels[0]
	q.parcels[0] = parcel{}
	q.parcels = q.parcels[1:]
	return head, true
}

// wrote records that bytes were written.
func (q *queue) wrote(n int, last bool) {
	q.last = time.Now()
	if late := q.last.Add(-maxCatchUp); q.free.Before(late) {
		q.free = late
	}
	q.mu.Lock()
	q.bytes -= n
	q.idle = last && len(q.parcels) == 0
	q.moved.Broadcast()
	q.mu.Unlock()
}

// next waits until bytes of a parcel may be written, and returns how many. It decides again
// whenever the faults change. It returns false if the relay has ended.
func (q *queue) next(head parcel) (n int, ok bool) {
	for {
		now := q.pipe.relay.current()
		pace := q.pipe.pace(now, head.waits)
		n, at := q.portionOf(head, pace)
		left := time.Until(at)
		if left <= 0 {
			if pace.perSecond > 0 {
				q.free = at
			}
			q.portion, q.paused = max(0, q.portion-int64(n)), false
			return n, true
		}
		if !q.pipe.wait(left, now.changed) {
			return 0, false
		}
	}
}

// portionOf returns how many bytes of a parcel are written next, and when.
func (q *queue) portionOf(head parcel, p pace) (n int, at time.Time) {
	n, at = len(head.b), head.came.Add(p.delay)
	if p.slice > 0 {
		if q.portion == 0 {
			q.portion, q.paused = q.draw(p), !q.last.IsZero()
		}
		if q.paused {
			at = later(at, q.last.Add(p.pause))
		}
		n = int(min(int64(n), q.portion))
	} else {
		q.portion = 0
	}
	if p.perSecond > 0 {
		n = int(min(int64(n), max(1, p.perSecond/int64(time.Second/beat))))
		at = later(at, q.free).Add(time.Duration(float64(n) / float64(p.perSecond) * float64(time.Second)))
	}
	return n, at
}

// draw returns the length of the next portion.
func (q *queue) draw(p pace) int64 {
	n, vary := min(p.slice, maxPortion), min(p.vary, maxPortion)
	if vary > 0 {
		n += int64(p.sliced.Pick(q.drawn, int(2*vary+1))) - vary
		q.drawn++
	}
	return max(1, n)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
