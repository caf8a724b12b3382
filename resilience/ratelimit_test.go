package resilience_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// runs is how many of n calls run; the others must be refused by the rate limit.
func runs(t *testing.T, g *resilience.Guard, n int) (ran int) {
	t.Helper()
	for range n {
		if _, err := resilience.Do(t.Context(), g, answer); err == nil {
			ran++
		} else if !errors.Is(err, resilience.ErrRateLimited) {
			t.Fatal(err)
		}
	}
	return ran
}

// TestRateLimitIsATokenBucket: full at the start, filled by time up to its size, and kept
// over a change of the policy.
func TestRateLimitIsATokenBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.RateLimit = &resilience.RateLimitPolicy{PerSecond: 10, Burst: 4}
		g := mustNew(t, p)
		for _, step := range []struct {
			pass time.Duration
			want int
		}{{0, 4}, {0, 0}, {300 * time.Millisecond, 3}, {time.Hour, 4}} {
			time.Sleep(step.pass)
			if got := runs(t, g, 9); got != step.want {
				t.Errorf("after %v more %d ran; want %d", step.pass, got, step.want)
			}
		}
		p.RateLimit = &resilience.RateLimitPolicy{PerSecond: 100, Burst: 8}
		if err := g.Update(p); err != nil {
			t.Fatal(err)
		}
		if got := runs(t, g, 9); got != 0 {
			t.Errorf("%d ran after an update; want none, for the bucket was empty", got)
		}
		time.Sleep(50 * time.Millisecond)
		if got := runs(t, g, 9); got != 5 {
			t.Errorf("%d ran at the new rate; want 5", got)
		}
	})
}

// TestRateLimitCountsWhatTheDependencyGets: retries take tokens too, and an attempt that
// another policy refuses takes none, however long it waited and whatever ran meanwhile.
func TestRateLimitCountsWhatTheDependencyGets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := retrying()
		p.Default.Retry = &resilience.RetryPolicy{MaxAttempts: 3, BaseDelay: 1}
		p.RateLimit = &resilience.RateLimitPolicy{PerSecond: 0.001, Burst: 5}
		g := mustNew(t, p)
		if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) {
			t.Fatal(err)
		}
		if got := runs(t, g, 9); got != 2 {
			t.Errorf("%d ran after 3 attempts; want 2", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 1, Queue: 100, MaxWait: 2 * time.Second}
		p.Default.Timeout = time.Minute
		p.RateLimit = &resilience.RateLimitPolicy{PerSecond: 10, Burst: 100}
		g := mustNew(t, p)
		if got := runs(t, g, 60); got != 60 { // so that time does not fill the bucket
			t.Fatal(got)
		}
		release := occupy(t, g, 1)
		var wg sync.WaitGroup
		for range 20 { // they wait in vain, one after another
			wg.Go(func() {
				if _, err := resilience.Do(t.Context(), g, answer); !errors.Is(err, resilience.ErrFull) {
					t.Error(err)
				}
			})
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		release()
		wg.Wait()
		// 39, and 10 a second for 4 s.
		if got := runs(t, g, 100); got != 79 {
			t.Errorf("%d ran; want 79: those that were refused have had no token", got)
		}
	})
}
