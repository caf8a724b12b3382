package resilience_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// TestWhatMustNotBeRemembered holds DoNotStore on each path that a value can take.
func TestWhatMustNotBeRemembered(t *testing.T) {
	for name, change := range map[string]func(*resilience.OperationPolicy) []resilience.CallOption[int]{
		"on the caller's goroutine": func(*resilience.OperationPolicy) []resilience.CallOption[int] { return nil },
		"detached":                  func(o *resilience.OperationPolicy) []resilience.CallOption[int] { o.Detach = true; return nil },
		"hedged": func(o *resilience.OperationPolicy) []resilience.CallOption[int] {
			o.Idempotent, o.Hedge = true, &resilience.HedgePolicy{Delay: time.Second}
			return nil
		},
		"coalesced": func(*resilience.OperationPolicy) []resilience.CallOption[int] {
			return []resilience.CallOption[int]{resilience.Coalesce[int]("k")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := resilience.Policy{Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 2}, Default: resilience.OperationPolicy{
					Timeout: time.Minute, Stale: &resilience.StalePolicy{MaxAge: time.Hour},
				}}
				opts := change(&p.Default)
				g, err := resilience.New(p)
				if err != nil {
					t.Fatal(err)
				}
				defer g.Close()
				last := resilience.NewLastGood[int](1)
				opts = append(opts, last.For("k"))
				down := errors.New("down")
				call := func(value int, forget bool) (resilience.Result[int], error) {
					return resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
						if forget {
							resilience.DoNotStore(ctx)
						}
						if value == 0 {
							return 0, down
						}
						return value, nil
					}, opts...)
				}
				for _, step := range []struct {
					value  int
					forget bool
					want   int // what stands in after it; 0: nothing
				}{{1, false, 1}, {2, true, 0}, {3, false, 3}} {
					if _, err := call(step.value, step.forget); err != nil {
						t.Fatal(err)
					}
					res, err := call(0, false)
					if res.Value != step.want || (step.want == 0) != errors.Is(err, down) {
						t.Errorf("after %+v: %+v, %v", step, res, err)
					}
				}
			})
		})
	}
	resilience.DoNotStore(t.Context()) // outside a call: nothing
}

// TestLastGoodHoldsTheMostRecentlyUsed: as many as it was made for, and no more, whether
// they were used by a call that succeeded or by one that failed.
func TestLastGoodHoldsTheMostRecentlyUsed(t *testing.T) {
	p := policy()
	p.Default.Stale = &resilience.StalePolicy{MaxAge: time.Hour}
	g := mustNew(t, p)
	last := resilience.NewLastGood[string](2)
	keep := func(key string) {
		t.Helper()
		if _, err := resilience.Do(t.Context(), g, func(context.Context) (string, error) { return "value of " + key, nil }, last.For(key)); err != nil {
			t.Fatal(err)
		}
	}
	has := func(key string) bool {
		t.Helper()
		res, err := resilience.Do(t.Context(), g, func(context.Context) (string, error) { return "", errDown }, last.For(key))
		if err != nil && !errors.Is(err, errDown) || err == nil && (res.Value != "value of "+key || res.Source != resilience.Stale) {
			t.Errorf("%s: %+v, %v", key, res, err)
		}
		return err == nil
	}
	keep("a")
	keep("b")
	if !has("a") { // a is now the one that was used last
		t.Error("a is gone, and there was room for it")
	}
	keep("c")
	if !has("a") || has("b") || !has("c") {
		t.Errorf("a %t, b %t, c %t; want b to have gone", has("a"), has("b"), has("c"))
	}
	keep("a") // a second value of one key takes no room
	if !has("a") || !has("c") {
		t.Error("a new value of a pushed c out")
	}
	last.Forget("a")
	last.Forget("a")
	if has("a") || !has("c") {
		t.Error("Forget drops one key, and that for good")
	}
	keep("d")
	if !has("c") || !has("d") {
		t.Error("what was forgotten still takes room")
	}
}

// TestARefreshIsOneAtATime: while it runs no other begins, and when it has failed the next
// use begins another; callers are served meanwhile.
func TestARefreshIsOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Default.Stale = &resilience.StalePolicy{MaxAge: time.Hour, FreshFor: time.Hour, RefreshAhead: time.Minute}
		g := mustNew(t, p)
		last := resilience.NewLastGood[int](1)
		var began atomic.Int32
		call := func(ctx context.Context) (int, error) {
			if began.Add(1) == 1 {
				return 1, nil
			}
			_, err := takes(100 * time.Millisecond)(ctx)
			return 0, errors.Join(errDown, err)
		}
		use := func(n int) {
			t.Helper()
			for range n {
				if res, err := resilience.Do(t.Context(), g, call, last.For("k")); err != nil || res.Value != 1 {
					t.Errorf("%+v, %v", res, err)
				}
			}
		}
		use(1)
		time.Sleep(2 * time.Minute)
		for refresh := range int32(3) {
			use(10)
			synctest.Wait()
			if n := began.Load(); n != refresh+2 {
				t.Fatalf("%d calls began; want the first and %d refreshes", n, refresh+1)
			}
			time.Sleep(time.Second)
		}
		wantIdle(t, g)
	})
}

// TestALastGoodWithoutAStalePolicyIsRefused, however the call is made: it would remember
// nothing, and serve nothing.
func TestALastGoodWithoutAStalePolicyIsRefused(t *testing.T) {
	last := resilience.NewLastGood[int](1)
	for mode, change := range modes {
		p := policy()
		p.Default.Idempotent = true
		opts, _ := change(&p)
		opts = append(opts, last.For("k"), resilience.FallbackValue(7))
		g := mustNew(t, p)
		call := func(context.Context) (int, error) {
			t.Errorf("%s: the call is made", mode)
			return 1, nil
		}
		if _, err := resilience.Do(t.Context(), g, call, opts...); !errors.Is(err, resilience.ErrPolicy) || !strings.Contains(err.Error(), "stale.max_age") {
			t.Errorf("%s: %v", mode, err)
		}
		p.Default.Stale = &resilience.StalePolicy{MaxAge: time.Minute}
		update(t, g, p)
		if _, err := resilience.Do(t.Context(), g, answer, opts...); err != nil {
			t.Errorf("%s, with one: %v", mode, err)
		}
	}
}
