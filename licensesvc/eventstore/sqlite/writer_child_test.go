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
