package history_test

import (
	"fmt"
	"time"

	"github.com/backstay-go/backstay/chaos/history"
)

// Two clients append to one stream, and a reader misses an append that had been applied.
func ExampleNew() {
	recorder := history.New()
	recorder.Append(1, "license-1", "commit-a", 0, 1).Applied(1)
	recorder.Append(2, "license-1", "commit-b", 0, 1).Conflict(1)
	recorder.Read(2, "license-1").Saw([]history.Event{{Version: 1, Commit: "commit-a"}})
	ok, decided, _ := recorder.History().Linearizable(time.Minute)
	fmt.Println(ok, decided)

	recorder.Read(1, "license-1").Saw(nil)
	ok, decided, _ = recorder.History().Linearizable(time.Minute)
	fmt.Println(ok, decided)
	// Output:
	// true true
	// false true
}
