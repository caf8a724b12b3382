package resilience

import (
	"context"
	"math"
	"math/bits"
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// alarms end the contexts of a gate's attempts when their time is up. All attempts of a
// shard share one timer of the runtime, which is set to the earliest deadline that it
// was asked for and looks for the next one when it fires. So an attempt that ends in
// time, as most do, costs an entry in a heap and not a timer. Safe for concurrent use.
type alarms []alarmShard

// alarmShard has the attempts of one part of the memory, which is usually one core's.
type alarmShard struct {
	gate  *gate
	mu    sync.Mutex
	heap  []*lazyDeadline // the earliest end first
	timer *time.Timer     // nil until the first attempt
	armed int64           // when the timer fires; math.MaxInt64 if it does not
	// closed is set once the gate is closed. An unused timer is then stopped, because
	// it would keep the gate in memory.
	closed bool
	_      cacheLine
}

func newAlarms(g *gate) *alarms {
	a := make(alarms, 1<<bits.Len(uint(min(runtime.GOMAXPROCS(0), 16)-1)))
	for i := range a {
		a[i].gate, a[i].armed = g, math.MaxInt64
	}
	return &a
}

// alarmFor returns the shard to which an attempt belongs.
func (g *gate) alarmFor(d *lazyDeadline) *alarmShard {
	a := g.alarms.Load()
	if a == nil {
		g.alarms.CompareAndSwap(nil, newAlarms(g))
		a = g.alarms.Load()
	}
	// One core allocates from one page for some time.
	page := uint(uintptr(unsafe.Pointer(d)) >> 13)
	return &(*a)[page&uint(len(*a)-1)]
}

// publish makes a context the inner one of the attempt and, if it is timed, plans its end.
// It reports false if the context has to end now: the attempt has one already, or is over.
func (s *alarmShard) publish(d *lazyDeadline, inner context.Context, cancel context.CancelFunc, bits uint32, timed bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.has(demanded) {
		return false
	}
	d.inner, d.cancel = inner, cancel
	// finish and timeIsUp record the end before they look for demanded, and here
	// demanded is recorded before looking for the end: one of the two sees the other.
	if reason := d.Or(bits) & endReason; reason == endedByTime || reason == endedByGuard {
		return false
	}
	if timed {
		s.heap = append(s.heap, d)
		s.upLocked(len(s.heap) - 1)
		if d.end < s.armed {
			s.armLocked(d.end)
		}
	}
	return true
}

// remove forgets an attempt.
func (s *alarmShard) remove(d *lazyDeadline) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.alarm == 0 {
		return
	}
	s.removeLocked(int(d.alarm) - 1)
	s.stopLocked()
}

// ring ends what is due.
func (s *alarmShard) ring() {
	for d := s.due(); d != nil; d = s.due() {
		d.timeIsUp()
	}
}

// due takes out an attempt whose time is up. If there is none, it sets the timer.
func (s *alarmShard) due() *lazyDeadline {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heap) == 0 {
		s.armed = math.MaxInt64
		return nil
	}
	first := s.heap[0]
	if s.gate.now() < first.end {
		s.armLocked(first.end)
		return nil
	}
	s.removeLocked(0)
	return first
}

func (s *alarmShard) armLocked(at int64) {
	s.armed = at
	wait := time.Duration(at - s.gate.now())
	if s.timer == nil {
		s.timer = time.AfterFunc(wait, s.ring)
		return
	}
	s.timer.Reset(wait)
}

// close stops the timer as soon as it is not needed.
func (s *alarmShard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.stopLocked()
}

func (s *alarmShard) stopLocked() {
	// A timer of another synctest bubble must not be touched.
	if s.closed && len(s.heap) == 0 && s.timer != nil && !isForeign(s.gate.now()) {
		s.timer.Stop()
		s.armed = math.MaxInt64
	}
}

func (s *alarmShard) removeLocked(i int) {
	last := len(s.heap) - 1
	s.heap[i].alarm = 0
	moved := s.heap[last]
	s.heap[last] = nil
	s.heap = s.heap[:last]
	if i < last {
		s.putLocked(i, moved)
		s.downLocked(i)
		s.upLocked(int(moved.alarm) - 1)
	}
}

func (s *alarmShard) putLocked(i int, d *lazyDeadline) {
	s.heap[i] = d
	d.alarm = int32(i + 1)
}

// upLocked moves an entry towards the front until none before it is later.
func (s *alarmShard) upLocked(i int) {
	d := s.heap[i]
	for i > 0 {
		parent := (i - 1) / 2
		if s.heap[parent].end <= d.end {
			break
		}
		s.putLocked(i, s.heap[parent])
		i = parent
	}
	s.putLocked(i, d)
}

// downLocked moves an entry towards the back until none after it is earlier.
func (s *alarmShard) downLocked(i int) {
	d := s.heap[i]
	for {
		child := 2*i + 1
		if child >= len(s.heap) {
			break
		}
		if next := child + 1; next < len(s.heap) && s.heap[next].end < s.heap[child].end {
			child = next
		}
		if d.end <= s.heap[child].end {
			break
		}
		s.putLocked(i, s.heap[child])
		i = child
	}
	s.putLocked(i, d)
}
