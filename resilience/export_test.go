package resilience

import (
	"time"
	"unsafe"
)

// StepWallClock makes the guard see a wall clock that was stepped by d since the
// guard was made: it changes the wall part of its base, not the monotonic one.
func (g *Guard) StepWallClock(d time.Duration) {
	// The layout is that of package time: with a monotonic reading, wall holds a
	// flag, 33 bits of seconds and 30 bits of nanoseconds.
	wall := (*uint64)(unsafe.Pointer(&g.base))
	*wall -= uint64(int64(d/time.Second)) << 30
}

// Measured is how many attempts of the default operation the quantile of hedges counts.
func (g *Guard) Measured() int64 { return g.own.latency.count.Load() }

// Len is how many values are held.
func (l *LastGood[T]) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries.Len()
}
