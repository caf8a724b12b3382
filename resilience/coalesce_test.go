package resilience_test

import (
	"context"
	"errors"
	"runtime"
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

// TestCoalesceDisposesOfWhatNobodySees: everybody left before the shared call
// ended; its value, or its panic, has no caller.
func TestCoalesceDisposesOfWhatNobodySees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, policy())
		var disposed atomic.Int32
		dispose := resilience.Dispose(func(v int) { disposed.Add(int32(v)) })
		leave := func(call func(context.Context) (int, error)) {
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
					defer cancel()
					if _, err := resilience.Do(ctx, g, call, resilience.Coalesce[int]("k"), dispose); !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			time.Sleep(time.Second)
			wantIdle(t, g)
		}
		leave(deaf(100 * time.Millisecond))
		if n := disposed.Load(); n != 42 {
			t.Errorf("disposed of %d; want 42, once", n)
		}
		leave(func(context.Context) (int, error) { time.Sleep(100 * time.Millisecond); panic("too late") })
		if n := g.Snapshot().LostPanics; n != 1 {
			t.Errorf("%d lost panics; want 1", n)
		}
		// Somebody stayed: the value is theirs.
		var wg sync.WaitGroup
		wg.Go(func() {
			if res, err := resilience.Do(t.Context(), g, deaf(100*time.Millisecond), resilience.Coalesce[int]("k"), dispose); err != nil || res.Value != 42 {
				t.Error(res, err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := resilience.Do(ctx, g, answer, resilience.Coalesce[int]("k"), dispose); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		wg.Wait()
		synctest.Wait()
		if n := disposed.Load(); n != 42 {
			t.Errorf("disposed of %d; want nothing more", n)
		}
	})
}

// TestCoalesceSharesEachCallAnew: when a shared call is over the next one is as much its
// callers' own: that the first of them leaves fails none of the others.
func TestCoalesceSharesEachCallAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, policy())
		for range 3 {
			var wg sync.WaitGroup
			first, cancel := context.WithCancel(t.Context())
			wg.Go(func() {
				if _, err := resilience.Do(first, g, takes(100*time.Millisecond), resilience.Coalesce[int]("k")); !errors.Is(err, context.Canceled) {
					t.Errorf("the one that left: %v", err)
				}
			})
			synctest.Wait()
			wg.Go(func() {
				if res, err := resilience.Do(t.Context(), g, fail, resilience.Coalesce[int]("k")); err != nil || res.Value != 42 {
					t.Errorf("the one that stayed: %+v, %v", res, err)
				}
			})
			synctest.Wait()
			cancel()
			wg.Wait()
		}
	})
}

// TestCoalesceLosesNoValue: callers leave at the very moment at which the call ends. What it
// brought is returned to somebody, or disposed of, and never both.
func TestCoalesceLosesNoValue(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			g := mustNew(t, policy())
			var returned, disposed atomic.Int32
			dispose := resilience.Dispose(func(int) { disposed.Add(1) })
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					defer cancel()
					if _, err := resilience.Do(ctx, g, deaf(100*time.Millisecond), resilience.Coalesce[int]("k"), dispose); err == nil {
						returned.Add(1)
					}
				})
			}
			wg.Wait()
			synctest.Wait()
			if r, d := returned.Load(), disposed.Load(); (r > 0) == (d > 0) || d > 1 {
				t.Errorf("returned %d times, disposed of %d times", r, d)
			}
			wantIdle(t, g)
		})
	}
}

// TestCoalescePanicsReachEveryCaller: and so does a Goexit; a caller that has left gets nothing.
func TestCoalescePanicsReachEveryCaller(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic(errDown) }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := mustNew(t, policy())
				call := func(context.Context) (int, error) {
					time.Sleep(100 * time.Millisecond)
					end()
					return 1, nil
				}
				var panicked, exited atomic.Int32
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						returned := false
						defer func() {
							if p, ok := recover().(*resilience.Panic); ok && p.Value == errDown && len(p.Stack) > 0 {
								panicked.Add(1)
							} else if !returned {
								exited.Add(1)
							}
						}()
						res, err := resilience.Do(t.Context(), g, call, resilience.Coalesce[int]("k"))
						returned = true
						t.Errorf("returned %+v, %v", res, err)
					})
				}
				wg.Wait()
				if p, e := panicked.Load(), exited.Load(); name == "panic" && p != 3 || name == "Goexit" && e != 3 {
					t.Errorf("%d panicked, %d exited", p, e)
				}
				if n := g.Snapshot().LostPanics; n != 0 {
					t.Errorf("%d lost panics", n)
				}
				wantIdle(t, g)
			})
		})
	}
}
