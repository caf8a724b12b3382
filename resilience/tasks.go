package resilience

import (
	"context"
	"fmt"
	"sync"

	"github.com/backstay-go/backstay/internal/plural"
)

// tasks are the goroutines that a gate owns: refreshes, and the delivery of events that
// a caller handed over. Each ends soon after the gate's context does, provided that the
// call that it makes respects its context. Safe for concurrent use.
type tasks struct {
	mu      sync.Mutex
	closed  bool
	running int
	// idle is closed when the last task ends after close; nil until then.
	idle chan struct{}
}

// start runs f on a goroutine. It reports false, and does nothing, after close.
func (t *tasks) start(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.running++
	go func() {
		defer t.done()
		f()
	}()
	return true
}

func (t *tasks) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	if t.running == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// close refuses further tasks.
func (t *tasks) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// wait waits for all tasks until ctx is done. Call close before.
func (t *tasks) wait(ctx context.Context, name string) error {
	t.mu.Lock()
	if t.running == 0 {
		t.mu.Unlock()
		return nil
	}
	if t.idle == nil {
		t.idle = make(chan struct{})
	}
	idle := t.idle
	t.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Errorf("resilience: shut down %s: %s still running: %w; give the call its context, or the operation detach: true",
		name, plural.Count(t.running, "goroutine"), context.Cause(ctx))
}
