package resilience_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

func TestCoalesceSharesOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, policy())
		var n atomic.Int32
		call := func(ctx context.Context) (int, error) {
			n.Add(1)
			return takes(100 * time.Millisecond)(ctx)
		}
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := resilience.Do(first, g, call, resilience.Coalesce[int]("k")); !errors.Is(err, context.Canceled) {
				t.Errorf("the one that left: %v", err)
			}
		})
		synctest.Wait()
		for range 5 {
			wg.Go(func() {
				if res, err := resilience.Do(t.Context(), g, call, resilience.Coalesce[int]("k")); err != nil || res.Value != 42 || res.Attempts != 1 {
					t.Errorf("%+v, %v", res, err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if n.Load() != 1 {
			t.Errorf("called %d times", n.Load())
		}
		wantIdle(t, g)
	})
}

func TestCoalesceIsCancelledWhenAllHaveLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, policy())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := resilience.Do(ctx, g, takes(500*time.Millisecond), resilience.Coalesce[int]("k"))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		synctest.Wait()
		wantIdle(t, g)
		if res, err := resilience.Do(t.Context(), g, answer, resilience.Coalesce[int]("k")); err != nil || res.Value != 42 {
			t.Errorf("%+v, %v", res, err)
		}
	})
}
