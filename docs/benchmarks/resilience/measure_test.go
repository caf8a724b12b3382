package resilience

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var writes = flag.Bool("write", false, "measure in full and write the tables next to the README")

// write keeps a table, with -write; else it is logged.
func write(t *testing.T, name, page string) {
	t.Helper()
	if !*writes {
		t.Log(page)
		return
	}
	if err := os.WriteFile(name, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
}

// machine names what the figures were made with.
func machine() string {
	return fmt.Sprintf("%s %s/%s, %d cores", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}

// serially calls for a while on one goroutine, and returns ns a call.
func serially(ctx context.Context, call func(context.Context) error) float64 {
	start := time.Now()
	for n := 1; ; n++ {
		for range 100 {
			_ = call(ctx)
		}
		if d := time.Since(start); d >= slice {
			return float64(d) / float64(100*n)
		}
	}
}

// atOnce calls from as many goroutines as there are cores, and returns the time
// that passed by the calls of all.
func atOnce(ctx context.Context, call func(context.Context) error) float64 {
	var callers sync.WaitGroup
	var calls atomic.Int64
	start := time.Now()
	for range runtime.GOMAXPROCS(0) {
		callers.Go(func() {
			for time.Since(start) < slice {
				for range 100 {
					_ = call(ctx)
				}
				calls.Add(100)
			}
		})
	}
	callers.Wait()
	return float64(time.Since(start)) / float64(calls.Load())
}
