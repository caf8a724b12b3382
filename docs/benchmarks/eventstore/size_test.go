package eventstore

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
)

var sizeOf = flag.Int("events", 20_000, "number of events in the large file of TestSize, at about 580 bytes each")

// perStream is the number of events in each stream of a generated file.
const perStream = 20

// cacheBytes is the writer's cache, into which the upper pages of ten million events fit.
const cacheBytes = 16 << 20

// generate makes a file of events by the store's own tables. The streams grow in turns, as they
// do in a service, so the keys arrive in random order.
func generate(ctx context.Context, path string, n int) (err error) {
	store, err := sqlite.Open(ctx, sqlite.Config{Path: path, CacheBytes: cacheBytes})
	if err != nil {
		return err
	}
	if err := store.Close(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(OFF)&_pragma=cache_size(-1000000)&_pragma=wal_autocheckpoint(20000)")
	if err != nil {
		return err
	}
	defer func() { err = db.Close() }()
	data, now := []byte(strings.Repeat("x", 300)), time.Now().UnixNano()
	streams := max(1, n/perStream)
	for i := 0; i < n; {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		event, err := tx.PrepareContext(ctx, "INSERT INTO events (position, stream, version, slice, id, type, schema, commit_id, occurred, recorded, cause, correlation, trace, actor, data, checksum) VALUES (?,?,?,?,?,'license.granted',1,?,?,?,'request','','','',?,?)")
		if err != nil {
			return err
		}
		key, err := tx.PrepareContext(ctx, "INSERT INTO streams (stream, key, at, last, fingerprint) VALUES (?, ?, ?, ?, ?)")
		if err != nil {
			return err
		}
		for range min(50_000, n-i) {
			stream, version := fmt.Sprintf("member-%08d", i*7919%streams), i/streams+1
			commit := fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
			i++
			if _, err := event.ExecContext(ctx, i, stream, version, eventstore.SliceOf(stream), commit+".0", commit, now, now, data, rand.Uint32()); err != nil {
				return err
			}
			if _, err := key.ExecContext(ctx, stream, version, i, version, ""); err != nil {
				return err
			}
			if _, err := key.ExecContext(ctx, stream, commit, version, version, commit); err != nil {
				return err
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}

// latencies appends to streams at random, from one writer, and returns the sorted times. It
// keeps the versions of the streams that it changed.
func latencies(ctx context.Context, path string, versions map[string]int64, n, appends int) ([]time.Duration, error) {
	policy := sqlite.Policy()
	policy.Breaker = nil
	store, err := sqlite.Open(ctx, sqlite.Config{Path: path, Policy: &policy, CacheBytes: cacheBytes})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	streams := max(1, n/perStream)
	var took []time.Duration
	for range appends {
		stream := fmt.Sprintf("member-%08d", rand.IntN(streams))
		if versions[stream] == 0 {
			versions[stream] = perStream
		}
		began := time.Now()
		err := (ours{store}).append(ctx, stream, fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()), versions[stream], make([]byte, 300))
		took = append(took, time.Since(began))
		if err != nil {
			return nil, fmt.Errorf("append to %s: %w", stream, err)
		}
		versions[stream]++
	}
	slices.Sort(took)
	return took, nil
}

// TestSize compares appends to a small file and to a large one, in turns.
func TestSize(t *testing.T) {
	const small = 10_000
	appends, rounds := 300, 1
	if *writes {
		appends, rounds = 5000, 3
	}
	dir := t.TempDir()
	files := map[int]string{small: filepath.Join(dir, "small.db"), *sizeOf: filepath.Join(dir, "large.db")}
	for n, path := range files {
		if err := generate(t.Context(), path, n); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(files[*sizeOf])
	if err != nil {
		t.Fatal(err)
	}
	middle, tail := map[int][]time.Duration{}, map[int][]time.Duration{}
	versions := map[int]map[string]int64{small: {}, *sizeOf: {}}
	for range rounds {
		for n, path := range files {
			took, err := latencies(t.Context(), path, versions[n], n, appends)
			if err != nil {
				t.Fatal(err)
			}
			middle[n], tail[n] = append(middle[n], took[appends/2]), append(tail[n], took[appends*9/10])
		}
	}
	var page strings.Builder
	fmt.Fprintf(&page, "# Size of an event store on SQLite\n\n`cd docs/benchmarks && go test -count 1 -timeout 2h -run TestSize ./eventstore -args -write -events %d` (%s %s/%s, %d cores): files of events of 300 bytes in streams of %d, with the ids of random 128-bit numbers. One writer appends %d events to streams at random, each in a durable commit; %d rounds in turns, median of the rounds.\n\nAn event with its commit takes %d bytes on disk, of which 300 are its content.\n\n| events in the file | p50 | p90 |\n|-|-|-|\n",
		*sizeOf, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), perStream, appends, rounds, info.Size()/int64(*sizeOf))
	for _, n := range []int{small, *sizeOf} {
		fmt.Fprintf(&page, "| %d | %s | %s |\n", n, middleOf(middle[n]), middleOf(tail[n]))
	}
	fmt.Fprintf(&page, "\nRatio at p50: %.2f. An append changes one page that is far from all others, because the events and the commits of a stream share one index. The upper pages of that index stay in the writer's cache of 16 MiB (`CacheBytes`; the default of 8 MiB suits a file of half that size).\n",
		float64(middleOf(middle[*sizeOf]))/float64(middleOf(middle[small])))
	t.Log("\n" + page.String())
	if *writes {
		if err := os.WriteFile("size.md", []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func middleOf(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2].Round(time.Microsecond)
}
