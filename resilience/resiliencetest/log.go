package resiliencetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/backstay-go/backstay/resilience"
)

// Log keeps every event that its guards emit. Add it with resilience.WithListener.
// It is safe for concurrent use, and its zero value is ready.
type Log struct {
	mu     sync.Mutex
	events []resilience.Event
}

// Handle implements resilience.Listener.
func (l *Log) Handle(_ context.Context, e resilience.Event) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	return nil
}

// Events returns the events of the given kinds, or all, in the order they came.
func (l *Log) Events(kinds ...resilience.EventKind) []resilience.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []resilience.Event
	for _, e := range l.events {
		if len(kinds) == 0 || slices.Contains(kinds, e.Kind) {
			found = append(found, e)
		}
	}
	return found
}

// Reset removes all events.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = nil
}

// Refused returns how many refusals of a kind there were: resilience.ErrOpen,
// ErrFull, ErrRateLimited, ErrClosed, or ErrRefused for all.
func (l *Log) Refused(kind error) (n int) {
	for _, e := range l.Events(resilience.Refused) {
		if errors.Is(e.Err, kind) {
			n++
		}
	}
	return n
}

// WantRefused fails the test unless there were n refusals of a kind.
func (l *Log) WantRefused(tb testing.TB, kind error, n int) {
	tb.Helper()
	if got := l.Refused(kind); got != n {
		tb.Errorf("%d refusals of kind %q; want %d", got, kind, n)
	}
}

// WantBreaker fails the test unless the breaker went through these states.
func (l *Log) WantBreaker(tb testing.TB, states ...resilience.BreakerState) {
	tb.Helper()
	var path []resilience.BreakerState
	for _, e := range l.Events(resilience.BreakerChanged) {
		path = append(path, e.To)
	}
	if !slices.Equal(path, states) {
		tb.Errorf("the breaker became %v; want %v", path, states)
	}
}

// WantIdle fails the test if the guard still holds a permit or has a waiter. In a
// bubble of synctest call synctest.Wait first, so that work which was let go of
// has ended.
func WantIdle(tb testing.TB, g *resilience.Guard) {
	tb.Helper()
	if s := g.Snapshot(); s.InFlight != 0 || s.Waiting != 0 {
		tb.Errorf("%s: %d in flight, %d waiting; want none", g.Name(), s.InFlight, s.Waiting)
	}
}

// WantSource fails the test unless the result came from the given source.
func WantSource[T any](tb testing.TB, res resilience.Result[T], from resilience.Source) {
	tb.Helper()
	if res.Source != from {
		tb.Errorf("the value came from %v (cause: %v); want %v", res.Source, res.Cause, from)
	}
}
