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
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
)

// capStore is what writers under a cap need.
type capStore interface {
	eventstore.TagLoader
	eventstore.Appender
}

// checkFirst is a store with a bug: it reads the condition before it takes the writer's lock.
// meet is called between the two.
type checkFirst struct {
	*sqlite.Store
	meet func()
}

func (s checkFirst) Append(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	if c.Condition != nil {
		page, err := s.LoadTagged(ctx, c.Condition.TagQuery, c.Condition.After, eventstore.MaxEvents)
		if err != nil {
			return eventstore.Appended{Outcome: eventstore.Rejected}, err
		}
		s.meet()
		if len(page.Events) > 0 {
			return eventstore.Appended{Outcome: eventstore.ConditionFailed, Events: page.Events, FailedTag: c.Condition.Tags[0]}, nil
		}
	}
	c.Condition = nil
	return s.Store.Append(ctx, c)
}

// take appends one event with the tag, in a stream of its own, if fewer than limit events have the
// tag. It decides again as long as others come between.
func take(ctx context.Context, s capStore, tag, stream string, limit int) (eventstore.Outcome, int, error) {
	held, failed := 0, 0
	var at eventstore.Position
	for {
		var err error
		at, err = eventstore.LoadAllTagged(ctx, s, eventstore.TagQuery{Tags: []string{tag}}, at, func(events []eventstore.Event) error {
			held += len(events)
			return nil
		})
		if err != nil || held >= limit {
			return eventstore.Rejected, failed, err
		}
		c := one("c", stream, 0)
		c.Events[0].Tags = []string{tag}
		c.Condition = &eventstore.Condition{TagQuery: eventstore.TagQuery{Tags: []string{tag}}, After: at}
		a, err := s.Append(ctx, c)
		if err != nil || a.Outcome != eventstore.ConditionFailed {
			return a.Outcome, failed, err
		}
		failed++
	}
}

// capRun is one run of many writers: writer i takes a place of tags[i], plain appends without a
// condition.
type capRun struct {
	name  string // begins the names of its streams
	limit int
	tags  []string
	plain []bool
}

func (r capRun) stream(i int) string { return fmt.Sprintf("%s-%d", r.name, i) }

// run lets all writers take a place at once, and returns what is wrong with the result.
func (r capRun) run(ctx context.Context, s capStore) error {
	var mu sync.Mutex
	var errs []error
	writers, failures := map[string]int{}, map[string]int{}
	var wg sync.WaitGroup
	for i, tag := range r.tags {
		wg.Go(func() {
			failed, err := 0, error(nil)
			if r.plain[i] {
				c := one("c", r.stream(i), 0)
				c.Events[0].Tags, c.Events[0].Actor = []string{tag}, "plain"
				_, err = s.Append(ctx, c)
			} else {
				_, failed, err = take(ctx, s, tag, r.stream(i), r.limit)
			}
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			writers[tag]++
			failures[tag] += failed
		})
	}
	wg.Wait()
	for tag, n := range writers {
		errs = append(errs, withinCap(ctx, s, tag, r.limit, n))
		if n == 1 && failures[tag] > 0 {
			errs = append(errs, fmt.Errorf("tag %s: a condition failed %d times by events of other tags", tag, failures[tag]))
		}
	}
	return errors.Join(errs...)
}

// withinCap checks a tag's events in the order in which they were stored: one with a condition is
// only among the first, and no place is left empty if there were enough writers.
func withinCap(ctx context.Context, s capStore, tag string, limit, writers int) error {
	page, err := s.LoadTagged(ctx, eventstore.TagQuery{Tags: []string{tag}}, "", eventstore.MaxEvents)
	if err != nil {
		return err
	}
	for i, e := range page.Events {
		if i >= limit && e.Actor != "plain" {
			return fmt.Errorf("tag %s: event %d of stream %s was stored, the cap is %d", tag, i+1, e.Stream, limit)
		}
	}
	if held := len(page.Events); held < min(writers, limit) {
		return fmt.Errorf("tag %s: %d events of %d writers, although the cap is %d", tag, held, writers, limit)
	}
	return nil
}

// TestACapOverTagsHolds: no interleaving of writers exceeds a cap or leaves a place empty, events
// that are appended without a condition count, and writers of other tags are not in the way.
func TestACapOverTagsHolds(t *testing.T) {
	stores, n := map[int]*sqlite.Store{}, 0 // by the size of a batch
	for _, batch := range []int{1, 2, 512} {
		s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "events.db"), Policy: patient(), MaxBatch: batch})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		stores[batch] = s
	}
	rapid.Check(t, func(rt *rapid.T) {
		n++
		r := capRun{name: fmt.Sprint("run-", n), limit: rapid.IntRange(1, 6).Draw(rt, "limit")}
		writers := rapid.IntRange(2, 24).Draw(rt, "writers")
		tags := rapid.IntRange(1, writers).Draw(rt, "tags")
		for i := range writers {
			r.tags = append(r.tags, fmt.Sprintf("studio:%d-%d", n, rapid.IntRange(0, tags-1).Draw(rt, fmt.Sprint("tag of ", i))))
			r.plain = append(r.plain, rapid.IntRange(0, 9).Draw(rt, fmt.Sprint("plain ", i)) == 0)
		}
		if err := r.run(t.Context(), stores[rapid.SampledFrom([]int{1, 2, 512}).Draw(rt, "batch")]); err != nil {
			rt.Error(err)
		}
	})
}

// TestAConditionReadBeforeTheLockIsCaught runs the property of TestACapOverTagsHolds on a store that
// reads the condition before it takes the lock: the property finds it.
func TestAConditionReadBeforeTheLockIsCaught(t *testing.T) {
	r := capRun{limit: 2, tags: make([]string, 8), plain: make([]bool, 8)}
	for i := range r.tags {
		r.tags[i] = "studio:a"
	}
	var all sync.WaitGroup // Every writer has read the condition before the first takes the lock.
	all.Add(len(r.tags))
	wrong := checkFirst{Store: open(t, filepath.Join(t.TempDir(), "wrong.db")), meet: func() {
		all.Done()
		all.Wait()
	}}
	if err := r.run(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), "the cap is 2") {
		t.Errorf("the bug was not found: %v", err)
	}
	if err := r.run(t.Context(), open(t, filepath.Join(t.TempDir(), "right.db"))); err != nil {
		t.Error(err)
	}
}

// TestACapOutlastsTheWriter kills processes that take places under a cap. What they stored is within
// the cap, each event is found by its tag, and a further process goes on where they stopped.
func TestACapOutlastsTheWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	for round := range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "BACKSTAY_TEST_WRITER="+path, "BACKSTAY_TEST_CAP=yes")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		acked := map[string]bool{}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			acked[lines.Text()] = true
			if n == 100 { // in the middle of the load; what was written to the pipe is read on
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the writer ended by itself: %v", err)
		}
		s := open(t, path)
		for tag := range acked {
			if err := withinCap(t.Context(), s, tag, childCap, childCap); err != nil {
				t.Errorf("round %d: acknowledged as full: %v", round, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if problems, err := sqlite.Verify(t.Context(), path); err != nil || len(problems) > 0 {
			t.Fatalf("%q, %v", problems, err)
		}
	}
}

// BenchmarkConditionedAppend compares plain appends with those that have a tag, and with those that
// in addition depend on it.
func BenchmarkConditionedAppend(b *testing.B) {
	for _, kind := range []string{"plain", "tagged", "conditioned"} {
		b.Run(kind, func(b *testing.B) {
			s, err := sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(b.TempDir(), "events.db")})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			b.SetParallelism(32)
			var writers atomic.Int64
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				stream := fmt.Sprint("m-", writers.Add(1))
				for v := int64(0); pb.Next(); v++ {
					c := one(fmt.Sprint("c", v), stream, v)
					c.Events[0].Data = make([]byte, 300)
					if kind != "plain" {
						c.Events[0].Tags = []string{fmt.Sprintf("studio:%s-%d", stream, v)}
					}
					if kind == "conditioned" {
						c.Condition = &eventstore.Condition{TagQuery: eventstore.TagQuery{Tags: c.Events[0].Tags}}
					}
					if a, err := s.Append(b.Context(), c); err != nil || a.Outcome != eventstore.Applied {
						b.Errorf("%v, %v", a.Outcome, err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
