package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/backstay-go/backstay/resilience"
)

// TestEveryAttemptIsEnded has many attempts with different deadlines that wait for
// nothing else, among many that end before. If an alarm got lost, it would hang.
func TestEveryAttemptIsEnded(t *testing.T) {
	p := policy()
	p.Bulkhead.Limit = 10_000
	p.Operations = map[string]resilience.OperationPolicy{}
	for i := range 5 {
		p.Operations[fmt.Sprint(i)] = resilience.OperationPolicy{Timeout: time.Duration(1+i*i) * time.Millisecond}
	}
	g := mustNew(t, p)
	var wg sync.WaitGroup
	for i := range 50 {
		operation := g.Operation(fmt.Sprint(i % 5))
		wg.Go(func() {
			for range 20 {
				err := resilience.Run(t.Context(), operation, func(ctx context.Context) error {
					<-ctx.Done()
					return ctx.Err()
				})
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 200 {
				if _, err := resilience.Do(t.Context(), g, selects); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	wantIdle(t, g)
}

// TestAClosedGuardIsCollected: the timer that the attempts of a guard share does not keep
// the guard in memory once it is closed.
func TestAClosedGuardIsCollected(t *testing.T) {
	for _, closeFirst := range []bool{false, true} {
		guard := func() weak.Pointer[resilience.Guard] {
			p := policy()
			p.Default.Timeout = time.Hour
			g, err := resilience.New(p)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
				_ = ctx.Done()
				if closeFirst {
					_ = g.Close()
				}
				return 0, nil
			}); err != nil {
				t.Fatal(err)
			}
			_ = g.Close()
			return weak.Make(g)
		}()
		for range 10 {
			runtime.GC()
		}
		if guard.Value() != nil {
			t.Errorf("closed before the call ended: %v: the guard is still in memory", closeFirst)
		}
	}
}
