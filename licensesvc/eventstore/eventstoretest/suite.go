package eventstoretest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// Harness tells the suite how to make stores.
type Harness struct {
	// Open returns an empty store. The suite closes it.
	Open func(t *testing.T) eventstore.Store
	// Reopen opens again the store that the last Open or Reopen of this test returned. The suite
	// has closed it before. Nil: the tests that need it are left out.
	Reopen func(t *testing.T) eventstore.Store
	// Copy copies the store that the last Open of this test returned, as an operator copies the
	// files of a store. The returned function puts the copy in the store's place and opens it. The
	// suite has closed the store before. Nil: the tests that need it are left out.
	Copy func(t *testing.T) (restore func() eventstore.Store)
	// Scale is the size of the larger tests, in percent. Default: 100.
	Scale int
}

func (h Harness) scaled(n int) int {
	if h.Scale == 0 {
		return n
	}
	return max(10, n*h.Scale/100)
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for _, tc := range []struct {
		name string
		run  func(*testing.T, Harness, eventstore.Store)
	}{
		{"an append is loaded as it was", loadsWhatWasAppended},
		{"a conflict tells version and events that won", conflictTellsWinners},
		{"one of many concurrent appends wins a version", oneWinsAVersion},
		{"the same commit again is answered with what was stored", sameCommitAgain},
		{"the same commit concurrently is stored once", sameCommitConcurrently},
		{"a commit that is not there is settled for good", settledForGood},
		{"a cancelled wait is unknown, and can be resolved", cancelledWait},
		{"an invalid append is refused whole", invalidAppends},
		{"a long stream is read in pages", longStream},
		{"a load goes on after a version", loadsAfter},
		{"the feed gives every event once, in a stream's order", feedIsComplete},
		{"the feed misses nothing while writers interleave", feedUnderWriters},
		{"refused appends do not hold up the feed", refusedAppendsAndFeed},
		{"the last event of a quiet stream is delivered", quietStream},
		{"events of one time fill several pages", equalTimes},
		{"clocks that are off order nothing", wrongClocks},
		{"a foreign cursor is refused", foreignCursor},
		{"a restored store is noticed by readers of the feed", restored},
		{"a snapshot of another fold is not seen", snapshots},
		{"appended events are not changed behind the store's back", isolated},
		{"what was acknowledged is there after a restart", restart},
		{"tags are carried in loads, conflicts and the feed", tagsAreCarried},
		{"a query by tags selects in the order of storing", tagsSelect},
		{"a condition fails by every tagged append", conditionHolds},
		{"one of many concurrent conditions holds", oneConditionHolds},
		{"a condition from before a restore is refused", conditionOfAnotherLife},
		{"tags and positions outlast a restart", tagsAfterRestart},
		{"a closed store says so", closed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := h.Open(t)
			t.Cleanup(func() { _ = s.Close() })
			tc.run(t, h, s)
		})
	}
}

var base = time.Date(2026, 5, 1, 10, 0, 0, 123456000, time.UTC)

func event(i int) eventstore.Event {
	return eventstore.Event{Type: "test.happened", Schema: 1, Occurred: base, Recorded: base.Add(time.Second),
		Cause: "cause", Correlation: "corr", Trace: "trace", Actor: "tester", Data: fmt.Appendf(nil, `{"n":%d}`, i)}
}

func commit(id, stream string, expected int64, n int) eventstore.Commit {
	c := eventstore.Commit{ID: id, Stream: stream, Expected: expected}
	for i := range n {
		c.Events = append(c.Events, event(i))
	}
	return c
}

func mustAppend(t *testing.T, s eventstore.Store, c eventstore.Commit) eventstore.Appended {
	t.Helper()
	a, err := s.Append(t.Context(), c)
	if err != nil || a.Outcome != eventstore.Applied {
		t.Fatalf("append %s to %s: %v, %v", c.ID, c.Stream, a.Outcome, err)
	}
	return a
}

// loadAll returns the events of the stream that most tests append to.
func loadAll(t *testing.T, s eventstore.Store) []eventstore.Event {
	t.Helper()
	const stream = "m-1"
	var all []eventstore.Event
	version, err := eventstore.LoadAll(t.Context(), s, eventstore.Query{Stream: stream}, func(es []eventstore.Event) error {
		all = append(all, es...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if version != int64(len(all)) {
		t.Fatalf("stream %s: version %d, %d events", stream, version, len(all))
	}
	for i, e := range all {
		if e.Version != int64(i)+1 || e.Stream != stream {
			t.Fatalf("stream %s: event %d is %s version %d", stream, i, e.Stream, e.Version)
		}
	}
	return all
}

func loadsWhatWasAppended(t *testing.T, _ Harness, s eventstore.Store) {
	if page, err := s.Load(t.Context(), eventstore.Query{Stream: "m-1"}); err != nil || page.Version != 0 || len(page.Events) != 0 {
		t.Fatalf("a stream that does not exist: %+v, %v", page, err)
	}
	c := commit("c1", "m-1", 0, 2)
	a := mustAppend(t, s, c)
	if a.Version != 2 || a.Repeated || len(a.Events) != 2 {
		t.Fatalf("appended %+v", a)
	}
	for i, e := range loadAll(t, s) {
		want := c.Placed(0)[i]
		if e.ID != want.ID || e.Type != want.Type || e.Schema != want.Schema || e.Commit != "c1" || !e.Occurred.Equal(want.Occurred) ||
			!e.Recorded.Equal(want.Recorded) || e.Cause != want.Cause || e.Correlation != want.Correlation || e.Trace != want.Trace ||
			e.Actor != want.Actor || string(e.Data) != string(want.Data) {
			t.Errorf("event %d is %+v, want %+v", i, e, want)
		}
		if e.ID != a.Events[i].ID || !e.Occurred.Equal(a.Events[i].Occurred) {
			t.Errorf("the append answered %+v, the load %+v", a.Events[i], e)
		}
	}
}

func conflictTellsWinners(t *testing.T, _ Harness, s eventstore.Store) {
	mustAppend(t, s, commit("c1", "m-1", 0, 1))
	mustAppend(t, s, commit("c2", "m-1", 1, 2))
	for _, expected := range []int64{0, 1, 7} {
		a, err := s.Append(t.Context(), commit(fmt.Sprint("late", expected), "m-1", expected, 1))
		if err != nil || a.Outcome != eventstore.Conflict || a.Version != 3 {
			t.Fatalf("expected %d: %+v, %v; want a conflict at 3", expected, a, err)
		}
		if want := max(0, 3-expected); int64(len(a.Events)) != want {
			t.Errorf("expected %d: %d events won, want %d", expected, len(a.Events), want)
		}
		for i, e := range a.Events {
			if e.Version != expected+int64(i)+1 {
				t.Errorf("winner %d has version %d", i, e.Version)
			}
		}
	}
	if n := len(loadAll(t, s)); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}

func oneWinsAVersion(t *testing.T, h Harness, s eventstore.Store) {
	const writers = 8
	rounds := h.scaled(25)
	for round := range rounds {
		var mu sync.Mutex
		applied := 0
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				a, err := s.Append(t.Context(), commit(fmt.Sprintf("r%d-w%d", round, w), "m-1", int64(round), 1))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, eventstore.ErrUnknown):
					a, err = s.Resolve(t.Context(), "m-1", fmt.Sprintf("r%d-w%d", round, w))
					if err != nil {
						t.Error(err)
					}
				case err != nil:
					t.Error(err)
				}
				if a.Outcome == eventstore.Applied {
					applied++
				}
			})
		}
		wg.Wait()
		if applied != 1 {
			t.Fatalf("round %d: %d appends won, want 1", round, applied)
		}
	}
	if n := len(loadAll(t, s)); n != rounds {
		t.Errorf("%d events, want %d", n, rounds)
	}
}

func sameCommitAgain(t *testing.T, h Harness, s eventstore.Store) {
	first := mustAppend(t, s, commit("c1", "m-1", 0, 2))
	for i := range h.scaled(50) {
		mustAppend(t, s, commit(fmt.Sprint("x", i), "m-1", int64(2+i), 1))
	}
	// The repeat comes once with the old version and once with a newer one. If the commit has
	// Content, that is what identifies it.
	for _, c := range []eventstore.Commit{commit("c1", "m-1", 0, 2), commit("c1", "m-1", 5, 2)} {
		a := mustAppend(t, s, c)
		if !a.Repeated || a.Version != first.Version || len(a.Events) != 2 || a.Events[0].ID != first.Events[0].ID {
			t.Errorf("again: %+v, want the first answer %+v", a, first)
		}
	}
	// Different content under the same id is not a repeat, whatever the stream's version is by
	// now.
	for _, c := range []eventstore.Commit{commit("c1", "m-1", 0, 9), commit("c1", "m-1", 5, 1), commit("c1", "m-1", int64(2+h.scaled(50)), 9), withContent(commit("c1", "m-1", 0, 2), "another")} {
		a, err := s.Append(t.Context(), c)
		if !errors.Is(err, eventstore.ErrMismatch) || a.Outcome != eventstore.Rejected || len(a.Events) > 0 {
			t.Errorf("another content, expected version %d: %+v, %v; want rejected with ErrMismatch", c.Expected, a, err)
		}
	}
	if n := len(loadAll(t, s)); n != 2+h.scaled(50) {
		t.Errorf("%d events, want %d", n, 2+h.scaled(50))
	}
	// With Content the events may differ, because a repeated command may decide on other events.
	mustAppend(t, s, withContent(commit("c2", "m-3", 0, 1), "the command"))
	if a := mustAppend(t, s, withContent(commit("c2", "m-3", 1, 4), "the command")); !a.Repeated || len(a.Events) != 1 {
		t.Errorf("the same command, decided to other events: %+v", a)
	}
	// A commit's id belongs to its stream; another stream may use the same one.
	if a := mustAppend(t, s, commit("c1", "m-2", 0, 1)); a.Repeated {
		t.Error("another stream's commit was taken for this one's")
	}
}

func withContent(c eventstore.Commit, content string) eventstore.Commit {
	c.Content = content
	return c
}

func sameCommitConcurrently(t *testing.T, _ Harness, s eventstore.Store) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			a, err := s.Append(t.Context(), commit("c1", "m-1", 0, 3))
			for i := 0; errors.Is(err, eventstore.ErrUnknown) && i < 20; i++ {
				a, err = s.Append(t.Context(), commit("c1", "m-1", 0, 3))
			}
			if err != nil || a.Outcome != eventstore.Applied || a.Version != 3 {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
	wg.Wait()
	if n := len(loadAll(t, s)); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}

func settledForGood(t *testing.T, _ Harness, s eventstore.Store) {
	mustAppend(t, s, commit("c1", "m-1", 0, 1))
	a, err := s.Resolve(t.Context(), "m-1", "c1")
	if err != nil || a.Outcome != eventstore.Applied || len(a.Events) != 1 {
		t.Fatalf("a commit that is there: %+v, %v", a, err)
	}
	for range 2 {
		if a, err = s.Resolve(t.Context(), "m-1", "c2"); err != nil || a.Outcome != eventstore.Rejected {
			t.Fatalf("a commit that is not there: %+v, %v", a, err)
		}
	}
	if a, err = s.Append(t.Context(), commit("c2", "m-1", 1, 1)); a.Outcome != eventstore.Rejected || !errors.Is(err, eventstore.ErrFenced) {
		t.Errorf("a settled commit came after all: %+v, %v", a, err)
	}
	mustAppend(t, s, commit("c3", "m-1", 1, 1))
}

func cancelledWait(t *testing.T, h Harness, s eventstore.Store) {
	version := int64(0)
	for i := range h.scaled(60) {
		ctx, cancel := context.WithCancel(t.Context())
		id := fmt.Sprint("c", i)
		timer := time.AfterFunc(time.Duration(rand.IntN(400))*time.Microsecond, cancel)
		a, err := s.Append(ctx, commit(id, "m-1", version, 1))
		timer.Stop()
		cancel()
		if a.Outcome == eventstore.Unknown {
			if !errors.Is(err, eventstore.ErrUnknown) {
				t.Fatalf("unknown, with error %v", err)
			}
			if a, err = s.Resolve(t.Context(), "m-1", id); err != nil {
				t.Fatal(err)
			}
		}
		if a.Outcome == eventstore.Applied {
			version++
		}
		if n := int64(len(loadAll(t, s))); n != version {
			t.Fatalf("after %s: %d events, acknowledged %d", id, n, version)
		}
	}
}

func invalidAppends(t *testing.T, _ Harness, s eventstore.Store) {
	big := commit("big", "m-1", 0, 1)
	big.Events[0].Data = make([]byte, eventstore.MaxEventBytes+1)
	many := commit("many", "m-1", 0, eventstore.MaxEvents+1)
	bad := commit("", "", -1, 0)
	for _, c := range []eventstore.Commit{big, many, bad} {
		a, err := s.Append(t.Context(), c)
		if a.Outcome != eventstore.Rejected || !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%q: %v, %v; want it rejected as invalid", c.ID, a.Outcome, err)
		}
	}
	if n := len(loadAll(t, s)); n != 0 {
		t.Errorf("%d events, want none", n)
	}
}

func longStream(t *testing.T, h Harness, s eventstore.Store) {
	n := h.scaled(5) * 1000
	for at := 0; at < n; at += 500 {
		mustAppend(t, s, commit(fmt.Sprint("c", at), "m-1", int64(at), 500))
	}
	page, err := s.Load(t.Context(), eventstore.Query{Stream: "m-1", Limit: n * 2})
	if err != nil || len(page.Events) > eventstore.MaxEvents || !page.More || page.Version != int64(n) {
		t.Fatalf("a page of %d events, more %v, version %d, %v", len(page.Events), page.More, page.Version, err)
	}
	if got := len(loadAll(t, s)); got != n {
		t.Errorf("%d events, want %d", got, n)
	}
}

func loadsAfter(t *testing.T, _ Harness, s eventstore.Store) {
	mustAppend(t, s, commit("c1", "m-1", 0, 10))
	for _, tc := range []struct {
		after int64
		limit int
		want  int
		more  bool
	}{{0, 3, 3, true}, {3, 3, 3, true}, {7, 3, 3, false}, {9, 100, 1, false}, {10, 5, 0, false}} {
		page, err := s.Load(t.Context(), eventstore.Query{Stream: "m-1", After: tc.after, Limit: tc.limit})
		if err != nil || len(page.Events) != tc.want || page.More != tc.more || page.Version != 10 {
			t.Errorf("after %d, limit %d: %d events, more %v, version %d, %v", tc.after, tc.limit, len(page.Events), page.More, page.Version, err)
		}
	}
}
