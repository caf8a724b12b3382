package eventstore

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/resilience"
)

var writes = flag.Bool("write", false, "measure in full and write append.md")

// appender is a store as the benchmark sees it.
type appender interface {
	append(ctx context.Context, stream, commit string, expected int64, data []byte) error
	close() error
}

// ours is the event store.
type ours struct{ *sqlite.Store }

func (o ours) append(ctx context.Context, stream, commit string, expected int64, data []byte) error {
	a, err := o.Append(ctx, eventstore.Commit{ID: commit, Stream: stream, Expected: expected,
		Events: []eventstore.Event{{Type: "license.granted", Schema: 1, Occurred: time.Now(), Recorded: time.Now(), Cause: "request", Data: data}}})
	if err == nil && a.Outcome != eventstore.Applied {
		err = fmt.Errorf("outcome %s", a.Outcome)
	}
	return err
}

func (o ours) close() error { return o.Close() }

// streams is how many streams each writer appends to in turn.
const streams = 100

// load appends from several writers for a while. It returns the appends per second and the
// largest size of the log.
func load(t *testing.T, a appender, file string, writers int, length time.Duration) (perSecond float64, maxLog int64) {
	t.Helper()
	data := []byte(strings.Repeat("x", 300))
	var done atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for w := range writers {
		wg.Go(func() {
			for n := 0; time.Since(start) < length; n++ {
				stream := fmt.Sprintf("member-%d-%d", w, n%streams)
				if err := a.append(t.Context(), stream, fmt.Sprintf("c-%d-%d", w, n), int64(n/streams), data); err != nil {
					t.Errorf("writer %d, append %d: %v", w, n, err)
					return
				}
				done.Add(1)
			}
		})
	}
	finished := make(chan struct{})
	go func() { wg.Wait(); close(finished) }()
	for {
		select {
		case <-finished:
			return float64(done.Load()) / time.Since(start).Seconds(), maxLog
		case <-time.After(50 * time.Millisecond):
			if info, err := os.Stat(file + "-wal"); err == nil {
				maxLog = max(maxLog, info.Size())
			}
		}
	}
}

// TestAppend compares appends per second, in turns.
func TestAppend(t *testing.T) {
	rounds, length := 1, 500*time.Millisecond
	if *writes {
		rounds, length = 5, 2*time.Second
	}
	var page strings.Builder
	fmt.Fprintf(&page, "# Appends on SQLite\n\n`cd docs/benchmarks && go test -count 1 -run TestAppend ./eventstore -args -write` (%s %s/%s, %d cores): one event of 300 bytes per append, %d streams per writer, a durable commit (WAL, `synchronous=FULL`), %d rounds of %s in turns. Beside it: a group commit written by hand with `database/sql`, on the same tables. It keeps an event and its commit, and promises nothing of what else the store does: no check of a repeated commit, of the expected version, or of a failed commit.\n\n| writers | store, appends/s | by hand, appends/s | ratio (median of the rounds) | largest log, MB: store, by hand |\n|-|-|-|-|-|\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), streams, rounds, length)
	for _, writers := range []int{1, 64, 512} {
		var ratios, us, them []float64
		var log, theirLog int64
		for range rounds {
			dir := t.TempDir()
			a, b := filepath.Join(dir, "a.db"), filepath.Join(dir, "b.db")
			// The store's guard admits all writers and waits for a slow disk: the store is measured,
			// and not what its guard refuses.
			policy := sqlite.Policy()
			policy.Breaker, policy.Bulkhead = nil, resilience.BulkheadPolicy{Limit: 1024}
			for name, o := range policy.Operations {
				o.Timeout, o.AttemptTimeout, o.Retry = time.Minute, 0, nil
				policy.Operations[name] = o
			}
			store, err := sqlite.Open(t.Context(), sqlite.Config{Path: a, Policy: &policy})
			if err != nil {
				t.Fatal(err)
			}
			x, l := load(t, ours{store}, a, writers, length)
			rival, err := openByHand(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			y, m := load(t, rival, b, writers, length)
			log, theirLog = max(log, l), max(theirLog, m)
			if err := store.Close(); err != nil {
				t.Error(err)
			}
			if err := rival.close(); err != nil {
				t.Error(err)
			}
			ratios, us, them = append(ratios, x/y), append(us, x), append(them, y)
		}
		fmt.Fprintf(&page, "| %d | %.0f | %.0f | %.2f | %.1f, %.1f |\n", writers, median(us), median(them), median(ratios), float64(log)/1e6, float64(theirLog)/1e6)
	}
	if !*writes {
		t.Log(page.String())
		return
	}
	if err := os.WriteFile("append.md", []byte(page.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
