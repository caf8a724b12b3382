package resilience_test

import (
	"context"
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

// TestARateLimitLetsAttemptsWait up to a time, each for its own token, and says when the
// next one comes.
func TestARateLimitLetsAttemptsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.RateLimit = &resilience.RateLimitPolicy{PerSecond: 1, Burst: 1, MaxWait: 2500 * time.Millisecond}
		p.Default.Timeout = time.Minute
		g := mustNew(t, p)
		began := time.Now()
		var all sync.WaitGroup
		var mu sync.Mutex
		var ends []time.Duration
		var refused []error
		for range 5 {
			all.Go(func() {
				_, err := resilience.Do(t.Context(), g, answer)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					refused = append(refused, err)
				} else {
					ends = append(ends, time.Since(began))
				}
			})
			synctest.Wait()
		}
		all.Wait()
		if len(ends) != 3 || ends[0] != 0 || ends[1] != time.Second || ends[2] != 2*time.Second {
			t.Errorf("ran after %v; want 0, 1 s and 2 s", ends)
		}
		for _, err := range refused {
			var r *resilience.Refusal
			if !errors.Is(err, resilience.ErrRateLimited) || !errors.As(err, &r) || r.Until.Sub(began) != 3*time.Second {
				t.Errorf("%v, until %v; want the token that comes after 3 s", err, r.Until.Sub(began))
			}
		}
		// A caller that leaves gives its token back; a deadline bounds the wait.
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := resilience.Do(ctx, g, answer); !errors.Is(err, resilience.ErrRateLimited) {
			t.Errorf("a wait beyond the deadline: %v", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		if _, err := resilience.Do(ctx, g, answer); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		time.Sleep(900 * time.Millisecond)
		if _, err := resilience.Do(t.Context(), g, answer); err != nil || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %v; want the token that was given back", err, time.Since(began))
		}
		wantIdle(t, g)
	})
}

// TestRefusalsOfTheRateLimitAllocateNothing while the next token is the same.
func TestRefusalsOfTheRateLimitAllocateNothing(t *testing.T) {
	p := policy()
	p.RateLimit = &resilience.RateLimitPolicy{PerSecond: 0.001, Burst: 1, MaxWait: time.Millisecond}
	g := mustNew(t, p)
	if _, err := resilience.Do(t.Context(), g, answer); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = resilience.Do(ctx, g, answer) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
