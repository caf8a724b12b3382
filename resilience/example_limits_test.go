package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

func ExampleThrottlePolicy() {
	guard, err := resilience.New(resilience.Policy{
		Name: "quota", Bulkhead: resilience.BulkheadPolicy{Limit: 8},
		Throttle: &resilience.ThrottlePolicy{K: 2, Window: time.Minute},
		Default:  resilience.OperationPolicy{Timeout: time.Second},
	})
	if err != nil {
		panic(err)
	}
	defer guard.Close()
	sent := 0
	for range 10_000 { // all of them are refused by the dependency
		_, _ = resilience.Do(context.Background(), guard, func(context.Context) (int, error) { sent++; return 0, errors.New("429") })
	}
	fmt.Println("most calls were not sent:", sent < 1000)
	// Output: most calls were not sent: true
}

// No tenant holds more than half of the permits, so that one that is busy leaves room for
// the others.
func ExampleWithShareKey() {
	guard := open(resilience.Policy{
		Name:     "dep",
		Bulkhead: resilience.BulkheadPolicy{Limit: 4, MaxShare: 0.5},
		Default:  resilience.OperationPolicy{Timeout: time.Second},
	})
	defer guard.Close()
	busy := resilience.WithShareKey(context.Background(), "tenant-1")
	for range 2 { // streams that stay open
		permit, err := resilience.Acquire(busy, guard)
		if err != nil {
			panic(err)
		}
		defer permit.Done(nil)
	}
	call := func(context.Context) (int, error) { return 1, nil }
	_, err := resilience.Do(busy, guard, call)
	fmt.Println("tenant-1 is refused:", errors.Is(err, resilience.ErrFull))
	_, err = resilience.Do(resilience.WithShareKey(context.Background(), "tenant-2"), guard, call)
	fmt.Println("tenant-2:", err)
	// Output:
	// tenant-1 is refused: true
	// tenant-2: <nil>
}

// Two shards of one store, which together may be sent five repeats at once.
func ExampleWithBudget() {
	budget, err := resilience.NewBudget(resilience.BudgetPolicy{Ratio: 0.01, Burst: 5})
	if err != nil {
		panic(err)
	}
	attempts := 0
	for _, shard := range []string{"shard-1", "shard-2"} {
		guard, err := resilience.New(resilience.Policy{
			Name: shard, Bulkhead: resilience.BulkheadPolicy{Limit: 10},
			Default: resilience.OperationPolicy{Timeout: time.Second, Idempotent: true, Retry: &resilience.RetryPolicy{BaseDelay: time.Microsecond}},
		}, resilience.WithBudget(budget))
		if err != nil {
			panic(err)
		}
		defer guard.Close()
		for range 10 {
			_, _ = resilience.Do(context.Background(), guard, func(context.Context) (int, error) { attempts++; return 0, errors.New("down") })
		}
	}
	fmt.Println("attempts of 20 calls:", attempts)
	// Output: attempts of 20 calls: 25
}

// A call beyond the rate waits for its turn, as long as that is soon enough.
func ExampleRateLimitPolicy_wait() {
	guard := open(resilience.Policy{
		Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 10},
		RateLimit: &resilience.RateLimitPolicy{PerSecond: 100, Burst: 1, MaxWait: 500 * time.Millisecond},
		Default:   resilience.OperationPolicy{Timeout: time.Second},
	})
	defer guard.Close()
	began := time.Now()
	for range 4 {
		if _, err := resilience.Do(context.Background(), guard, func(context.Context) (int, error) { return 1, nil }); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("four calls take 30 ms or more:", time.Since(began) > 29*time.Millisecond)
	// Output: four calls take 30 ms or more: true
}

// For a dependency with few calls: the window is the newest calls, however old they are.
func ExampleBreakerPolicy_count() {
	guard := open(resilience.Policy{
		Name:     "dep",
		Bulkhead: resilience.BulkheadPolicy{Limit: 10},
		Breaker:  &resilience.BreakerPolicy{WindowCalls: 6, MinimumCalls: 4, FailureRate: 0.5, ConsecutiveFailures: 3, OpenFor: time.Minute},
		Default:  resilience.OperationPolicy{Timeout: time.Second},
	})
	defer guard.Close()
	for _, up := range []bool{true, true, true, true, false, false, false} {
		_, _ = resilience.Do(context.Background(), guard, func(context.Context) (int, error) {
			if up {
				return 1, nil
			}
			return 0, errors.New("connection refused")
		})
		s := guard.Snapshot()
		fmt.Println(s.Failures, "of", s.Calls, s.Breaker)
	}
	// Output:
	// 0 of 1 closed
	// 0 of 2 closed
	// 0 of 3 closed
	// 0 of 4 closed
	// 1 of 5 closed
	// 2 of 6 closed
	// 0 of 0 open
}
