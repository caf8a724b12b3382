package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// A call that returns no value.
func ExampleRun() {
	guard := open(resilience.Policy{Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 10}, Default: resilience.OperationPolicy{Timeout: time.Second}})
	defer guard.Close()
	err := resilience.Run(context.Background(), guard, func(context.Context) error { return nil })
	fmt.Println(err)
	// Output: <nil>
}

// An answer can be a failure without being an error.
func ExampleCheckResult() {
	guard := open(resilience.Policy{Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 10}, Default: resilience.OperationPolicy{
		Timeout: time.Second, Idempotent: true, Retry: &resilience.RetryPolicy{BaseDelay: time.Millisecond},
	}})
	defer guard.Close()
	answers := []string{"", "basic"}
	res, err := resilience.Do(context.Background(), guard, func(context.Context) (string, error) {
		next := answers[0]
		answers = answers[1:]
		return next, nil
	}, resilience.CheckResult(func(plan string) error {
		if plan == "" {
			return errors.New("an empty plan")
		}
		return nil
	}))
	fmt.Println(res.Value, res.Attempts, err)
	// Output: basic 2 <nil>
}

// An error that says what it means.
func ExampleWithVerdict() {
	guard := open(resilience.Policy{Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 10}, Default: resilience.OperationPolicy{Timeout: time.Second}})
	defer guard.Close()
	notFound := resilience.WithVerdict(errors.New("not found"), resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever})
	_, err := resilience.Do(context.Background(), guard, func(context.Context) (string, error) { return "", notFound }, resilience.FallbackValue("basic"))
	fmt.Println(err)
	// Output: not found
}

// A memory that begins with what is known, and stays within 64 MiB.
func ExampleLastGood_Put() {
	guard := open(resilience.Policy{Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 10}, Default: resilience.OperationPolicy{
		Timeout: time.Second, Stale: &resilience.StalePolicy{MaxAge: time.Hour},
	}})
	defer guard.Close()
	plans := resilience.NewLastGood[string](10_000).LimitBytes(64<<20, func(plan string) int64 { return int64(len(plan)) })
	plans.Put("m-1", "basic", time.Now())
	res, err := resilience.Do(context.Background(), guard, func(context.Context) (string, error) { return "", errors.New("down") }, plans.For("m-1"))
	fmt.Println(res.Value, res.Source, err)
	// Output: basic stale <nil>
}

// A policy that says of an error that code has named that it counts for nothing.
func ExampleWithError() {
	notFound := errors.New("not found")
	guard, err := resilience.New(resilience.Policy{
		Name: "catalog", Bulkhead: resilience.BulkheadPolicy{Limit: 10},
		Errors:  &resilience.ErrorsPolicy{Ignored: []string{"not_found"}},
		Breaker: &resilience.BreakerPolicy{MinimumCalls: 1},
		Default: resilience.OperationPolicy{Timeout: time.Second},
	}, resilience.WithError("not_found", notFound))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()
	_, err = resilience.Do(context.Background(), guard, func(context.Context) (string, error) { return "", notFound })
	fmt.Println(err, guard.Snapshot().Failures)

	p := guard.Policy()
	p.Errors.Failure = []string{"conflict"}
	fmt.Println(guard.Update(p))
	// Output:
	// not found 0
	// resilience: invalid policy "catalog":
	//   errors.failure: has "conflict", which names no error of this guard; there are: not_found
}

// A lookup that finds nothing returns a value, and says nothing about the dependency's
// health.
func ExampleDoNotCount() {
	guard, err := resilience.New(resilience.Policy{
		Name:     "catalog",
		Bulkhead: resilience.BulkheadPolicy{Limit: 8},
		Breaker:  &resilience.BreakerPolicy{},
		Default:  resilience.OperationPolicy{Timeout: time.Second},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()
	res, err := resilience.Do(context.Background(), guard, func(ctx context.Context) (string, error) {
		resilience.DoNotCount(ctx) // the answer was 404
		return "no such title", nil
	})
	fmt.Println(res.Value, err, guard.Snapshot().Calls)
	// Output: no such title <nil> 0
}
