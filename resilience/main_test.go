package resilience_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("down")

// policy is a policy with a limit and a deadline; the caller adds to it.
func policy() resilience.Policy {
	return resilience.Policy{
		Name:     "dep",
		Bulkhead: resilience.BulkheadPolicy{Limit: 10},
		Default:  resilience.OperationPolicy{Timeout: time.Second},
	}
}

func mustNew(t testing.TB, p resilience.Policy, opts ...resilience.Option) *resilience.Guard {
	t.Helper()
	g, err := resilience.New(p, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// answer and fail are calls that return at once.
func answer(context.Context) (int, error) { return 42, nil }
func fail(context.Context) (int, error)   { return 0, errDown }

// takes is a call that honours its context and takes d.
func takes(d time.Duration) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		select {
		case <-time.After(d):
			return 42, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// log collects events.
type log struct {
	mu     sync.Mutex
	events []resilience.Event
}

func (l *log) Handle(_ context.Context, e resilience.Event) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	return nil
}

func (l *log) of(kind resilience.EventKind) []resilience.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []resilience.Event
	for _, e := range l.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

func wantIdle(t *testing.T, g *resilience.Guard) {
	t.Helper()
	if s := g.Snapshot(); s.InFlight != 0 || s.Waiting != 0 {
		t.Errorf("in flight %d, waiting %d; want none", s.InFlight, s.Waiting)
	}
}
