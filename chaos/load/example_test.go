package load_test

import (
	"context"
	"fmt"
	"time"

	"github.com/backstay-go/backstay/chaos/load"
)

// An open loop: requests start when the schedule says so, whatever happened to those before.
func ExampleNew() {
	schedule, err := load.Schedule([]load.Stage{{For: 50 * time.Millisecond, PerSecond: 200}}, 7)
	if err != nil {
		fmt.Println(err)
		return
	}
	run, err := load.New(load.Config{Schedule: schedule, MaxLag: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := run.Play(context.Background(), func(context.Context, int) load.Sample {
		return load.Sample{Kind: "read", Outcome: "right", Means: load.Right, Good: true}
	})
	fmt.Println(len(result.Samples) == len(schedule), err)
	// Output: true <nil>
}
