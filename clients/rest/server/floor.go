package server

import (
	"sync"
	"time"
)

const (
	// floorWindow is how long a measurement counts, and up to twice as long.
	floorWindow = 5 * time.Second
	// floorCalls is the fewest measurements that say anything.
	floorCalls = 20
	// floorProbe is how often a request is let through all the same.
	floorProbe = 100 * time.Millisecond
)

// floor knows the least time in which an operation has lately succeeded: a request
// with less left can't be done in time, and is better refused at once.
//
// It errs on the side of running: it knows nothing before it has seen enough, forgets
// what is old, and lets a request through now and then, so that it notices at once
// when the operation has become faster. Safe for concurrent use.
type floor struct {
	mu        sync.Mutex
	since     time.Time // when the newer half began
	now, old  half
	lastProbe time.Time
}

// half is what was seen in half of the window.
type half struct {
	least time.Duration
	calls int
}

// saw counts a success that ended at now.
func (f *floor) saw(took time.Duration, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turnLocked(now)
	if f.now.calls == 0 || took < f.now.least {
		f.now.least = took
	}
	f.now.calls++
}

// admits reports whether a request with so much time left may succeed. probe: it is
// let through to find out.
func (f *floor) admits(left time.Duration, now time.Time) (ok, probe bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turnLocked(now)
	least := f.now.least
	if f.now.calls == 0 || f.old.calls > 0 && f.old.least < least {
		least = f.old.least
	}
	if f.now.calls+f.old.calls < floorCalls || left >= least {
		return true, false
	}
	if now.Sub(f.lastProbe) >= floorProbe {
		f.lastProbe = now
		return true, true
	}
	return false, false
}

func (f *floor) turnLocked(now time.Time) {
	switch age := now.Sub(f.since); {
	case age < floorWindow:
	case age < 2*floorWindow:
		f.old, f.now, f.since = f.now, half{}, now
	default:
		f.old, f.now, f.since = half{}, half{}, now
	}
}
