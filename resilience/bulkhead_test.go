package resilience_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

func queueing(limit, queue int) resilience.Policy {
	p := policy()
	p.Bulkhead = resilience.BulkheadPolicy{Limit: limit, Queue: queue}
	p.Default.Timeout = time.Minute
	p.Operations = map[string]resilience.OperationPolicy{
		"batch": {Timeout: time.Minute, Criticality: resilience.Sheddable},
		"vital": {Timeout: time.Minute, Criticality: resilience.CriticalPlus},
	}
	return p
}

// occupy holds n permits of a guard, in a synctest bubble, until release is called.
func occupy(t *testing.T, g *resilience.Guard, n int) (release func()) {
	t.Helper()
	gate := make(chan struct{})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { <-gate; return 0, nil }); err != nil {
				t.Error(err)
			}
		})
	}
	synctest.Wait()
	return func() {
		close(gate)
		wg.Wait()
	}
}

func TestBulkheadIsFIFOAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, queueing(1, 3))
		var mu sync.Mutex
		var order []int
		var full int
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				_, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
					mu.Lock()
					order = append(order, i)
					mu.Unlock()
					return takes(time.Second)(ctx)
				})
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, resilience.ErrFull) {
					full++
				} else if err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if !slices.Equal(order, []int{0, 1, 2, 3}) || full != 2 {
			t.Errorf("ran %v, refused %d; want 0 to 3, and 2", order, full)
		}
		wantIdle(t, g)
	})
}

func TestBulkheadShedsTheLeastImportant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, queueing(1, 2))
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		for _, name := range []string{"default", "batch", "batch", "vital", "default", "batch"} {
			wg.Go(func() {
				_, err := resilience.Do(t.Context(), g.Operation(name), func(ctx context.Context) (int, error) {
					mu.Lock()
					order = append(order, name)
					mu.Unlock()
					return takes(time.Second)(ctx)
				})
				if errors.Is(err, resilience.ErrFull) != (err != nil) || err != nil && name != "batch" {
					t.Errorf("%s: %v", name, err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if !slices.Equal(order, []string{"default", "vital", "default"}) {
			t.Errorf("ran %v", order)
		}
	})
}

func TestBulkheadRefusesAWaitThatOutlastsTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, queueing(1, 10))
		if _, err := resilience.Do(t.Context(), g, takes(10*time.Second)); err != nil {
			t.Fatal(err) // now it is known how long a call takes
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := resilience.Do(t.Context(), g, takes(10*time.Second)); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		if _, err := resilience.Do(ctx, g, answer); !errors.Is(err, resilience.ErrFull) || time.Since(start) != 0 {
			t.Errorf("%v after %v; want refused at once", err, time.Since(start))
		}
		wg.Wait()
	})
}

func TestBulkheadMaxWaitAndDeadlineInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := queueing(1, 10)
		p.Bulkhead.MaxWait = time.Second
		g := mustNew(t, p)
		release := occupy(t, g, 1)
		start := time.Now()
		if _, err := resilience.Do(t.Context(), g, answer); !errors.Is(err, resilience.ErrFull) || time.Since(start) != time.Second {
			t.Errorf("%v after %v; want ErrFull after 1s", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if _, err := resilience.Do(ctx, g, answer); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v; want the caller's deadline", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second/2, cancel)
		if _, err := resilience.Do(ctx, g, answer); !errors.Is(err, context.Canceled) {
			t.Errorf("%v; want the caller's cancellation", err)
		}
		release()
		wantIdle(t, g)
	})
}

func TestHoldKeepsThePermit(t *testing.T) {
	g := mustNew(t, policy())
	var release func(error)
	var kept context.Context
	if _, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
		release, kept = resilience.Hold(ctx), ctx
		return 0, nil
	}); err != nil {
		t.Fatal(err)
	}
	if n := g.Snapshot().InFlight; n != 1 || kept.Err() != nil {
		t.Errorf("%d permits, context %v; want 1 and a live context", n, kept.Err())
	}
	release(nil)
	release(nil)
	wantIdle(t, g)
	if !errors.Is(kept.Err(), context.Canceled) {
		t.Errorf("context %v; want canceled", kept.Err())
	}
	resilience.Hold(kept)(nil)
	resilience.Hold(t.Context())(nil)
	wantIdle(t, g)
}

// TestBulkheadCountsTheWorkIntoTheDeadline: a permit that comes in time for nothing
// but its wait is of no use; and under LIFO a newcomer waits for no older one of its
// class, but for those of higher classes.
func TestBulkheadCountsTheWorkIntoTheDeadline(t *testing.T) {
	for _, lifo := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := queueing(1, 10)
			p.Bulkhead.LIFO = lifo
			g := mustNew(t, p)
			if _, err := resilience.Do(t.Context(), g, takes(10*time.Second)); err != nil {
				t.Fatal(err) // now it is known how long a call takes
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := resilience.Do(t.Context(), g, takes(10*time.Second)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
			refused := func(d time.Duration) bool {
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), d)
				defer cancel()
				_, err := resilience.Do(ctx, g, takes(10*time.Second))
				return errors.Is(err, resilience.ErrFull) && time.Since(start) == 0
			}
			// 10 s of waiting and 10 s of work.
			if !refused(15 * time.Second) {
				t.Errorf("lifo %v: a call that can't end in time was not refused at once", lifo)
			}
			for _, name := range []string{"vital", "default"} {
				wg.Go(func() { _, _ = resilience.Do(t.Context(), g.Operation(name), takes(10*time.Second)) })
				synctest.Wait()
			}
			// 20 s of waiting for the vital one, 30 s with that of its own class before it.
			if !refused(25 * time.Second) {
				t.Errorf("lifo %v: a call that more important ones delay was not refused at once", lifo)
			}
			if got := refused(35 * time.Second); got == lifo {
				t.Errorf("lifo %v: refused %v behind one of its own class", lifo, got)
			}
			wg.Wait()
			wantIdle(t, g)
		})
	}
}

// TestBulkheadIsLIFOUnderOverloadOnly: the oldest is served first until it has waited for
// more than half the time in which a full queue drains; from then on the newest. A call that
// takes more than 4 s moves the average from 1 s to 1.375 s, so that a queue of 10 drains in
// 13.75 s.
func TestBulkheadIsLIFOUnderOverloadOnly(t *testing.T) {
	for _, c := range []struct {
		lifo bool
		hold time.Duration // until the permit comes back
		want int           // who is served first
	}{
		{true, 6 * time.Second, 1},
		{true, 7 * time.Second, 4},
		{false, 7 * time.Second, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := queueing(1, 10)
			p.Bulkhead.LIFO = c.lifo
			g := mustNew(t, p)
			if _, err := resilience.Do(t.Context(), g, takes(time.Second)); err != nil {
				t.Fatal(err) // now it is known how long a call takes
			}
			var mu sync.Mutex
			var order []int
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := resilience.Do(t.Context(), g, takes(c.hold)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
			for i := range 4 {
				wg.Go(func() {
					_, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) {
						mu.Lock()
						defer mu.Unlock()
						order = append(order, i+1)
						return 0, nil
					})
					if err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
			}
			wg.Wait()
			if len(order) != 4 || order[0] != c.want {
				t.Errorf("lifo %t, after %v: served %v; want %d first", c.lifo, c.hold, order, c.want)
			}
			wantIdle(t, g)
		})
	}
}

// TestAPermitThatCameTooLateGoesToTheOldest: a caller that leaves as it is handed a permit hands it
// on, by how long the next have waited, and not by how long it could have waited itself.
func TestAPermitThatCameTooLateGoesToTheOldest(t *testing.T) {
	for range 50 { // Leaving comes first in some, in others the permit.
		synctest.Test(t, func(t *testing.T) {
			p := queueing(1, 10)
			p.Bulkhead.LIFO = true
			g := mustNew(t, p)
			if _, err := resilience.Do(t.Context(), g, takes(time.Second)); err != nil {
				t.Fatal(err) // now it is known how long a call takes
			}
			first, leave := context.WithCancel(t.Context())
			release := occupy(t, g, 1)
			var wg sync.WaitGroup
			var mu sync.Mutex
			var order []int
			for i, ctx := range []context.Context{first, t.Context(), t.Context()} {
				wg.Go(func() {
					_, err := resilience.Do(ctx, g, func(context.Context) (int, error) {
						mu.Lock()
						defer mu.Unlock()
						order = append(order, i+1)
						return 0, nil
					})
					if err != nil && i > 0 {
						t.Error(err)
					}
				})
				synctest.Wait()
			}
			leave()
			release()
			wg.Wait()
			if !slices.Equal(order, []int{2, 3}) && !slices.Equal(order, []int{1, 2, 3}) {
				t.Errorf("served %v", order)
			}
			wantIdle(t, g)
		})
	}
}

// TestALongHoldMakesNoCallLookLate: the time of one call that was held for very long says
// little about the next ones, whichever way it was held.
func TestALongHoldMakesNoCallLookLate(t *testing.T) {
	for name, long := range map[string]func(context.Context) (int, error){
		"a body that is read slowly": func(ctx context.Context) (int, error) {
			release := resilience.Hold(ctx)
			time.AfterFunc(10*time.Minute, func() { release(nil) })
			return 1, nil
		},
		"a call that hung and returned": func(context.Context) (int, error) { time.Sleep(10 * time.Minute); return 1, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := policy()
				p.Bulkhead = resilience.BulkheadPolicy{Limit: 4, Queue: 100}
				p.Operations = map[string]resilience.OperationPolicy{"export": {Timeout: time.Hour}}
				for _, on := range []string{resilience.DefaultOperation, "export"} {
					g := mustNew(t, p)
					burst := func() {
						var wg sync.WaitGroup
						for range 40 {
							wg.Go(func() {
								if _, err := resilience.Do(t.Context(), g, takes(2*time.Millisecond)); err != nil {
									t.Error(err)
								}
							})
						}
						wg.Wait()
					}
					for range 20 {
						burst()
					}
					if _, err := resilience.Do(t.Context(), g.Operation(on), long); err != nil {
						t.Error(err)
					}
					time.Sleep(11 * time.Minute)
					for range 20 {
						burst()
					}
				}
			})
		})
	}
}

// TestAnOperationIsHeldToItsOwnTimes: where one operation is slow and another is quick, a
// wait is judged by the time of the one that waits.
func TestAnOperationIsHeldToItsOwnTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 20, Queue: 20}
		p.Default.Timeout = 50 * time.Millisecond
		p.Operations = map[string]resilience.OperationPolicy{"export": {Timeout: time.Minute}}
		g := mustNew(t, p)
		for range 50 {
			if _, err := resilience.Do(t.Context(), g, takes(time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if _, err := resilience.Do(t.Context(), g.Operation("export"), takes(200*time.Millisecond)); err != nil {
				t.Fatal(err)
			}
		}
		release := occupy(t, g, 20)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := resilience.Do(t.Context(), g, answer); err != nil {
				t.Errorf("a call of 1 ms with 50 ms left: %v", err)
			}
		})
		synctest.Wait()
		release()
		wg.Wait()
	})
}
