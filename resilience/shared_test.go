package resilience_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

var shared = resilience.Coalesce[int]("k")

// TestASharedCallHasTheBestClass: a prefetch led, and a user's request that had joined it
// was evicted in favour of batch work.
func TestASharedCallHasTheBestClass(t *testing.T) {
	for _, joinsFirst := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := policy()
			p.Bulkhead = resilience.BulkheadPolicy{Limit: 1, Queue: 1}
			p.Default.Timeout = 10 * time.Second
			g := mustNew(t, p)
			hold := make(chan struct{})
			var wg sync.WaitGroup
			do := func(class resilience.Criticality, opts ...resilience.CallOption[int]) *error {
				err := new(error)
				wg.Go(func() {
					_, *err = resilience.Do(resilience.WithCriticality(t.Context(), class), g, func(context.Context) (int, error) {
						<-hold
						return 0, nil
					}, opts...)
				})
				synctest.Wait()
				return err
			}
			do(resilience.Critical)
			classes := []resilience.Criticality{resilience.Sheddable, resilience.Critical}
			if joinsFirst {
				classes[0], classes[1] = classes[1], classes[0]
			}
			a, b := do(classes[0], shared), do(classes[1], shared)
			batch := do(resilience.SheddablePlus)
			close(hold)
			wg.Wait()
			if *a != nil || *b != nil || !errors.Is(*batch, resilience.ErrFull) {
				t.Errorf("shared: %v, %v; batch work: %v", *a, *b, *batch)
			}
		})
	}
}

// TestASharedCallIsARepeatOnlyIfAllAre: the marks of whoever came first bound all others.
func TestASharedCallIsARepeatOnlyIfAllAre(t *testing.T) {
	for name, want := range map[string]int32{"repeat": 1, "repeat,original": 2, "original,repeat": 2, "repeat,repeat": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := policy()
				p.Default.Idempotent = true
				p.Default.Retry = &resilience.RetryPolicy{MaxAttempts: 2, BaseDelay: time.Millisecond}
				g := mustNew(t, p)
				var n atomic.Int32
				var wg sync.WaitGroup
				for part := range strings.SplitSeq(name, ",") {
					ctx := t.Context()
					if part == "repeat" {
						ctx = resilience.WithRetried(ctx)
					}
					wg.Go(func() {
						_, err := resilience.Do(ctx, g, func(context.Context) (int, error) {
							n.Add(1)
							time.Sleep(10 * time.Millisecond)
							return 0, errDown
						}, shared)
						if !errors.Is(err, errDown) {
							t.Error(err)
						}
					})
					synctest.Wait()
				}
				wg.Wait()
				if n.Load() != want {
					t.Errorf("%d attempts; want %d", n.Load(), want)
				}
			})
		})
	}
}

// TestALateJoinerHasItsOwnTime: it failed when the shared call ran out of time, with
// nearly all of its own unspent (drive9#493).
func TestALateJoinerHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Default.Timeout = time.Second
		g := mustNew(t, p)
		var n atomic.Int32
		call := func(ctx context.Context) (int, error) {
			if n.Add(1) == 1 {
				<-ctx.Done() // a packet was lost
				return 0, ctx.Err()
			}
			time.Sleep(100 * time.Millisecond)
			return 1, nil
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := resilience.Do(t.Context(), g, call, shared); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the first: %v", err)
			}
		})
		time.Sleep(950 * time.Millisecond)
		for range 10 {
			wg.Go(func() {
				if res, err := resilience.Do(t.Context(), g, call, shared); err != nil || res.Value != 1 || res.Attempts != 1 {
					t.Errorf("a late joiner: %+v, %v", res, err)
				}
			})
		}
		wg.Wait()
		if n.Load() != 2 {
			t.Errorf("%d calls; want 2, the second shared by all late joiners", n.Load())
		}
	})
}

// TestARefusedLeaderDoesNotFailTheOthers: the shared call was refused, when the permit
// was about to come back.
func TestARefusedLeaderDoesNotFailTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 1, Queue: 1, MaxWait: 100 * time.Millisecond}
		g := mustNew(t, p)
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = resilience.Do(t.Context(), g, takes(150*time.Millisecond)) })
		synctest.Wait()
		errs := make([]error, 3)
		for i := range errs {
			wg.Go(func() { _, errs[i] = resilience.Do(t.Context(), g, answer, shared) })
			synctest.Wait()
		}
		wg.Wait()
		if !errors.Is(errs[0], resilience.ErrFull) || errs[1] != nil || errs[2] != nil {
			t.Errorf("%v", errs)
		}
	})
}

// TestAttemptsOfASharedCall: whoever reads "not started" in an Attempts of zero sends a
// write twice if that is wrong. The deadlines of caller and call are the same instant.
func TestAttemptsOfASharedCall(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			p := policy()
			p.Default.Timeout = 100 * time.Millisecond
			g := mustNew(t, p)
			var started atomic.Int32
			res, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
				started.Add(1)
				<-ctx.Done()
				return 0, ctx.Err()
			}, shared)
			synctest.Wait()
			var call *resilience.CallError
			if !errors.As(err, &call) || res.Attempts != int(started.Load()) || call.Attempts != res.Attempts {
				t.Fatalf("started %d, Attempts %d, %v", started.Load(), res.Attempts, err)
			}
		})
	}
}

// TestNoCallForNobody: a caller that has left before it came starts nothing, however its
// call is made.
func TestNoCallForNobody(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for mode, change := range modes {
		p := policy()
		p.Default.Idempotent = true
		opts, _ := change(&p)
		g := mustNew(t, p)
		var n atomic.Int32
		for range 200 {
			_, err := resilience.Do(ctx, g, func(context.Context) (int, error) { n.Add(1); return 1, nil }, opts...)
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: %v", mode, err)
			}
		}
		if n.Load() > 0 {
			t.Errorf("%s: %d calls", mode, n.Load())
		}
	}
}

// TestASharedCallWithinItself waited for its own end.
func TestASharedCallWithinItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead.Limit = 4
		g := mustNew(t, p)
		other := resilience.Coalesce[int]("other")
		began := time.Now()
		res, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
			res, err := resilience.Do(ctx, g, func(ctx context.Context) (int, error) {
				res, err := resilience.Do(ctx, g, answer, shared) // two levels up
				return res.Value, err
			}, other)
			return res.Value, err
		}, shared)
		if err != nil || res.Value != 42 || time.Since(began) > 0 {
			t.Errorf("%+v, %v after %v", res, err, time.Since(began))
		}
	})
}

// TestAbortHandlerPassesAsItIs: net/http logs the stack of any other panic.
func TestAbortHandlerPassesAsItIs(t *testing.T) {
	for mode, change := range modes {
		for _, value := range []any{http.ErrAbortHandler, errors.New("another")} {
			p := policy()
			p.Default.Idempotent = true
			opts, _ := change(&p)
			g := mustNew(t, p)
			func() {
				defer func() {
					got := recover()
					if value == http.ErrAbortHandler && got != http.ErrAbortHandler {
						t.Errorf("%s: %T", mode, got)
					}
					if err, ok := got.(error); !ok || !errors.Is(err, value.(error)) {
						t.Errorf("%s: %v", mode, got)
					}
				}()
				_, _ = resilience.Do(t.Context(), g, func(context.Context) (int, error) { panic(value) }, opts...)
			}()
		}
	}
}
