package simulate_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/record"
	"github.com/backstay-go/backstay/resilience/simulate"
)

// What would a shorter timeout have made of the calls in a record?
func ExampleReplay() {
	var file strings.Builder
	writer, err := record.NewWriter(&file, record.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	policy := resilience.Policy{
		Name:     "catalog",
		Bulkhead: resilience.BulkheadPolicy{Limit: 8},
		Default:  resilience.OperationPolicy{Timeout: time.Minute},
	}
	guard, err := resilience.New(policy, resilience.WithListener(writer))
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		_, _ = resilience.Do(context.Background(), guard, func(context.Context) (int, error) { return 42, nil })
	}
	_, _ = guard.Close(), writer.Close()

	rec, err := record.ReadAll(strings.NewReader(file.String()))
	if err != nil {
		fmt.Println(err)
		return
	}
	policy.Default.Timeout = 30 * time.Second
	report, err := simulate.Replay(context.Background(), rec, map[string]resilience.Policy{"catalog": policy}, simulate.Options{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, d := range report.Dependencies {
		fmt.Println(d.Name, d.Recorded.Calls, d.Replayed.Outcomes[simulate.Live])
	}
	// Output: catalog 3 3
}
