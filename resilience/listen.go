package resilience

import (
	"context"
	"sync"
	"sync/atomic"
)

// listening tells a guard's listeners what happens. A call's events are told
// where they happen; changes of the guard's state are queued under the lock that
// makes them and told afterwards, one goroutine at a time, so that they arrive in
// their order and no lock is held.
type listening struct {
	listeners []Listener // never changes
	panics    atomic.Int64

	mu      sync.Mutex
	pending []change
	telling bool
}

// change is a change of state, and the context of what caused it.
type change struct {
	ctx   context.Context
	event Event
}

// tell tells one event and returns the context that the listeners want.
func (l *listening) tell(ctx context.Context, e *Event) context.Context {
	for _, listener := range l.listeners {
		if next := l.handle(ctx, listener, e); next != nil {
			ctx = next
		}
	}
	return ctx
}

// handle calls one listener. A panic in it ends nothing but its own event. Goexit
// ends the goroutine; what it holds is given back by deferred functions.
func (l *listening) handle(ctx context.Context, listener Listener, e *Event) context.Context {
	defer l.survive()
	return listener.Handle(ctx, *e)
}

func (l *listening) survive() {
	if recover() != nil {
		l.panics.Add(1)
	}
}

// queue keeps a change of state until deliver. It may be called under any lock.
func (l *listening) queue(ctx context.Context, e Event) {
	if len(l.listeners) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// Of limits only the newest counts; a slow listener must not make them pile up.
	if n := len(l.pending); e.Kind == LimitChanged && n > 0 && l.pending[n-1].event.Kind == LimitChanged {
		l.pending[n-1] = change{ctx, e}
		return
	}
	l.pending = append(l.pending, change{ctx, e})
}

// deliver tells what is queued, unless another goroutine is at it, which then
// tells this too. No lock is held.
func (l *listening) deliver() {
	if len(l.listeners) == 0 {
		return
	}
	l.mu.Lock()
	if l.telling || len(l.pending) == 0 {
		l.mu.Unlock()
		return
	}
	l.telling = true
	l.mu.Unlock()
	done := false
	defer func() {
		if !done { // a listener ended this goroutine
			l.mu.Lock()
			l.telling = false
			l.mu.Unlock()
			l.deliver()
		}
	}()
	for {
		l.mu.Lock()
		if len(l.pending) == 0 {
			l.telling, done = false, true
			l.mu.Unlock()
			return
		}
		next := l.pending[0]
		l.pending = l.pending[1:]
		l.mu.Unlock()
		l.tell(next.ctx, &next.event)
	}
}
