package clock

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// ErrExpired is the error of Recv when its time is up.
var ErrExpired = errors.New("clock: time is up")

// Clock is virtual time; a nil Clock is real time. A virtual clock is not safe for
// concurrent use: the goroutines that Go and AfterFunc start run one at a time, while
// Run runs. Such a goroutine may wait only through Recv. A Clock need not be closed.
type Clock struct {
	start   time.Time
	elapsed time.Duration
	rand    *rand.Rand
	entries entries
	made    uint64 // number of entries so far: of two that are due at once the older runs first
	ready   []*task
	running *task
	waiting map[any]*task // by the channel from which each receives
}

// New returns a virtual clock that stands at start.
func New(start time.Time, seed uint64) *Clock {
	return &Clock{start: start.Round(0), rand: rand.New(rand.NewPCG(seed, 0)), waiting: map[any]*task{}}
}

// Timer is a timer of AfterFunc, like that of package time.
type Timer interface {
	Stop() bool
	Reset(time.Duration) bool
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	if c == nil {
		return time.Now()
	}
	return c.start.Add(c.elapsed)
}

// Since returns the time that has passed since t.
func (c *Clock) Since(t time.Time) time.Duration {
	if c == nil {
		return time.Since(t)
	}
	return c.Now().Sub(t)
}

// Float64 draws from [0, 1).
func (c *Clock) Float64() float64 {
	if c == nil {
		return rand.Float64()
	}
	return c.rand.Float64()
}

// AfterFunc calls f on a new goroutine after d. On a virtual clock f must
// not wait.
func (c *Clock) AfterFunc(d time.Duration, f func()) Timer {
	if c == nil {
		return time.AfterFunc(d, f)
	}
	return c.add(d, f)
}

// Go runs f on a new goroutine.
func (c *Clock) Go(f func()) {
	if c == nil {
		go f()
		return
	}
	c.spawn(f)
}

// Recv receives from a channel for at most d and until ctx is done. If nothing came it
// returns ErrExpired or the context's error. On a virtual clock, senders must use Send,
// and a context that ends must come from WithDeadline.
func Recv[T any](ctx context.Context, c *Clock, from <-chan T, d time.Duration) (v T, err error) {
	if c != nil {
		return recv(ctx, c, from, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case v = <-from:
	case <-timer.C:
		err = ErrExpired
	case <-ctx.Done():
		err = ctx.Err()
	}
	return v, err
}

// Send sends on a channel that has room.
func Send[T any](c *Clock, to chan T, v T) {
	to <- v
	if c != nil {
		c.wake(c.waiting[(<-chan T)(to)])
	}
}

// WithDeadline is context.WithDeadline on this clock.
func (c *Clock) WithDeadline(parent context.Context, at time.Time) (context.Context, context.CancelFunc) {
	if c == nil {
		return context.WithDeadline(parent, at)
	}
	return c.withDeadline(parent, at)
}
