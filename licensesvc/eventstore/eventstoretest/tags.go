package eventstoretest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// tagged returns a commit whose events have tags.
func tagged(c eventstore.Commit, tags ...string) eventstore.Commit {
	for i := range c.Events {
		c.Events[i].Tags = tags
	}
	return c
}

// provided returns the commit with the condition that no event with the tag was stored after a
// position.
func provided(c eventstore.Commit, after eventstore.Position, tags ...string) eventstore.Commit {
	c.Condition = &eventstore.Condition{TagQuery: eventstore.TagQuery{Tags: tags}, After: after}
	return c
}

// refusesTags reports whether the store refuses tags, and checks that it does so in every call and
// says why. A store that refuses them stores nothing that has any.
func refusesTags(t *testing.T, s eventstore.Store) bool {
	t.Helper()
	_, err := s.LoadTagged(t.Context(), eventstore.TagQuery{Tags: []string{"studio:a"}}, "", 1)
	if refuses := errors.Is(err, eventstore.ErrUnsupported); refuses != errors.Is(s.CheckTags(), eventstore.ErrUnsupported) {
		t.Errorf("CheckTags: %v, but a load by tag: %v", s.CheckTags(), err)
	} else if !refuses {
		return false
	}
	for name, c := range map[string]eventstore.Commit{
		"tags":      tagged(commit("refused-1", "refused", 0, 1), "studio:a"),
		"condition": provided(commit("refused-2", "refused", 0, 1), "", "studio:a"),
	} {
		a, err := s.Append(t.Context(), c)
		if a.Outcome != eventstore.Rejected || !errors.Is(err, eventstore.ErrUnsupported) || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "partition") {
			t.Errorf("%s: %v, %v; want it rejected with ErrUnsupported and the reason", name, a.Outcome, err)
		}
	}
	if page, err := s.Load(t.Context(), eventstore.Query{Stream: "refused"}); err != nil || page.Version != 0 {
		t.Errorf("a refused append was stored: %+v, %v", page, err)
	}
	return true
}

// loadTagged returns all events with a tag, and the position of the last.
func loadTagged(t *testing.T, s eventstore.Store, q eventstore.TagQuery, after eventstore.Position) (all []eventstore.Event, at eventstore.Position) {
	t.Helper()
	at, err := eventstore.LoadAllTagged(t.Context(), s, q, after, func(events []eventstore.Event) error {
		all = append(all, events...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, at
}

func tagsAreCarried(t *testing.T, h Harness, s eventstore.Store) {
	if refusesTags(t, s) {
		return
	}
	want := []string{"studio:a", "household:é 1"}
	a := mustAppend(t, s, tagged(commit("c1", "m-1", 0, 2), want...))
	mustAppend(t, s, commit("c2", "m-1", 2, 1))
	same := func(where string, e eventstore.Event) {
		t.Helper()
		if e.Version <= 2 && !slices.Equal(e.Tags, want) || e.Version == 3 && e.Tags != nil {
			t.Errorf("%s: event %d has tags %q", where, e.Version, e.Tags)
		}
	}
	conflict, err := s.Append(t.Context(), commit("late", "m-1", 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.Feed(t.Context(), eventstore.SliceOf("m-1"), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	byTag, _ := loadTagged(t, s, eventstore.TagQuery{Tags: want}, "")
	if len(a.Events) != 2 || len(conflict.Events) != 3 || len(byTag) != 2 {
		t.Errorf("%d events appended, %d in the conflict, %d by tag", len(a.Events), len(conflict.Events), len(byTag))
	}
	for where, events := range map[string][]eventstore.Event{"append": a.Events, "load": loadAll(t, s), "conflict": conflict.Events, "feed": page.Events, "by tag": byTag} {
		for _, e := range events {
			same(where, e)
		}
	}
	a.Events[0].Tags[0] = "changed"
	for _, e := range loadAll(t, s) {
		same("after the caller changed the answer", e)
	}
	// Tags are a part of the content.
	if a, err := s.Append(t.Context(), tagged(commit("c1", "m-1", 0, 2), "studio:b")); !errors.Is(err, eventstore.ErrMismatch) {
		t.Errorf("the same commit with other tags: %v, %v", a.Outcome, err)
	}
}

func tagsSelect(t *testing.T, h Harness, s eventstore.Store) {
	if refusesTags(t, s) {
		return
	}
	n := h.scaled(40)
	for i := range n {
		c := tagged(commit(fmt.Sprint("c", i), fmt.Sprint("m-", i%7), int64(i/7), 1), "all", fmt.Sprint("mod:", i%3))
		c.Events[0].Type = fmt.Sprint("type-", i%2)
		mustAppend(t, s, c)
	}
	for name, tc := range map[string]struct {
		query eventstore.TagQuery
		want  func(i int) bool
	}{
		"one tag":           {eventstore.TagQuery{Tags: []string{"mod:1"}}, func(i int) bool { return i%3 == 1 }},
		"any of two tags":   {eventstore.TagQuery{Tags: []string{"mod:2", "mod:0"}}, func(i int) bool { return i%3 != 1 }},
		"both tags, once":   {eventstore.TagQuery{Tags: []string{"all", "mod:0"}}, func(int) bool { return true }},
		"a tag and a type":  {eventstore.TagQuery{Tags: []string{"all"}, Types: []string{"type-1", "other"}}, func(i int) bool { return i%2 == 1 }},
		"a tag of no event": {eventstore.TagQuery{Tags: []string{"mod:"}}, func(int) bool { return false }},
	} {
		var want, got []string
		for i := range n {
			if tc.want(i) {
				want = append(want, fmt.Sprint("c", i))
			}
		}
		var at eventstore.Position
		for more := true; more; {
			page, err := s.LoadTagged(t.Context(), tc.query, at, 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				got = append(got, e.Commit)
			}
			at, more = page.Position, page.More
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	badQueriesAreRefused(t, s)
}

// badQueriesAreRefused tries queries that no store can answer, alone and as a condition.
func badQueriesAreRefused(t *testing.T, s eventstore.Store) {
	t.Helper()
	for _, q := range []eventstore.TagQuery{{}, {Tags: []string{""}}, {Tags: []string{"a\nb"}}, {Tags: []string{"a", "a"}}, {Tags: []string{strings.Repeat("x", eventstore.MaxTagBytes+1)}},
		{Tags: []string{"\xff"}}, {Tags: []string{"a"}, Types: make([]string, eventstore.MaxTags+1)}} {
		if _, err := s.LoadTagged(t.Context(), q, "", 1); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", q, err)
		}
		if a, err := s.Append(t.Context(), eventstore.Commit{ID: "bad", Stream: "m-1", Events: []eventstore.Event{event(0)}, Condition: &eventstore.Condition{TagQuery: q}}); a.Outcome != eventstore.Rejected || !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("a condition %q: %v, %v, want ErrInvalid", q, a.Outcome, err)
		}
	}
	if a, err := s.Append(t.Context(), tagged(commit("bad", "m-9", 0, 1), make([]string, eventstore.MaxTags+1)...)); a.Outcome != eventstore.Rejected || !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("too many tags: %v, %v", a.Outcome, err)
	}
}

func conditionHolds(t *testing.T, _ Harness, s eventstore.Store) {
	if refusesTags(t, s) {
		return
	}
	fails := func(c eventstore.Commit, tag string, by ...string) {
		t.Helper()
		a, err := s.Append(t.Context(), c)
		var got []string
		for _, e := range a.Events {
			got = append(got, e.Commit)
		}
		if err != nil || a.Outcome != eventstore.ConditionFailed || a.FailedTag != tag || !slices.Equal(got, by) {
			t.Errorf("%s: %v by %v with tag %q, %v; want it to fail by %v with tag %q", c.ID, a.Outcome, got, a.FailedTag, err, by, tag)
		}
	}
	first := provided(tagged(commit("first", "m-1", 0, 1), "a", "b"), "", "a", "b")
	mustAppend(t, s, first)
	fails(provided(tagged(commit("second", "m-2", 0, 1), "a"), "", "c", "b"), "b", "first")
	_, at := loadTagged(t, s, eventstore.TagQuery{Tags: []string{"a"}}, "")
	// An append without a condition counts as much as one with a condition.
	mustAppend(t, s, tagged(commit("plain", "m-3", 0, 1), "a"))
	fails(provided(commit("second", "m-2", 0, 1), at, "a"), "a", "plain")
	// Others do not: of another tag, of another type, or without tags.
	mustAppend(t, s, tagged(commit("other", "m-4", 0, 1), "ab", "x"))
	other := provided(commit("third", "m-2", 0, 1), at, "a")
	other.Condition.Types = []string{"test.other"}
	mustAppend(t, s, other)
	mustAppend(t, s, provided(commit("fourth", "m-2", 1, 1), at, "b"))
	// The answer to a commit that is stored does not depend on its condition any more.
	if a := mustAppend(t, s, first); !a.Repeated || a.Version != 1 || len(a.Events) != 1 {
		t.Errorf("the first commit again: %+v", a)
	}
	// A failed condition leaves nothing: the same id can be used with a newer position.
	_, at = loadTagged(t, s, eventstore.TagQuery{Tags: []string{"a"}}, at)
	if a := mustAppend(t, s, provided(tagged(commit("second", "m-2", 2, 1), "a"), at, "a")); a.Repeated {
		t.Error("a commit whose condition failed is stored")
	}
	// The stream's version is checked too.
	if a, err := s.Append(t.Context(), provided(commit("late", "m-2", 0, 1), at, "a")); err != nil || a.Outcome != eventstore.Conflict || a.Version != 3 {
		t.Errorf("an old version: %+v, %v", a, err)
	}
	if a, err := s.Append(t.Context(), provided(commit("bad", "m-9", 0, 1), "nonsense!", "a")); a.Outcome != eventstore.Rejected || !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("nonsense: %v, %v", a.Outcome, err)
	}
}

func oneConditionHolds(t *testing.T, h Harness, s eventstore.Store) {
	if refusesTags(t, s) {
		return
	}
	const writers = 16
	var at eventstore.Position
	for round := range h.scaled(20) {
		var mu sync.Mutex
		applied := 0
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				stream := fmt.Sprintf("r%d-w%d", round, w)
				a, err := s.Append(t.Context(), provided(tagged(commit("c", stream, 0, 1), "shared"), at, "shared"))
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, eventstore.ErrUnknown) {
					a, err = s.Resolve(t.Context(), stream, "c")
				}
				if err != nil {
					t.Error(err)
				}
				if a.Outcome == eventstore.Applied {
					applied++
				}
			})
		}
		wg.Wait()
		if applied != 1 {
			t.Fatalf("round %d: %d conditions held, want 1", round, applied)
		}
		_, at = loadTagged(t, s, eventstore.TagQuery{Tags: []string{"shared"}}, at)
	}
}

// conditionOfAnotherLife conditions on positions that a restored copy does not have. If one were
// taken for a place in the copy, events that were stored after the restore would not count.
func conditionOfAnotherLife(t *testing.T, h Harness, s eventstore.Store) {
	if h.Copy == nil || refusesTags(t, s) {
		return
	}
	query := eventstore.TagQuery{Tags: []string{"a"}}
	mustAppend(t, s, tagged(commit("c0", "m-1", 0, 1), "a"))
	_, early := loadTagged(t, s, query, "")
	restore := h.Copy(t)
	for v := range int64(5) {
		mustAppend(t, s, tagged(commit(fmt.Sprint("lost", v), "m-1", v+1, 1), "a"))
	}
	_, late := loadTagged(t, s, query, "")
	for _, n := range []int64{0, 3, 8} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = restore()
		t.Cleanup(func() { _ = s.Close() })
		for v := range n {
			mustAppend(t, s, tagged(commit(fmt.Sprintf("after-%d-%d", n, v), "m-1", v+1, 1), "a"))
		}
		if a, err := s.Append(t.Context(), provided(commit("x", "m-2", 0, 1), late, "a")); a.Outcome != eventstore.Rejected || !errors.Is(err, eventstore.ErrEpoch) {
			t.Errorf("%d events after the restore, a lost position: %v, %v; want ErrEpoch", n, a.Outcome, err)
		}
		if _, err := s.LoadTagged(t.Context(), query, late, 1); !errors.Is(err, eventstore.ErrEpoch) {
			t.Errorf("%d events after the restore, load after a lost position: %v; want ErrEpoch", n, err)
		}
		a, err := s.Append(t.Context(), provided(commit("x", "m-2", 0, 1), early, "a"))
		if want := map[bool]eventstore.Outcome{true: eventstore.Applied, false: eventstore.ConditionFailed}[n == 0]; err != nil || a.Outcome != want || n > 0 && int64(len(a.Events)) != n {
			t.Errorf("%d events after the restore, a position that it has: %v, %d events, %v; want %v", n, a.Outcome, len(a.Events), err, want)
		}
	}
	other := h.Open(t)
	t.Cleanup(func() { _ = other.Close() })
	if a, err := other.Append(t.Context(), provided(commit("x", "m-2", 0, 1), early, "a")); a.Outcome != eventstore.Rejected || !errors.Is(err, eventstore.ErrEpoch) {
		t.Errorf("another store's position: %v, %v; want ErrEpoch", a.Outcome, err)
	}
}

func tagsAfterRestart(t *testing.T, h Harness, s eventstore.Store) {
	if h.Reopen == nil || refusesTags(t, s) {
		return
	}
	first := provided(tagged(commit("c1", "m-1", 0, 2), "a"), "", "a")
	mustAppend(t, s, first)
	events, at := loadTagged(t, s, eventstore.TagQuery{Tags: []string{"a"}}, "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = h.Reopen(t)
	t.Cleanup(func() { _ = s.Close() })
	if again, same := loadTagged(t, s, eventstore.TagQuery{Tags: []string{"a"}}, ""); len(again) != len(events) || same != at {
		t.Errorf("%d events after the restart at %q, want %d at %q", len(again), same, len(events), at)
	}
	if a := mustAppend(t, s, first); !a.Repeated {
		t.Error("the first commit was not found")
	}
	if a, err := s.Append(t.Context(), provided(commit("c2", "m-2", 0, 1), "", "a")); err != nil || a.Outcome != eventstore.ConditionFailed {
		t.Errorf("%v, %v", a.Outcome, err)
	}
	mustAppend(t, s, provided(commit("c2", "m-2", 0, 1), at, "a"))
}
