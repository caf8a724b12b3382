package resilience

import (
	"context"
	"sync"
	"sync/atomic"
)

// listeners passes on what happens in a gate. A call's events are emitted where they
// happen. Changes of state are queued under the lock that makes them and delivered
// afterwards by one goroutine at a time, so that they arrive in order and no lock is
// held.
type listeners struct {
	all    []Listener // never changes
	panics atomic.Int64
	tasks  tasks

	mu         sync.Mutex
	pending    []change
	delivering bool
}

// change is a change of state, and the context of what caused it.
type change struct {
	ctx   context.Context
	event Event
}

// emit passes one event to all listeners and returns the context that they want.
func (l *listeners) emit(ctx context.Context, e *Event) context.Context {
	for _, listener := range l.all {
		if next := l.handle(ctx, listener, e); next != nil {
			ctx = next
		}
	}
	return ctx
}

// handle calls one listener. A panic in it ends only the handling of this event. Goexit
// ends the goroutine; deferred functions give back what that goroutine holds.
func (l *listeners) handle(ctx context.Context, listener Listener, e *Event) context.Context {
	defer l.survive()
	return listener.Handle(ctx, *e)
}

func (l *listeners) survive() {
	if recover() != nil {
		l.panics.Add(1)
	}
}

// queue stores a change of state until deliver is called. It may be called under any
// lock.
func (l *listeners) queue(ctx context.Context, e Event) {
	if len(l.all) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// Of changes of the limit only the newest is kept, so that a slow listener does not
	// make them pile up.
	if n := len(l.pending); e.Kind == LimitChanged && n > 0 && l.pending[n-1].event.Kind == LimitChanged {
		l.pending[n-1] = change{ctx, e}
		return
	}
	l.pending = append(l.pending, change{ctx, e})
}

// deliver emits what is queued now. If another goroutine is already delivering, that
// one emits this too. Changes that are queued meanwhile are left to a goroutine of the
// gate, so that no caller is held up by the events of others. No lock is held.
func (l *listeners) deliver() {
	if len(l.all) == 0 {
		return
	}
	l.mu.Lock()
	if l.delivering || len(l.pending) == 0 {
		l.mu.Unlock()
		return
	}
	l.delivering = true
	own := len(l.pending)
	l.mu.Unlock()
	l.drain(own)
}

// drain emits at most the given number of changes and hands over the rest. The caller
// must have set delivering.
func (l *listeners) drain(most int) {
	done := false
	defer func() {
		if !done { // a listener ended this goroutine
			l.handOver()
		}
	}()
	for ; most > 0; most-- {
		next, ok := l.next()
		if !ok {
			done = true
			return
		}
		l.emit(next.ctx, &next.event)
	}
	done = true
	l.handOver()
}

// next takes the oldest change. If there is none, it ends the delivery.
func (l *listeners) next() (c change, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 {
		l.delivering = false
		return c, false
	}
	c = l.pending[0]
	l.pending = l.pending[1:]
	return c, true
}

// handOver lets a goroutine of the gate continue, if anything is left.
func (l *listeners) handOver() {
	l.mu.Lock()
	if len(l.pending) == 0 {
		l.delivering = false
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	const all = int(^uint(0) >> 1)
	if !l.tasks.start(func() { l.drain(all) }) {
		l.drain(all) // the gate is closed: little is left, and nobody else will deliver it
	}
}
