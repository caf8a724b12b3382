package resilience_test

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// reentrant is a listener that does what listeners should not be able to break.
type reentrant struct {
	g      atomic.Pointer[resilience.Guard]
	policy resilience.Policy
	path   chan resilience.Event
	panics bool
	exits  bool
}

func (l *reentrant) Handle(_ context.Context, e resilience.Event) context.Context {
	if e.Kind != resilience.BreakerChanged {
		return nil
	}
	l.path <- e
	g := l.g.Load()
	_ = g.Snapshot()
	_ = g.Policy()
	if err := g.Update(l.policy); err != nil {
		panic(err)
	}
	if l.panics {
		panic("bad listener")
	}
	if l.exits {
		runtime.Goexit()
	}
	return nil
}

// TestPitfall10ListenersCanDoNoHarm: State() inside OnStateChange deadlocks gobreaker#37;
// events out of order in go-redis PR#3991; a panicking listener stops delivery.
func TestPitfall10ListenersCanDoNoHarm(t *testing.T) {
	for _, way := range []string{"polite", "panics", "exits"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := breaking()
				l := &reentrant{policy: p, path: make(chan resilience.Event, 100), panics: way == "panics", exits: way == "exits"}
				later := &log{}
				g := mustNew(t, p, resilience.WithListener(l), resilience.WithListener(later))
				l.g.Store(g)
				do := func(call func(context.Context) (int, error)) {
					done := make(chan struct{})
					go func() { // Goexit of a listener ends this goroutine, and nothing else
						defer close(done)
						_, _ = resilience.Do(t.Context(), g, call)
					}()
					<-done
				}
				for range 3 {
					for range 4 {
						do(fail)
					}
					time.Sleep(time.Until(g.Snapshot().OpenUntil))
					synctest.Wait()
					for range 3 {
						do(answer)
					}
					if s := state(g); s != resilience.BreakerClosed {
						t.Fatalf("%v; want closed", s)
					}
				}
				synctest.Wait()
				close(l.path)
				var path []resilience.BreakerState
				for e := range l.path {
					if n := len(path); n > 0 && path[n-1] != e.From {
						t.Fatalf("from %v after %v", e.From, path)
					}
					path = append(path, e.To)
				}
				once := []resilience.BreakerState{resilience.BreakerOpen, resilience.BreakerHalfOpen, resilience.BreakerClosed}
				if want := slices.Concat(once, once, once); !slices.Equal(path, want) {
					t.Errorf("got %v; want %v", path, want)
				}
				if way == "panics" && (g.Snapshot().ListenerPanics != 9 || len(later.of(resilience.BreakerChanged)) != 9) {
					t.Errorf("%d panics counted, %d events passed to the next listener", g.Snapshot().ListenerPanics, len(later.of(resilience.BreakerChanged)))
				}
				wantIdle(t, g)
			})
		})
	}
}
