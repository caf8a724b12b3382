package eventstoretest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// patience bounds the wait for a feed that may lag, such as one of several nodes.
const patience = 30 * time.Second

// reader reads all slices of a feed and checks each stream's order.
type reader struct {
	cursors [eventstore.Slices]eventstore.Cursor
	seen    map[string]int64 // by stream: the highest version
	total   int
}

// next reads one page of each slice and returns the number of new events.
func (r *reader) next(t *testing.T, s eventstore.Store, limit int) int {
	t.Helper()
	if r.seen == nil {
		r.seen = map[string]int64{}
	}
	fresh := 0
	for slice := range eventstore.Slices {
		page, err := s.Feed(t.Context(), slice, r.cursors[slice], limit)
		if err != nil {
			t.Fatalf("slice %d: %v", slice, err)
		}
		r.cursors[slice] = page.Next
		for _, e := range page.Events {
			if eventstore.SliceOf(e.Stream) != slice {
				t.Fatalf("stream %s in slice %d", e.Stream, slice)
			}
			switch last := r.seen[e.Stream]; {
			case e.Version > last+1:
				t.Fatalf("stream %s: version %d after %d: one was missed", e.Stream, e.Version, last)
			case e.Version == last+1:
				r.seen[e.Stream] = e.Version
				r.total++
				fresh++
			}
		}
	}
	return fresh
}

// until reads the feed until the wanted number of events has been seen.
func (r *reader) until(t *testing.T, s eventstore.Store, want int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for r.total < want {
		if r.next(t, s, 100) == 0 && time.Now().After(deadline) {
			t.Fatalf("the feed gave %d events of %d within %s", r.total, want, patience)
		}
	}
	if r.total != want {
		t.Fatalf("the feed gave %d events, %d were appended", r.total, want)
	}
}

func feedIsComplete(t *testing.T, h Harness, s eventstore.Store) {
	streams, each := h.scaled(40), 5
	for v := range each {
		for i := range streams {
			mustAppend(t, s, commit(fmt.Sprint("c", v), fmt.Sprint("m-", i), int64(v), 1))
		}
	}
	var r reader
	r.until(t, s, streams*each)
	if n := r.next(t, s, 100); n != 0 {
		t.Errorf("%d events more than there are", n)
	}
}

func feedUnderWriters(t *testing.T, h Harness, s eventstore.Store) {
	writers, each := 8, h.scaled(40)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for v := range each {
				c := commit(fmt.Sprintf("w%d-%d", w, v), fmt.Sprint("m-", w), int64(v), 1)
				a, err := s.Append(t.Context(), c)
				for i := 0; errors.Is(err, eventstore.ErrUnknown) && i < 20; i++ {
					a, err = s.Append(t.Context(), c)
				}
				if err != nil || a.Outcome != eventstore.Applied {
					t.Errorf("%v, %v", a.Outcome, err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var r reader
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
			r.next(t, s, 7)
		}
	}
	r.until(t, s, writers*each)
}

func refusedAppendsAndFeed(t *testing.T, h Harness, s eventstore.Store) {
	mustAppend(t, s, commit("c1", "m-1", 0, 1))
	var r reader
	r.until(t, s, 1)
	size := len(r.cursors[eventstore.SliceOf("m-1")])
	for i := range h.scaled(500) {
		if a, err := s.Append(t.Context(), commit(fmt.Sprint("late", i), "m-1", 0, 1)); err != nil || a.Outcome != eventstore.Conflict {
			t.Fatalf("%v, %v", a.Outcome, err)
		}
	}
	mustAppend(t, s, commit("c2", "m-1", 1, 1))
	r.until(t, s, 2)
	if now := len(r.cursors[eventstore.SliceOf("m-1")]); now > size+32 {
		t.Errorf("the cursor grew from %d to %d bytes", size, now)
	}
}

func quietStream(t *testing.T, _ Harness, s eventstore.Store) {
	mustAppend(t, s, commit("c1", "m-1", 0, 1))
	var r reader
	r.until(t, s, 1)
	for range 5 {
		r.next(t, s, 10)
	}
	mustAppend(t, s, commit("c2", "m-1", 1, 1)) // the last change to this stream
	r.until(t, s, 2)
}

func equalTimes(t *testing.T, h Harness, s eventstore.Store) {
	n := h.scaled(5) * 200
	for at := 0; at < n; at += 200 {
		mustAppend(t, s, commit(fmt.Sprint("c", at), "m-1", int64(at), 200))
	}
	var r reader
	r.until(t, s, n)
}

func wrongClocks(t *testing.T, h Harness, s eventstore.Store) {
	var r reader
	n := h.scaled(60)
	for i := range n {
		c := commit(fmt.Sprint("c", i), "m-1", int64(i), 1)
		off := time.Duration(10-i%21) * time.Minute // from ten minutes ahead to ten minutes behind, in steps of a minute
		c.Events[0].Occurred, c.Events[0].Recorded = base.Add(off), base.Add(off)
		mustAppend(t, s, c)
		if i%7 == 0 {
			r.next(t, s, 3)
		}
	}
	r.until(t, s, n)
	loadAll(t, s)
}

func foreignCursor(t *testing.T, h Harness, s eventstore.Store) {
	slice := eventstore.SliceOf("m-1")
	for i := range 3 {
		mustAppend(t, s, commit(fmt.Sprint("c", i), "m-1", int64(i), 1))
	}
	var r reader
	r.until(t, s, 3)
	if _, err := s.Feed(t.Context(), slice, "nonsense!", 10); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("nonsense: %v", err)
	}
	if _, err := s.Feed(t.Context(), (slice+1)%eventstore.Slices, r.cursors[slice], 10); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("another slice's cursor: %v", err)
	}
	for _, bad := range []int{-1, eventstore.Slices} {
		if _, err := s.Feed(t.Context(), bad, "", 10); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("slice %d: %v", bad, err)
		}
	}
	other := h.Open(t)
	t.Cleanup(func() { _ = other.Close() })
	if _, err := other.Feed(t.Context(), slice, r.cursors[slice], 10); !errors.Is(err, eventstore.ErrEpoch) {
		t.Errorf("another store's cursor: %v, want ErrEpoch", err)
	}
}

// restored puts a copy in the store's place that lacks what a reader has already read, and then
// appends fewer, as many, and more events than were lost, so that the place in the feed at which
// the reader stopped does not exist, ends the feed, or is passed. A reader that stopped within
// what the copy has goes on.
func restored(t *testing.T, h Harness, s eventstore.Store) {
	if h.Copy == nil {
		return
	}
	slice := eventstore.SliceOf("m-1")
	grow := func(s eventstore.Store, id string, from, n int64) {
		t.Helper()
		for v := from; v < from+n; v++ {
			mustAppend(t, s, commit(fmt.Sprint(id, v), "m-1", v, 1))
		}
	}
	grow(s, "c", 0, 3)
	var early, late reader
	early.until(t, s, 3)
	late.until(t, s, 3)
	restore := h.Copy(t)
	grow(s, "c", 3, 7)
	late.until(t, s, 10)
	page, err := s.Feed(t.Context(), slice, "", 5) // It ends within what will be lost.
	if err != nil || len(page.Events) != 5 {
		t.Fatalf("%d events, %v", len(page.Events), err)
	}
	for _, n := range []int64{0, 2, 7, 9} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = restore()
		t.Cleanup(func() { _ = s.Close() })
		grow(s, fmt.Sprintf("after-%d-", n), 3, n)
		again := early
		again.seen = map[string]int64{"m-1": 3}
		again.until(t, s, 3+int(n))
		for name, cursor := range map[string]eventstore.Cursor{"at the end": late.cursors[slice], "between": page.Next} {
			if page, err := s.Feed(t.Context(), slice, cursor, 100); !errors.Is(err, eventstore.ErrEpoch) {
				t.Errorf("a reader %s, with %d events after the restore: %d events, %v; want ErrEpoch", name, n, len(page.Events), err)
			}
		}
	}
}

func snapshots(t *testing.T, _ Harness, s eventstore.Store) {
	mustAppend(t, s, commit("c1", "m-1", 0, 3))
	if _, ok, err := s.LoadSnapshot(t.Context(), "m-1", 1); ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	save := func(version int64, fold int, data string) {
		t.Helper()
		if err := s.SaveSnapshot(t.Context(), eventstore.Snapshot{Stream: "m-1", Version: version, Fold: fold, Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	save(2, 1, "two")
	save(1, 1, "one") // an older snapshot that arrives late
	save(3, 2, "new fold")
	snap, ok, err := s.LoadSnapshot(t.Context(), "m-1", 1)
	if err != nil || !ok || snap.Version != 2 || string(snap.Data) != "two" {
		t.Errorf("%+v, %v, %v", snap, ok, err)
	}
	if _, ok, _ := s.LoadSnapshot(t.Context(), "m-1", 3); ok {
		t.Error("a fold that made no snapshot sees one")
	}
	if err := s.SaveSnapshot(t.Context(), eventstore.Snapshot{}); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("an empty snapshot: %v", err)
	}
}

func isolated(t *testing.T, _ Harness, s eventstore.Store) {
	c := commit("c1", "m-1", 0, 1)
	a := mustAppend(t, s, c)
	want := string(loadAll(t, s)[0].Data)
	copy(c.Events[0].Data, "xxxx")
	copy(a.Events[0].Data, "yyyy")
	copy(loadAll(t, s)[0].Data, "zzzz")
	if got := string(loadAll(t, s)[0].Data); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func restart(t *testing.T, h Harness, s eventstore.Store) {
	if h.Reopen == nil {
		return
	}
	first := mustAppend(t, s, commit("c1", "m-1", 0, 2))
	var r reader
	r.until(t, s, 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = h.Reopen(t)
	t.Cleanup(func() { _ = s.Close() })
	if n := len(loadAll(t, s)); n != 2 {
		t.Fatalf("%d events after the restart, want 2", n)
	}
	if a := mustAppend(t, s, commit("c1", "m-1", 0, 2)); !a.Repeated || a.Version != first.Version {
		t.Errorf("%+v", a)
	}
	mustAppend(t, s, commit("c2", "m-1", 2, 1))
	r.until(t, s, 3) // the old cursor continues
}

func closed(t *testing.T, _ Harness, s eventstore.Store) {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if a, err := s.Append(t.Context(), commit("c", "m", 0, 1)); !errors.Is(err, eventstore.ErrClosed) || a.Outcome != eventstore.Rejected {
		t.Errorf("append: %v, %v", a.Outcome, err)
	}
	if _, err := s.Load(t.Context(), eventstore.Query{Stream: "m"}); !errors.Is(err, eventstore.ErrClosed) {
		t.Errorf("load: %v", err)
	}
	if _, err := s.Feed(t.Context(), 0, "", 1); !errors.Is(err, eventstore.ErrClosed) {
		t.Errorf("feed: %v", err)
	}
	if _, err := s.Resolve(t.Context(), "m", "c"); !errors.Is(err, eventstore.ErrClosed) {
		t.Errorf("resolve: %v", err)
	}
	if _, err := s.Stats(t.Context()); !errors.Is(err, eventstore.ErrClosed) {
		t.Errorf("stats: %v", err)
	}
}
