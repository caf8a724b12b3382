package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// remembering is a policy whose operation remembers.
func remembering(s resilience.StalePolicy) resilience.Policy {
	p := policy()
	p.Bulkhead.Limit = 100
	p.Default.Timeout = time.Minute
	p.Default.Idempotent = true
	p.Default.Stale = &s
	return p
}

// TestForgetWinsOverWhatBeganBefore: a value that was deleted came back with the refresh
// or call that was under way (caffeine#193, guava#1881).
func TestForgetWinsOverWhatBeganBefore(t *testing.T) {
	for mode, change := range modes {
		for _, refresh := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, refresh %v", mode, refresh), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := remembering(resilience.StalePolicy{MaxAge: time.Hour, FreshFor: 10 * time.Minute, RefreshAhead: time.Minute})
					opts, _ := change(&p)
					g := mustNew(t, p)
					last := resilience.NewLastGood[int](10)
					opts = append(opts, last.For("k"))
					slow := func(context.Context) (int, error) { time.Sleep(time.Second); return 1, nil }
					var wg sync.WaitGroup
					if refresh {
						last.Put("k", 1, time.Now())
						time.Sleep(2 * time.Minute)
					}
					wg.Go(func() { _, _ = resilience.Do(t.Context(), g, slow, opts...) })
					synctest.Wait()
					last.Forget("k")
					time.Sleep(500 * time.Millisecond)
					if mode == "coalesce" && !refresh { // a call that joins later gets the same value
						wg.Go(func() { _, _ = resilience.Do(t.Context(), g, slow, opts...) })
					}
					time.Sleep(2 * time.Second)
					wg.Wait()
					if res, err := resilience.Do(t.Context(), g, fail, opts...); !errors.Is(err, errDown) {
						t.Errorf("after Forget: %+v, %v", res, err)
					}
					// What begins afterwards is remembered.
					if _, err := resilience.Do(t.Context(), g, answer, opts...); err != nil {
						t.Error(err)
					}
					if res, err := resilience.Do(t.Context(), g, fail, opts...); err != nil || res.Value != 42 {
						t.Errorf("after the next: %+v, %v", res, err)
					}
				})
			})
		}
	}
}

// TestTheLaterCallIsRemembered: a slow call replaced what a later one had brought, and its
// age was counted from its end.
func TestTheLaterCallIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, remembering(resilience.StalePolicy{MaxAge: time.Hour}))
		last := resilience.NewLastGood[int](10)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = resilience.Do(t.Context(), g, func(context.Context) (int, error) { time.Sleep(30 * time.Second); return 1, nil }, last.For("k"))
		})
		time.Sleep(time.Second)
		_, _ = resilience.Do(t.Context(), g, func(context.Context) (int, error) { time.Sleep(time.Second); return 2, nil }, last.For("k"))
		wg.Wait()
		time.Sleep(10 * time.Second)
		if res, err := resilience.Do(t.Context(), g, fail, last.For("k")); err != nil || res.Value != 2 || res.Age != 39*time.Second {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

// TestAFailedRefreshIsFollowedByAPause: each read of a fresh value made a call to a
// dependency that was down (caffeine#498).
func TestAFailedRefreshIsFollowedByAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, remembering(resilience.StalePolicy{MaxAge: 2 * time.Hour, FreshFor: time.Hour, RefreshAhead: time.Minute}))
		last := resilience.NewLastGood[int](10)
		last.Put("k", 1, time.Now())
		time.Sleep(2 * time.Minute)
		var calls []time.Time
		for range 20_000 {
			res, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) {
				calls = append(calls, time.Now())
				return 0, errDown
			}, last.For("k"))
			if err != nil || res.Source != resilience.Cache {
				t.Fatal(res, err)
			}
			synctest.Wait()
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(calls); n < 8 || n > 25 {
			t.Errorf("%d refreshes in 200 s", n)
		}
		if first, last := calls[1].Sub(calls[0]), calls[len(calls)-1].Sub(calls[len(calls)-2]); first > 120*time.Millisecond || last < 14*time.Second {
			t.Errorf("the pauses grow from %v to %v", first, last)
		}
	})
}

// TestWhatIsFilledTogetherIsNotRefreshedTogether: all keys that were stored at one time
// were refreshed at one time.
func TestWhatIsFilledTogetherIsNotRefreshedTogether(t *testing.T) {
	for _, ahead := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := resilience.StalePolicy{MaxAge: time.Hour, FreshFor: 2 * time.Minute, RefreshAhead: ahead}
			g := mustNew(t, remembering(s))
			last := resilience.NewLastGood[int](100)
			var now int
			var mu sync.Mutex
			at := map[int]int{}
			read := func() {
				for k := range 100 {
					_, _ = resilience.Do(t.Context(), g, func(context.Context) (int, error) {
						mu.Lock()
						defer mu.Unlock()
						at[now]++
						return 1, nil
					}, last.For(fmt.Sprint(k)))
				}
				synctest.Wait()
			}
			for now = range 130 {
				read()
				time.Sleep(time.Second)
			}
			delete(at, 0)
			for second, n := range at {
				if n > 60 {
					t.Errorf("ahead %v: %d of 100 keys were refreshed in second %d", ahead, n, second)
				}
			}
			if len(at) < 4 {
				t.Errorf("ahead %v: refreshed in %d different seconds", ahead, len(at))
			}
		})
	}
}

// TestLastGoodStaysWithinBytes, and drops what no policy would serve any more
// (resilience4j#1221).
func TestLastGoodStaysWithinBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := remembering(resilience.StalePolicy{MaxAge: time.Minute})
		g := mustNew(t, p)
		var size atomic.Int64
		last := resilience.NewLastGood[[]byte](1000).LimitBytes(100, func(b []byte) int64 { size.Add(1); return int64(len(b)) })
		keep := func(key string, n int) {
			_, _ = resilience.Do(t.Context(), g, func(context.Context) ([]byte, error) { return make([]byte, n), nil }, last.For(key))
		}
		has := func(key string) bool {
			_, err := resilience.Do(t.Context(), g, func(context.Context) ([]byte, error) { return nil, errDown }, last.For(key))
			return err == nil
		}
		keep("a", 60)
		keep("b", 60)
		keep("c", 101)
		if has("a") || !has("b") || has("c") || size.Load() != 3 {
			t.Errorf("a %v, b %v, c %v, %d sizes taken", has("a"), has("b"), has("c"), size.Load())
		}
		time.Sleep(2 * time.Minute)
		keep("d", 1) // another key's traffic drops what has expired
		if n := last.Len(); n != 1 {
			t.Errorf("%d values are held; want the last", n)
		}
	})
}

// TestSeveralMemoriesOfOneCall are all filled, and the first that has a value serves it.
func TestSeveralMemoriesOfOneCall(t *testing.T) {
	p := remembering(resilience.StalePolicy{MaxAge: time.Hour})
	g := mustNew(t, p)
	var opts []resilience.CallOption[int]
	var all []*resilience.LastGood[int]
	for range 4 {
		all = append(all, resilience.NewLastGood[int](1))
		opts = append(opts, all[len(all)-1].For("k"))
	}
	if _, err := resilience.Do(t.Context(), g, answer, opts...); err != nil {
		t.Fatal(err)
	}
	for i, o := range opts {
		if res, err := resilience.Do(t.Context(), g, fail, o); err != nil || res.Value != 42 {
			t.Errorf("memory %d: %+v, %v", i, res, err)
		}
	}
	all[0].Forget("k")
	all[1].Put("k", 7, time.Now().Add(time.Hour)) // what is known cannot be from tomorrow
	if res, err := resilience.Do(t.Context(), g, fail, opts...); err != nil || res.Value != 7 || res.Age > time.Minute {
		t.Errorf("%+v, %v", res, err)
	}
	all[1].Put("k", 8, time.Now().Add(-time.Minute)) // older than what it has
	if res, _ := resilience.Do(t.Context(), g, fail, opts...); res.Value != 7 {
		t.Errorf("%+v", res)
	}
}
