package resilience_test

// Each test here is a defect that another library has or had; the comment names it.
// There are 21 of them; the numbers are ours, and two have two tests.

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
	"go.uber.org/goleak"
)

// every is a policy with everything on.
func every() resilience.Policy {
	return resilience.Policy{
		Name:      "dep",
		Bulkhead:  resilience.BulkheadPolicy{Limit: 2, Queue: 2, Adaptive: &resilience.AdaptivePolicy{Objective: 10 * time.Second}},
		RateLimit: &resilience.RateLimitPolicy{PerSecond: 1000},
		Breaker:   &resilience.BreakerPolicy{MinimumCalls: 4, Jitter: -1, Probes: 2},
		Default: resilience.OperationPolicy{
			Timeout: time.Second, AttemptTimeout: 400 * time.Millisecond, Idempotent: true, Retry: &resilience.RetryPolicy{},
		},
	}
}

// TestPitfall01PanicAndGoexitLeakNothing: failsafe-go's bulkhead and adaptive limiter leak
// the permit; gobreaker and resile stay half-open for ever.
func TestPitfall01PanicAndGoexitLeakNothing(t *testing.T) {
	ends := map[string]func(){"panic": func() { panic("bad call") }, "Goexit": runtime.Goexit}
	ways := map[string]func(*resilience.OperationPolicy){
		"plain":    func(*resilience.OperationPolicy) {},
		"hedged":   func(o *resilience.OperationPolicy) { o.Hedge = &resilience.HedgePolicy{Delay: time.Millisecond} },
		"detached": func(o *resilience.OperationPolicy) { o.Detach = true },
	}
	for end, f := range ends {
		for way, set := range ways {
			t.Run(end+", "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := every()
					set(&p.Default)
					g := mustNew(t, p)
					bad := func() (returned bool) {
						done := make(chan bool)
						go func() {
							returned := false
							defer func() {
								_ = recover()
								done <- returned
							}()
							_, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { f(); return 1, nil })
							returned = err == nil || !errors.Is(err, resilience.ErrRefused)
						}()
						return <-done
					}
					for range 4 {
						if bad() {
							t.Fatal("Do returned, though the call did not")
						}
						wantIdle(t, g)
					}
					// A panic is a failure: the breaker is open, and a bad probe reopens it.
					for _, wait := range []time.Duration{5, 10} {
						if s := state(g); s != resilience.BreakerOpen {
							t.Fatalf("%v; want open", s)
						}
						time.Sleep(wait * time.Second)
						synctest.Wait()
						if s := state(g); s != resilience.BreakerHalfOpen {
							t.Fatalf("%v; want half-open", s)
						}
						if bad() {
							t.Fatal("Do returned, though the call did not")
						}
					}
					time.Sleep(20 * time.Second)
					synctest.Wait()
					for range 2 {
						if _, err := resilience.Do(t.Context(), g, answer); err != nil {
							t.Fatal(err)
						}
					}
					if s := state(g); s != resilience.BreakerClosed {
						t.Errorf("%v; want closed", s)
					}
					wantIdle(t, g)
				})
			})
		}
	}
}

// TestPitfall02AbandonedWaiterHoldsNothing: failsafe-lib/failsafe#393, hystrix-go PR#13.
func TestPitfall02AbandonedWaiterHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, queueing(1, 5))
		release := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { <-release; return 1, nil }); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		for range 5 {
			wg.Go(func() {
				_, err := resilience.Do(ctx, g, func(context.Context) (int, error) {
					t.Error("an abandoned waiter ran")
					return 1, nil
				})
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		// At the same instant the waiters go and the permit comes free.
		cancel()
		close(release)
		wg.Wait()
		wantIdle(t, g)
		if _, err := resilience.Do(t.Context(), g, answer); err != nil {
			t.Error(err)
		}
	})
}

// TestPitfall03PermitFollowsTheWork: with limit 2 and 50 calls that ignore a timeout of
// 10 ms, 49 to 50 ran at once in hystrix-go, cep21/circuit's Go, goresilience and
// eapache/go-resiliency.
func TestPitfall03PermitFollowsTheWork(t *testing.T) {
	for name, set := range map[string]func(*resilience.OperationPolicy){
		"detached": func(o *resilience.OperationPolicy) { o.Detach = true },
		"hedged":   func(o *resilience.OperationPolicy) { o.Hedge = &resilience.HedgePolicy{Delay: time.Millisecond} },
		"plain":    func(*resilience.OperationPolicy) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := policy()
				p.Bulkhead.Limit = 2
				p.Default = resilience.OperationPolicy{Timeout: 10 * time.Millisecond, Idempotent: true}
				set(&p.Default)
				g := mustNew(t, p)
				var running, most atomic.Int64
				var wg sync.WaitGroup
				for range 50 {
					wg.Go(func() {
						start := time.Now()
						_, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) {
							n := running.Add(1)
							defer running.Add(-1)
							for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
							}
							time.Sleep(time.Second) // whatever the context says
							return 1, nil
						})
						took := time.Since(start)
						if name != "plain" && (err == nil || took > 10*time.Millisecond) {
							t.Errorf("%v after %v; want an error by the deadline", err, took)
						}
					})
					time.Sleep(time.Millisecond)
				}
				wg.Wait()
				if n := most.Load(); n != 2 {
					t.Errorf("%d ran at once; want 2", n)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				wantIdle(t, g)
			})
		})
	}
}

// TestPitfall04PanicInAHedgeReachesTheCaller: elsewhere it crashes the process.
func TestPitfall04PanicInAHedgeReachesTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Default = resilience.OperationPolicy{Timeout: time.Second, Idempotent: true, Hedge: &resilience.HedgePolicy{Delay: time.Millisecond}}
		g := mustNew(t, p)
		var n atomic.Int64
		got := func() (p any) {
			defer func() { p = recover() }()
			res, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
				if n.Add(1) == 2 {
					panic(errDown)
				}
				return takes(time.Minute)(ctx)
			})
			t.Errorf("returned %v, %v", res, err)
			return nil
		}()
		panicked, ok := got.(*resilience.Panic)
		if !ok || panicked.Value != errDown || !errors.Is(panicked, errDown) || len(panicked.Stack) == 0 {
			t.Errorf("panic with %T %v", got, got)
		}
		synctest.Wait()
		wantIdle(t, g)

		// After somebody has won, a panic has no caller left: it is counted.
		n.Store(0)
		res, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
			if n.Add(1) == 2 {
				return 7, nil
			}
			<-ctx.Done()
			panic("too late")
		})
		synctest.Wait()
		if err != nil || res.Source != resilience.Hedge || g.Snapshot().LostPanics != 1 {
			t.Errorf("%+v, %v, %d lost", res, err, g.Snapshot().LostPanics)
		}
	})
}

// TestPitfall14TimeoutsLeakNoGoroutines: hystrix-go#95.
func TestPitfall14TimeoutsLeakNoGoroutines(t *testing.T) {
	before := goleak.IgnoreCurrent()
	p := policy()
	p.Bulkhead.Limit = 100
	p.Default = resilience.OperationPolicy{Timeout: time.Millisecond, Idempotent: true, Hedge: &resilience.HedgePolicy{Delay: time.Microsecond}}
	p.Operations = map[string]resilience.OperationPolicy{"detached": {Timeout: time.Millisecond, Detach: true}, "plain": {Timeout: time.Millisecond}}
	g := mustNew(t, p)
	for _, on := range []resilience.Caller{g, g.Operation("detached"), g.Operation("plain")} {
		for range 20 {
			if _, err := resilience.Do(t.Context(), on, takes(time.Hour)); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
	}
	// A call that was let go of ends because its context did, not because Close waits.
	goleak.VerifyNone(t, before)
}

// TestPitfall15DiscardedResultsAreDisposedOf: the responses of 300 attempts left 600
// goroutines and 201 connections in failsafehttp; also openai-go#495,
// aspnetcore#28384, Polly#1131.
func TestPitfall15DiscardedResultsAreDisposedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Default = resilience.OperationPolicy{Timeout: time.Second, Idempotent: true, Hedge: &resilience.HedgePolicy{Delay: 10 * time.Millisecond, MaxHedges: 3}}
		p.Operations = map[string]resilience.OperationPolicy{"detached": {Timeout: 50 * time.Millisecond, Detach: true}}
		g := mustNew(t, p)
		var made, disposed atomic.Int64
		dispose := resilience.Dispose(func(int) { disposed.Add(1) })
		stubborn := func(context.Context) (int, error) {
			time.Sleep(100 * time.Millisecond)
			made.Add(1)
			return 1, nil
		}
		kept := int64(0)
		for range 10 {
			if _, err := resilience.Do(t.Context(), g, stubborn, dispose); err == nil {
				kept++
			}
			if _, err := resilience.Do(t.Context(), g.Operation("detached"), stubborn, dispose); err == nil {
				kept++
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if made.Load() <= kept || disposed.Load() != made.Load()-kept {
			t.Errorf("made %d, kept %d, disposed of %d", made.Load(), kept, disposed.Load())
		}
		wantIdle(t, g)
	})
}

// TestPitfall16ContextLivesAsLongAsTheWork: a response's context was cancelled before its
// body was read (failsafe-go#65, #123; resty PR#1197).
func TestPitfall16ContextLivesAsLongAsTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := every()
		p.Default.Hedge = &resilience.HedgePolicy{Delay: time.Millisecond}
		g := mustNew(t, p)
		type body struct {
			ctx   context.Context
			close func(error)
		}
		res, err := resilience.Do(t.Context(), g, func(ctx context.Context) (body, error) {
			return body{ctx, resilience.Hold(ctx)}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		if err := res.Value.ctx.Err(); err != nil || g.Snapshot().InFlight != 1 {
			t.Errorf("%v, %d in flight; want a live context and 1", err, g.Snapshot().InFlight)
		}
		// The attempt's deadline stays in force.
		time.Sleep(200 * time.Millisecond)
		if err := res.Value.ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v; want the deadline", err)
		}
		res.Value.close(nil)
		wantIdle(t, g)
	})
}
