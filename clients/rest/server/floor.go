package server

import (
	"sync"
	"time"
)

const (
	// floorWindow is how long a measurement counts, and up to twice as long.
	floorWindow = 5 * time.Second
	// floorCalls is the minimum number of measurements.
	floorCalls = 20
	// floorProbe is the interval at which a request may run nevertheless.
	floorProbe = 100 * time.Millisecond
)

// floor measures the shortest time in which an operation has recently succeeded. A request
// with less time left can't be served in time, and is refused at once.
//
// If in doubt, it lets requests run: it refuses nothing before it has enough measurements,
// drops old ones, and lets a request run now and then, so that it notices when the operation
// has become faster. It is safe for concurrent use.
type floor struct {
	mu        sync.Mutex
	since     time.Time // when the newer half started
	now, old  half
	lastProbe time.Time
}

// half holds the measurements of half of the window.
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

// admits reports whether a request with this much time left may run. probe: it may run only
// to find out how fast the operation is now.
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
