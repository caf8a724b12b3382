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

// What users of other libraries reported, tried here; the names are the public reports.
func TestPublicReports(t *testing.T) {
	for name, try := range map[string]func(*testing.T){
		"failsafe#393, failsafe#400: permits of those who gave up waiting":                               waitersGiveUp,
		"resilience4j#1460: queued work runs after its caller's timeout":                                 queuedNeverRuns,
		"spring-cloud-circuitbreaker#163, resilience4j#2296: a timeout frees the permit of running work": permitFollows,
		"resilience4j#2336: waiting for a rate token does not end":                                       tokenWaitEnds,
		"failsafe-go#141: an empty budget ends the attempts that run":                                    emptyBudgetHedge,
		"gocql#1707: the hedge's quick error beats the slow success":                                     hedgeFails,
		"Polly#3086: the caller's cause is lost":                                                         causeIsKept,
		"Polly#1340: a hedge ends with the inner timeout":                                                innerTimeout,
		"failsafe#234: attempts begin after the total timeout":                                           noneAfterTimeout,
		"failsafe#303, failsafe#348: timeout and retry hang":                                             timeoutRetryEnds,
		"resilience4j#1432, sony/gobreaker#53: more or fewer probes than permitted":                      probes,
		"denoland/std#7306, k8s-breakglass#981: a late probe counts for a later period":                  lateProbe,
		"hystrix-go#67, hystrix-go#13: a ticket is lost when timeout and start race":                     tickets,
		"Polly#2396: a cancellation during the pause":                                                    cancelledPause,
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, try) })
	}
}

func reported(t *testing.T, change func(*resilience.Policy)) *resilience.Guard {
	p := resilience.Policy{
		Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 2, Queue: 20},
		Default: resilience.OperationPolicy{Timeout: time.Second, Idempotent: true},
	}
	change(&p)
	return mustNew(t, p)
}

func waits(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }

func waitersGiveUp(t *testing.T) {
	g := reported(t, func(p *resilience.Policy) { p.Bulkhead.MaxWait = 50 * time.Millisecond })
	for range 20 {
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(20+10*(i%9))*time.Millisecond)
				defer cancel()
				_, _ = resilience.Do(ctx, g, waits)
			})
		}
		wg.Wait()
	}
	wantIdle(t, g)
	for range 2 { // both permits are there
		if _, err := resilience.Do(t.Context(), g, answer); err != nil {
			t.Error(err)
		}
	}
}

func queuedNeverRuns(t *testing.T) {
	g := reported(t, func(p *resilience.Policy) { p.Bulkhead.Limit = 1 })
	go func() { _, _ = resilience.Do(t.Context(), g, takes(500*time.Millisecond)) }()
	synctest.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var ran atomic.Int32
	if _, err := resilience.Do(ctx, g, func(context.Context) (int, error) { ran.Add(1); return 0, nil }); err == nil {
		t.Error("no error")
	}
	time.Sleep(time.Second)
	if ran.Load() != 0 {
		t.Error("it ran after all")
	}
	wantIdle(t, g)
}

func permitFollows(t *testing.T) {
	g := reported(t, func(p *resilience.Policy) {
		p.Default.Detach, p.Default.Timeout = true, 100*time.Millisecond
		p.Bulkhead.MaxWait = 10 * time.Millisecond
	})
	var now, most atomic.Int32
	for range 10 {
		_, _ = resilience.Do(t.Context(), g, func(context.Context) (int, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(5 * time.Second)
			return 0, nil
		})
	}
	if most.Load() > 2 {
		t.Errorf("%d ran at once", most.Load())
	}
	time.Sleep(time.Minute)
	wantIdle(t, g)
}

func tokenWaitEnds(t *testing.T) {
	g := reported(t, func(p *resilience.Policy) {
		p.Bulkhead.Limit = 300
		p.RateLimit = &resilience.RateLimitPolicy{PerSecond: 1, Burst: 1, MaxWait: 200 * time.Millisecond}
	})
	start := time.Now()
	var wg sync.WaitGroup
	var admitted atomic.Int32
	for range 200 {
		wg.Go(func() {
			if _, err := resilience.Do(t.Context(), g, answer); err == nil {
				admitted.Add(1)
			} else if !errors.Is(err, resilience.ErrRefused) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took > 200*time.Millisecond || admitted.Load() != 1 {
		t.Errorf("%v, %d admitted", took, admitted.Load())
	}
}

func emptyBudgetHedge(t *testing.T) {
	g := reported(t, func(p *resilience.Policy) {
		p.Budget = &resilience.BudgetPolicy{Ratio: 0.001, Burst: 1}
		p.Default.Hedge = &resilience.HedgePolicy{Delay: 10 * time.Millisecond, MaxHedges: 3}
	})
	for range 5 {
		if res, err := resilience.Do(t.Context(), g, takes(300*time.Millisecond)); err != nil || res.Attempts > 2 {
			t.Error(res.Attempts, err)
		}
	}
}

func hedgeFails(t *testing.T) {
	g := reported(t, func(p *resilience.Policy) {
		p.Budget = &resilience.BudgetPolicy{Ratio: 1}
		p.Default.Hedge = &resilience.HedgePolicy{Delay: 10 * time.Millisecond}
	})
	res, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
		if a, _ := resilience.AttemptFrom(ctx); a.Hedged {
			return 0, errors.New("no connections")
		}
		time.Sleep(100 * time.Millisecond)
		return 7, nil
	})
	if res.Value != 7 || err != nil {
		t.Error(res.Value, err)
	}
}

func causeIsKept(t *testing.T) {
	cause := errors.New("the user closed the page")
	for name, change := range map[string]func(*resilience.Policy){
		"timeout": func(*resilience.Policy) {},
		"hedge": func(p *resilience.Policy) {
			p.Budget, p.Default.Hedge = &resilience.BudgetPolicy{Ratio: 1}, &resilience.HedgePolicy{Delay: 5 * time.Millisecond}
		},
		"detach": func(p *resilience.Policy) { p.Default.Detach = true },
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
		_, err := resilience.Do(ctx, reported(t, change), func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, fmt.Errorf("%w: %w", ctx.Err(), context.Cause(ctx))
		})
		if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func innerTimeout(t *testing.T) {
	g := reported(t, func(p *resilience.Policy) {
		p.Budget = &resilience.BudgetPolicy{Ratio: 1}
		p.Default.AttemptTimeout = 50 * time.Millisecond
		p.Default.Hedge = &resilience.HedgePolicy{Delay: 40 * time.Millisecond}
	})
	res, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
		if a, _ := resilience.AttemptFrom(ctx); a.Hedged {
			return takes(30 * time.Millisecond)(ctx)
		}
		return waits(ctx)
	})
	if err != nil || res.Source != resilience.Hedge {
		t.Error(res.Source, err)
	}
}

func retried(p *resilience.Policy) {
	p.Budget = &resilience.BudgetPolicy{Ratio: 1}
	p.Default.AttemptTimeout = 200 * time.Millisecond
	p.Default.Retry = &resilience.RetryPolicy{MaxAttempts: 100, BaseDelay: 10 * time.Millisecond}
}

func noneAfterTimeout(t *testing.T) {
	g := reported(t, retried)
	var last time.Duration
	start := time.Now()
	_, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) {
		last = time.Since(start)
		time.Sleep(150 * time.Millisecond)
		return 0, errDown
	})
	time.Sleep(time.Minute)
	if err == nil || last >= time.Second {
		t.Error(last, err)
	}
}

func timeoutRetryEnds(t *testing.T) {
	for _, detach := range []bool{false, true} {
		g := reported(t, func(p *resilience.Policy) { retried(p); p.Default.Detach = detach })
		start := time.Now()
		_, err := resilience.Do(t.Context(), g, waits)
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > time.Second {
			t.Error(took, err)
		}
	}
}

func opened(t *testing.T, probes int) *resilience.Guard {
	g := reported(t, func(p *resilience.Policy) {
		p.Bulkhead.Limit = 50
		p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 4, OpenFor: time.Second, Jitter: -1, Probes: probes}
		p.Default.Timeout = time.Minute
	})
	for range 4 {
		_, _ = resilience.Do(t.Context(), g, fail)
	}
	time.Sleep(time.Second)
	return g
}

func probes(t *testing.T) {
	for _, n := range []int{1, 3} {
		g := opened(t, n)
		var ran, most atomic.Int32
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				_, _ = resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
					most.Store(max(most.Load(), ran.Add(1)))
					defer ran.Add(-1)
					return takes(100 * time.Millisecond)(ctx)
				})
			})
		}
		wg.Wait()
		if m := most.Load(); m < 1 || int(m) > n {
			t.Errorf("%d probes at once, want at most %d", m, n)
		}
		for range 10 {
			_, _ = resilience.Do(t.Context(), g, answer)
		}
		if s := g.Snapshot().Breaker; s != resilience.BreakerClosed {
			t.Error(s)
		}
	}
}

func lateProbe(t *testing.T) {
	g := opened(t, 1)
	done := make(chan struct{})
	go func() {
		_, _ = resilience.Do(t.Context(), g, func(context.Context) (int, error) { <-done; return 1, nil })
	}()
	synctest.Wait()
	time.Sleep(5 * time.Minute) // the watchdog has given the probe up
	for range 20 {
		_, _ = resilience.Do(t.Context(), g, fail)
		time.Sleep(10 * time.Second)
	}
	before := g.Snapshot().Breaker
	close(done)
	synctest.Wait()
	if after := g.Snapshot().Breaker; before == resilience.BreakerClosed || after == resilience.BreakerClosed {
		t.Error(before, after)
	}
	wantIdle(t, g)
}

func tickets(t *testing.T) {
	g := reported(t, func(p *resilience.Policy) { p.Default.Detach, p.Default.Timeout = true, 10*time.Millisecond })
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			time.Sleep(time.Duration(i) * time.Millisecond / 4)
			_, _ = resilience.Do(t.Context(), g, takes(10*time.Millisecond))
		})
	}
	wg.Wait()
	time.Sleep(time.Second)
	wantIdle(t, g)
}

func cancelledPause(t *testing.T) {
	g := reported(t, func(p *resilience.Policy) { retried(p); p.Default.Retry.BaseDelay = 400 * time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	_, err := resilience.Do(ctx, g, func(context.Context) (int, error) { calls++; cancel(); return 0, errDown })
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Error(fmt.Sprint(calls, err))
	}
	wantIdle(t, g)
}
