package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/eventstoretest"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/resilience"
)

// TestMain runs the writer that TestKillNineLosesNothing kills, or the tests.
func TestMain(m *testing.M) {
	if path := os.Getenv("BACKSTAY_TEST_WRITER"); path != "" {
		writeUntilKilled(path)
		return
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Policy: patient()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// patient is the store's policy with the time that a busy machine needs, and room for all that a
// test does at once.
func patient() *resilience.Policy {
	p := sqlite.Policy()
	p.Bulkhead, p.Breaker = resilience.BulkheadPolicy{Limit: 4096, Queue: 4096}, nil
	for name, op := range p.Operations {
		op.Timeout, op.AttemptTimeout, op.Retry = time.Minute, 0, nil
		p.Operations[name] = op
	}
	return &p
}

// TestALateCallerIsNoDamage reads with deadlines that end at any moment, also between two rows:
// the store says that it was not asked in time, never that it is damaged.
func TestALateCallerIsNoDamage(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "events.db"))
	for v := range int64(20) {
		c := one(fmt.Sprint("c", v), "m-1", v)
		c.Events[0].Data = make([]byte, 64<<10)
		if _, err := s.Append(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	ended := 0
	for i := range 300 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(7*i)*time.Microsecond)
		_, err := s.Load(ctx, eventstore.Query{Stream: "m-1"})
		cancel()
		if err == nil {
			continue
		}
		ended++
		if errors.Is(err, eventstore.ErrCorrupt) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("after %d µs: %v", 7*i, err)
		}
	}
	if ended == 0 {
		t.Error("no deadline ended a read")
	}
}

func TestConformance(t *testing.T) {
	var mu sync.Mutex
	paths := map[string]string{}
	eventstoretest.Run(t, eventstoretest.Harness{
		Open: func(t *testing.T) eventstore.Store {
			path := filepath.Join(t.TempDir(), "events.db")
			mu.Lock()
			paths[t.Name()] = path
			mu.Unlock()
			return open(t, path)
		},
		Reopen: func(t *testing.T) eventstore.Store {
			mu.Lock()
			defer mu.Unlock()
			return open(t, paths[t.Name()])
		},
		Copy: func(t *testing.T) func() eventstore.Store {
			mu.Lock()
			path := paths[t.Name()]
			mu.Unlock()
			backup := filepath.Join(t.TempDir(), "backup.db")
			if err := sqlite.Backup(t.Context(), path, backup); err != nil {
				t.Fatal(err)
			}
			return func() eventstore.Store { // Not Restore, which begins a new epoch.
				text, err := os.ReadFile(backup)
				if err == nil {
					err = os.WriteFile(path, text, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				return open(t, path)
			}
		},
	})
}

func one(id, stream string, expected int64) eventstore.Commit {
	return eventstore.Commit{ID: id, Stream: stream, Expected: expected,
		Events: []eventstore.Event{{Type: "t", Schema: 1, Data: []byte("{}")}}}
}

// A process that is killed loses nothing that it acknowledged.
func TestKillNineLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	acked := map[string]int64{}
	for range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "BACKSTAY_TEST_WRITER="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			var stream string
			var version int64
			if _, err := fmt.Sscan(lines.Text(), &stream, &version); err == nil {
				acked[stream] = max(acked[stream], version)
			}
			if n == 300 { // in the middle of the load; what was written to the pipe is read on
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the writer ended by itself: %v", err)
		}
		s := open(t, path)
		for stream, version := range acked {
			page, err := s.Load(t.Context(), eventstore.Query{Stream: stream})
			if err != nil || page.Version < version {
				t.Fatalf("stream %s: version %d acknowledged, %d there (%v)", stream, version, page.Version, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(acked) == 0 {
		t.Fatal("nothing was acknowledged")
	}
}

func TestABadAppendFailsAloneInItsBatch(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "events.db"))
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			expected := int64(i % 2) // every second one conflicts
			a, err := s.Append(t.Context(), one("c", fmt.Sprint("m-", i), expected))
			want := []eventstore.Outcome{eventstore.Applied, eventstore.Conflict}[expected]
			if err != nil || a.Outcome != want {
				t.Errorf("%d: %v, %v; want %v", i, a.Outcome, err, want)
			}
		})
	}
	wg.Wait()
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]sqlite.Config{
		"Path is empty":      {},
		"MaxBatch is -1":     {Path: filepath.Join(dir, "a.db"), MaxBatch: -1},
		"not a database":     {Path: text},
		"the store's folder": {Path: filepath.Join(dir, "missing", "a.db")},
		"is no folder":       {Path: filepath.Join(text, "a.db")},
	} {
		_, err := sqlite.Open(t.Context(), cfg)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v, want it to say %q", cfg, err, name)
		}
	}
}

// An older copy of the file that is put back is noticed by those who read on.
func TestARestoredBackupIsNoticed(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "events.db"), filepath.Join(dir, "backup.db")
	s := open(t, path)
	if _, err := s.Append(t.Context(), one("c1", "m-1", 0)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(backup, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	if _, err := s.Append(t.Context(), one("c2", "m-1", 1)); err != nil {
		t.Fatal(err)
	}
	page, err := s.Feed(t.Context(), eventstore.SliceOf("m-1"), "", 10)
	if err != nil || len(page.Events) != 2 {
		t.Fatalf("%d events, %v", len(page.Events), err)
	}
	restored := open(t, backup)
	if _, err := restored.Feed(t.Context(), eventstore.SliceOf("m-1"), page.Next, 10); !errors.Is(err, eventstore.ErrEpoch) {
		t.Errorf("shorter than the cursor: %v", err)
	}
	if _, err := restored.Append(t.Context(), one("other", "m-1", 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := restored.Feed(t.Context(), eventstore.SliceOf("m-1"), page.Next, 10); !errors.Is(err, eventstore.ErrEpoch) {
		t.Errorf("another event at the cursor: %v", err)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s, err := sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(b.TempDir(), "events.db")})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			b.SetParallelism(writers)
			var mu sync.Mutex
			next := 0
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				mu.Lock()
				next++
				stream := fmt.Sprint("m-", next)
				mu.Unlock()
				for v := int64(0); pb.Next(); v++ {
					c := one(fmt.Sprint("c", v), stream, v)
					c.Events[0].Data = make([]byte, 300)
					if a, err := s.Append(b.Context(), c); err != nil || a.Outcome != eventstore.Applied {
						b.Errorf("%v, %v", a.Outcome, err)
						return
					}
				}
			})
			st, err := s.Stats(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(st.Bytes-st.LogBytes)/float64(st.Events), "B/event")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
