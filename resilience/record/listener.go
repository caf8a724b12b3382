package record

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// Listen returns a listener that calls each for every call that has ended, on the call's
// goroutine. now returns the time since began. Both functions must be safe for concurrent
// use. The listener keeps nothing about a call that has ended.
func Listen(began time.Time, now func() time.Duration, each func(Call)) resilience.Listener {
	return &listener{began: began, now: now, each: each}
}

type listener struct {
	began time.Time
	now   func() time.Duration
	each  func(Call)
}

// entry is a running call. It is also the call's context, so that later events find it.
type entry struct {
	context.Context
	of    *listener
	start time.Duration
	class resilience.Criticality
	// patience is Call.Patience.
	patience time.Duration

	mu       sync.Mutex
	over     bool
	attempts []Attempt
	room     [2]Attempt // enough for most calls
}

// running marks an attempt that has not ended, in place of its duration.
const running time.Duration = -1

// entryKey finds a listener's entry in a context.
type entryKey struct{ l *listener }

// Value implements context.Context.
func (c *entry) Value(key any) any {
	if k, ok := key.(entryKey); ok && k.l == c.of {
		return c
	}
	return c.Context.Value(key)
}

// Handle implements resilience.Listener.
func (l *listener) Handle(ctx context.Context, e resilience.Event) context.Context {
	if e.Kind == resilience.CallStarted {
		c := &entry{Context: ctx, of: l, start: l.now(), class: e.Criticality}
		c.attempts = c.room[:0]
		if deadline, ok := ctx.Deadline(); ok {
			c.patience = max(deadline.Sub(l.began)-c.start, time.Microsecond) // the shortest time that a line can state
		}
		return c
	}
	c, ok := ctx.Value(entryKey{l}).(*entry)
	if !ok {
		return nil
	}
	switch e.Kind {
	case resilience.AttemptStarted:
		c.begin(e, l.now())
	case resilience.AttemptEnded:
		c.end(e)
	case resilience.CallEnded:
		l.each(c.call(e, l.now()))
	}
	return nil
}

// begin adds an attempt.
func (c *entry) begin(e resilience.Event, now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over && e.Attempt == len(c.attempts)+1 {
		c.attempts = append(c.attempts, Attempt{Start: max(0, now-c.start), Took: running, Hedge: e.Hedged})
	}
}

func (c *entry) end(e resilience.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := e.Attempt - 1; !c.over && i >= 0 && i < len(c.attempts) && c.attempts[i].Took == running {
		a := &c.attempts[i]
		a.Outcome, a.Took, a.After = e.Verdict.Outcome, max(0, e.Took), max(0, e.Verdict.After)
		a.Cut = errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, context.Canceled)
	}
}

// call returns the call, which has ended.
func (c *entry) call(e resilience.Event, now time.Duration) Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for i := range c.attempts {
		if a := &c.attempts[i]; a.Took == running { // it still runs
			a.Outcome, a.Cut, a.Took = resilience.Ignored, true, max(0, now-c.start-a.Start)
		}
	}
	attempts := c.attempts
	if len(attempts) == 0 {
		attempts = nil
	}
	call := Call{
		Start: c.start, Dependency: e.Dependency, Operation: e.Operation, Criticality: c.class,
		Answered: e.Err == nil, Source: e.Source, Cause: causeOf(e.Dependency, e.Err), Took: e.Took, Patience: c.patience, Attempts: attempts,
	}
	if e.Err == nil {
		call.Cause = causeOf(e.Dependency, e.Cause)
	}
	return call
}
