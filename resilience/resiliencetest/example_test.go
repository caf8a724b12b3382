package resiliencetest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/resiliencetest"
)

// A dependency that fails once and then answers shows that the policy retries.
func ExampleNewDependency() {
	stock := resiliencetest.NewDependency(
		resiliencetest.Fail[int](errors.New("connection reset")),
		resiliencetest.Answer(7),
	)
	guard, err := resilience.New(resilience.Policy{
		Name:     "stock",
		Bulkhead: resilience.BulkheadPolicy{Limit: 4},
		Budget:   &resilience.BudgetPolicy{Ratio: 0.2},
		Default: resilience.OperationPolicy{
			Timeout: time.Minute, AttemptTimeout: 10 * time.Second, Idempotent: true,
			Retry: &resilience.RetryPolicy{MaxAttempts: 2, BaseDelay: time.Millisecond},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()
	res, err := resilience.Do(context.Background(), guard, stock.Call)
	fmt.Println(res.Value, res.Source, res.Attempts, err)
	// A test says stock.WantCalls(t, 2) and resiliencetest.WantIdle(t, guard).
	fmt.Println(len(stock.Calls()), "calls")
	// Output:
	// 7 live 2 <nil>
	// 2 calls
}
