package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// open makes a guard for an example; a program returns the error.
func open(p resilience.Policy, opts ...resilience.Option) *resilience.Guard {
	guard, err := resilience.New(p, opts...)
	if err != nil {
		panic(err)
	}
	return guard
}

func ExampleDo() {
	guard := open(resilience.Policy{
		Name:     "membership",
		Bulkhead: resilience.BulkheadPolicy{Limit: 64},
		Operations: map[string]resilience.OperationPolicy{
			"plan": {Timeout: time.Second, AttemptTimeout: 300 * time.Millisecond, Idempotent: true, Retry: &resilience.RetryPolicy{}},
		},
		Default: resilience.OperationPolicy{Timeout: time.Second},
	})
	defer guard.Close()
	readPlan := guard.Operation("plan") // made once, and kept

	res, err := resilience.Do(context.Background(), readPlan, func(ctx context.Context) (string, error) {
		return "standard", nil // here stands the call, with ctx
	})
	fmt.Println(res.Value, res.Source, res.Attempts, err)
	// Output: standard live 1 <nil>
}

// Two timeouts: the caller's wait, and one attempt. With Detach the caller gets its
// answer at the deadline even if the call ignores its context; the permit stays
// with the work.
func ExampleOperationPolicy() {
	guard := open(resilience.Policy{
		Name:     "dep",
		Bulkhead: resilience.BulkheadPolicy{Limit: 1},
		Default:  resilience.OperationPolicy{Timeout: 20 * time.Millisecond, Detach: true},
	})
	defer guard.Close()
	release := make(chan struct{})
	deaf := func(context.Context) (int, error) { <-release; return 1, nil }

	_, err := resilience.Do(context.Background(), guard, deaf)
	fmt.Println(errors.Is(err, context.DeadlineExceeded), "in flight:", guard.Snapshot().InFlight)
	_, err = resilience.Do(context.Background(), guard, deaf)
	fmt.Println(errors.Is(err, resilience.ErrFull))
	close(release)
	// Output:
	// true in flight: 1
	// true
}

// One permit, and room for one that waits; a waiting call gives its place to a more
// important call.
func ExampleBulkheadPolicy() {
	guard := open(resilience.Policy{
		Name:     "dep",
		Bulkhead: resilience.BulkheadPolicy{Limit: 1, Queue: 1, MaxWait: 5 * time.Millisecond},
		Default:  resilience.OperationPolicy{Timeout: time.Second},
		Operations: map[string]resilience.OperationPolicy{
			"prefetch": {Timeout: time.Second, Criticality: resilience.Sheddable},
		},
	})
	defer guard.Close()
	_, err := resilience.Do(context.Background(), guard, func(context.Context) (int, error) {
		_, err := resilience.Do(context.Background(), guard.Operation("prefetch"), func(context.Context) (int, error) { return 1, nil })
		return 0, err // no second permit in time
	})
	fmt.Println(errors.Is(err, resilience.ErrFull))
	// Output: true
}

func ExampleAdaptivePolicy() {
	guard := open(resilience.Policy{
		Name: "dep",
		Bulkhead: resilience.BulkheadPolicy{Limit: 8, Adaptive: &resilience.AdaptivePolicy{
			Objective: 800 * time.Microsecond, Min: 2,
		}},
		Default: resilience.OperationPolicy{Timeout: time.Second},
	})
	defer guard.Close()
	for guard.Snapshot().Limit > 2 {
		_, _ = resilience.Do(context.Background(), guard, func(context.Context) (int, error) {
			<-time.After(time.Millisecond) // no answer comes within the objective
			return 1, nil
		})
	}
	fmt.Println("limit:", guard.Snapshot().Limit)
	// Output: limit: 2
}

func ExampleBreakerPolicy() {
	guard := open(resilience.Policy{
		Name:     "dep",
		Bulkhead: resilience.BulkheadPolicy{Limit: 10},
		Breaker:  &resilience.BreakerPolicy{FailureRate: 0.5, MinimumCalls: 4, SlowCall: time.Second, OpenFor: time.Minute},
		Default:  resilience.OperationPolicy{Timeout: 2 * time.Second},
	})
	defer guard.Close()
	down := func(context.Context) (int, error) { return 0, errors.New("connection refused") }
	for range 4 {
		_, _ = resilience.Do(context.Background(), guard, down)
	}
	_, err := resilience.Do(context.Background(), guard, down)
	var refusal *resilience.Refusal
	fmt.Println(errors.Is(err, resilience.ErrOpen), errors.As(err, &refusal) && refusal.Until.After(time.Now()))
	// Output: true true
}

// An operator opens the circuit by hand, and gives it back.
func ExampleGuard_Force() {
	guard := open(resilience.Policy{
		Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 10}, Breaker: &resilience.BreakerPolicy{}, Default: resilience.OperationPolicy{Timeout: time.Second},
	})
	defer guard.Close()
	fmt.Println(guard.Force(resilience.BreakerForcedOpen), guard.Snapshot().Breaker)
	fmt.Println(guard.Force(resilience.BreakerAuto), guard.Snapshot().Breaker)
	// Output:
	// <nil> open
	// <nil> closed
}

func ExampleRetryPolicy() {
	guard := open(resilience.Policy{
		Name:     "dep",
		Bulkhead: resilience.BulkheadPolicy{Limit: 10},
		Default: resilience.OperationPolicy{
			Timeout: time.Second, AttemptTimeout: 300 * time.Millisecond, Idempotent: true,
			Retry: &resilience.RetryPolicy{MaxAttempts: 3, BaseDelay: time.Millisecond},
		},
	})
	defer guard.Close()
	n := 0
	res, err := resilience.Do(context.Background(), guard, func(context.Context) (string, error) {
		if n++; n < 3 {
			return "", errors.New("connection reset")
		}
		return "answer", nil
	})
	fmt.Println(res.Value, res.Attempts, err)
	// Output: answer 3 <nil>
}

// However bad the dependency, retries and hedges add at most a fifth of the load
// over time, and five more at once.
func ExampleBudgetPolicy() {
	policy := resilience.Policy{
		Name:     "dep",
		Bulkhead: resilience.BulkheadPolicy{Limit: 10},
		Budget:   &resilience.BudgetPolicy{Ratio: 0.2, Burst: 5},
		Default:  resilience.OperationPolicy{Timeout: time.Second, Idempotent: true, Retry: &resilience.RetryPolicy{BaseDelay: time.Microsecond}},
	}
	guard := open(policy)
	defer guard.Close()
	attempts := 0
	for range 100 {
		_, _ = resilience.Do(context.Background(), guard, func(context.Context) (int, error) { attempts++; return 0, errors.New("down") })
	}
	fmt.Println(policy.Amplification(), attempts <= policy.Worst().Attempts(100), policy.Worst().Attempts(100))
	// Output: 1.2 true 125
}

func ExampleHedgePolicy() {
	guard := open(resilience.Policy{
		Name:     "dep",
		Bulkhead: resilience.BulkheadPolicy{Limit: 10},
		Default: resilience.OperationPolicy{
			Timeout: time.Minute, Idempotent: true,
			Hedge: &resilience.HedgePolicy{Delay: 5 * time.Millisecond, Quantile: 0.95}, // the delay until enough was measured
		},
	})
	defer guard.Close()
	var n atomic.Int32
	res, err := resilience.Do(context.Background(), guard, func(ctx context.Context) (string, error) {
		if n.Add(1) == 1 {
			<-ctx.Done() // a node that has stalled
			return "", ctx.Err()
		}
		return "from another node", nil
	}, resilience.Dispose(func(string) {})) // closes what a loser still brings
	fmt.Println(res.Value, res.Source, err)
	// Output: from another node hedge <nil>
}

// Several stand in, in order: the last good value, a function that may refuse, a
// fixed value. The result says which, and why.
func ExampleFallback() {
	guard := open(resilience.Policy{
		Name: "catalog", Bulkhead: resilience.BulkheadPolicy{Limit: 10},
		Default: resilience.OperationPolicy{Timeout: time.Second, Stale: &resilience.StalePolicy{MaxAge: time.Hour}},
	})
	defer guard.Close()
	terms := resilience.NewLastGood[string](1000)
	res, err := resilience.Do(context.Background(), guard,
		func(context.Context) (string, error) { return "", errors.New("down") },
		terms.For("studio-7"),
		resilience.Fallback(func(_ context.Context, cause error) (string, error) { return "", errors.New("not for this studio") }),
		resilience.FallbackValue("the strictest terms"))
	fmt.Println(res.Value, res.Source, err)
	fmt.Println(res.Cause)
	// Output:
	// the strictest terms static <nil>
	// down; fallback: not for this studio
}

// A remembered value serves while the call fails, and without a call while it is
// fresh; its age is part of the result.
func ExampleStalePolicy() {
	guard := open(resilience.Policy{
		Name: "catalog", Bulkhead: resilience.BulkheadPolicy{Limit: 10},
		Default: resilience.OperationPolicy{Timeout: time.Second, Stale: &resilience.StalePolicy{MaxAge: time.Hour}},
	})
	defer guard.Close()
	terms := resilience.NewLastGood[string](1000)
	do := func(answer string, err error) {
		res, failed := resilience.Do(context.Background(), guard, func(context.Context) (string, error) { return answer, err }, terms.For("studio-7"))
		fmt.Println(res.Value, res.Source, res.Age < time.Minute, res.Cause, failed)
	}
	do("30 days", nil)
	do("", errors.New("down"))
	// Output:
	// 30 days live true <nil> <nil>
	// 30 days stale true down <nil>
}

// While a call for a key runs, others for the key wait for it instead of making
// their own, each for as long as it likes.
func ExampleCoalesce() {
	guard := open(resilience.Policy{
		Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 1}, Default: resilience.OperationPolicy{Timeout: time.Minute},
	})
	defer guard.Close()
	started, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		res, err := resilience.Do(context.Background(), guard, func(context.Context) (string, error) {
			close(started)
			<-release
			return "the plan of m-1", nil
		}, resilience.Coalesce[string]("m-1"))
		fmt.Println("first:", res.Value, err)
	}()
	<-started
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	_, err := resilience.Do(ctx, guard, func(context.Context) (string, error) {
		fmt.Println("a second call")
		return "", nil
	}, resilience.Coalesce[string]("m-1"))
	fmt.Println("second left:", errors.Is(err, context.DeadlineExceeded))
	close(release)
	<-done
	// Output:
	// second left: true
	// first: the plan of m-1 <nil>
}

func ExampleRateLimitPolicy() {
	guard := open(resilience.Policy{
		Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 10},
		RateLimit: &resilience.RateLimitPolicy{PerSecond: 0.001, Burst: 2},
		Default:   resilience.OperationPolicy{Timeout: time.Second},
	})
	defer guard.Close()
	for range 3 {
		_, err := resilience.Do(context.Background(), guard, func(context.Context) (int, error) { return 1, nil })
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// <nil>
	// resilience: rate limited: dep/default: the rate limit has no token left; back off
}

// An update keeps the state: here the open circuit.
func ExampleGuard_Update() {
	policy := resilience.Policy{
		Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 10}, Breaker: &resilience.BreakerPolicy{MinimumCalls: 1, OpenFor: time.Minute},
		Default: resilience.OperationPolicy{Timeout: time.Second},
	}
	guard := open(policy)
	defer guard.Close()
	_, _ = resilience.Do(context.Background(), guard, func(context.Context) (int, error) { return 0, errors.New("down") })

	policy.Bulkhead.Limit = 20
	err := guard.Update(policy)
	fmt.Println(err, guard.Snapshot().Limit, guard.Snapshot().Breaker)
	policy.Default.Timeout = 0
	err = guard.Update(policy)
	fmt.Println(errors.Is(err, resilience.ErrPolicy), guard.Policy().Default.Timeout)
	// Output:
	// <nil> 20 open
	// true 1s
}

// Would a smaller limit have been enough? A shadow answers before it counts.
func ExampleGuard_Shadow() {
	policy := resilience.Policy{Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 10}, Default: resilience.OperationPolicy{Timeout: time.Second}}
	guard := open(policy)
	defer guard.Close()
	policy.Bulkhead.Limit = 1
	shadow, err := guard.Shadow(policy)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer shadow.Stop()
	answer := func(context.Context) (int, error) { return 1, nil }
	_, _ = resilience.Do(context.Background(), guard, func(ctx context.Context) (int, error) {
		_, _ = resilience.Do(ctx, guard, answer) // a second one at the same time
		return 1, nil
	})
	report := shadow.Report()
	fmt.Println(report.Attempts, "decisions,", report.WouldRefuseFull, "would have been refused")
	// Output: 2 decisions, 1 would have been refused
}

func ExamplePolicy_Check() {
	policy := resilience.Policy{
		Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 10},
		Default: resilience.OperationPolicy{Timeout: time.Second, AttemptTimeout: 400 * time.Millisecond, Idempotent: true, Retry: &resilience.RetryPolicy{}},
		Expect:  &resilience.Expectation{PerSecond: 1000, Latency: 20 * time.Millisecond},
	}
	for _, finding := range policy.Check() {
		fmt.Println(finding.Severity, finding.Field)
	}
	// Output:
	// warning default.attempt_timeout
	// warning bulkhead.limit
}

// A work's own error says what it means for breaker and retry; a client library
// gives a Classifier instead.
func ExampleWithClassifier() {
	errNotFound := errors.New("not found")
	guard := open(resilience.Policy{
		Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 10}, Breaker: &resilience.BreakerPolicy{MinimumCalls: 1}, Default: resilience.OperationPolicy{Timeout: time.Second},
	}, resilience.WithClassifier(func(err error) resilience.Verdict {
		if errors.Is(err, errNotFound) {
			return resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}
		}
		return resilience.DefaultClassifier(err)
	}))
	defer guard.Close()
	_, err := resilience.Do(context.Background(), guard, func(context.Context) (int, error) { return 0, errNotFound }, resilience.FallbackValue(7))
	fmt.Println(err, guard.Snapshot().Breaker)
	// Output: not found closed
}

// A response's body is read after the call returned: Hold keeps permit and context
// until it is.
func ExampleHold() {
	guard := open(resilience.Policy{Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 10}, Default: resilience.OperationPolicy{Timeout: time.Second}})
	defer guard.Close()
	res, _ := resilience.Do(context.Background(), guard, func(ctx context.Context) (func(error), error) {
		return resilience.Hold(ctx), nil // a client calls it at the end of the body, with the error if it broke off
	})
	fmt.Println(guard.Snapshot().InFlight)
	res.Value(nil)
	fmt.Println(guard.Snapshot().InFlight)
	// Output:
	// 1
	// 0
}

func ExampleAcquire() {
	guard, err := resilience.New(resilience.Policy{
		Name: "events", Bulkhead: resilience.BulkheadPolicy{Limit: 8},
		Default: resilience.OperationPolicy{Timeout: time.Minute},
	})
	if err != nil {
		panic(err)
	}
	defer guard.Close()
	permit, err := resilience.Acquire(context.Background(), guard)
	if err != nil {
		panic(err)
	}
	fmt.Println("in use:", guard.Snapshot().InFlight) // while the stream is read under permit.Context()
	permit.Done(nil)
	fmt.Println("in use:", guard.Snapshot().InFlight)
	// Output:
	// in use: 1
	// in use: 0
}
