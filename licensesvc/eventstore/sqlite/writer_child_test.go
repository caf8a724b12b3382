package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
)

// writeUntilKilled appends on eight streams and prints what was acknowledged.
func writeUntilKilled(path string) {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, sqlite.Config{Path: path, Policy: patient()})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Getenv("BACKSTAY_TEST_CAP") != "" {
		takeUntilKilled(ctx, s)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			stream := fmt.Sprint("m-", w)
			page, err := s.Load(ctx, eventstore.Query{Stream: stream, After: 0, Limit: 1})
			for v := page.Version; err == nil; {
				var a eventstore.Appended
				a, err = s.Append(ctx, one(fmt.Sprintf("%s-%d-%d", stream, os.Getpid(), v), stream, v))
				if a.Outcome == eventstore.Applied {
					v = a.Version
					mu.Lock()
					fmt.Println(stream, v)
					mu.Unlock()
				}
			}
			fmt.Fprintln(os.Stderr, err)
		})
	}
	wg.Wait()
	os.Exit(1)
}

// childCap is the cap of every tag for takeUntilKilled.
const childCap = 3

// takeUntilKilled lets eight writers compete for the places of one tag after the other, and prints
// each tag that is full.
func takeUntilKilled(ctx context.Context, s *sqlite.Store) {
	for n := 0; ; n++ {
		tag := fmt.Sprintf("studio:%d-%d", os.Getpid(), n)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				if _, _, err := take(ctx, s, tag, fmt.Sprintf("%s-%d", tag, w), childCap); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
			})
		}
		wg.Wait()
		fmt.Println(tag)
	}
}
