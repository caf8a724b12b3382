package history_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/chaos/history"
	"github.com/backstay-go/backstay/chaos/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func appended(from, to time.Duration, commit string, expected int64, o history.Outcome, version int64) history.Op {
	return history.Op{Stream: "s", Commit: commit, Expected: expected, Events: 1, Call: from, Return: to, Outcome: o, Version: version}
}

func read(from, to time.Duration, commits ...string) history.Op {
	op := history.Op{Stream: "s", Call: from, Return: to, Outcome: history.Applied}
	for i, c := range commits {
		op.Saw = append(op.Saw, history.Event{Version: int64(i + 1), Commit: c})
	}
	return op
}

func events(commits ...string) []history.Event { return read(0, 0, commits...).Saw }

// TestJudge judges histories that were made by hand.
func TestJudge(t *testing.T) {
	const order, streams, acked = "there is one order", "streams are whole", "acknowledged exactly once"
	for _, c := range []struct {
		name  string
		h     history.History
		final []history.Event
		fails []string
	}{
		{"one after the other", history.History{appended(1, 2, "a", 0, history.Applied, 1), appended(3, 4, "b", 1, history.Applied, 2), read(5, 6, "a", "b")}, events("a", "b"), nil},
		{"at once, one wins", history.History{appended(1, 5, "a", 0, history.Applied, 1), appended(2, 6, "b", 0, history.Conflict, 1), read(7, 8, "a")}, events("a"), nil},
		{"at once, both win", history.History{appended(1, 5, "a", 0, history.Applied, 1), appended(2, 6, "b", 0, history.Applied, 1)}, events("a", "b"), []string{order}},
		{"a conflict with nobody", history.History{appended(1, 2, "a", 0, history.Conflict, 1), appended(3, 4, "b", 0, history.Applied, 1)}, events("b"), []string{order}},
		{"an old read", history.History{appended(1, 2, "a", 0, history.Applied, 1), read(3, 4)}, events("a"), []string{order}},
		{"a read during the append may be old", history.History{appended(1, 5, "a", 0, history.Applied, 1), read(2, 3)}, events("a"), nil},
		{"reads that go back", history.History{appended(1, 9, "a", 0, history.Applied, 1), read(2, 3, "a"), read(4, 5)}, events("a"), []string{order}},
		{"unknown, and never", history.History{appended(1, 0, "a", 0, history.Unknown, 0), appended(2, 3, "b", 0, history.Applied, 1), read(4, 5, "b")}, events("b"), nil},
		{"unknown, and much later", history.History{appended(1, 0, "a", 1, history.Unknown, 0), appended(2, 3, "b", 0, history.Applied, 1), read(4, 5, "b"), read(6, 7, "b", "a")}, events("b", "a"), nil},
		{"unknown, and at the end", history.History{appended(1, 0, "a", 0, history.Unknown, 0), read(4, 5)}, events("a"), nil},
		{"unknown, where it could not be", history.History{appended(1, 0, "a", 0, history.Unknown, 0), appended(2, 3, "b", 0, history.Applied, 1), read(4, 5, "b", "a")}, events("b", "a"), []string{order}},
		{"unknown, there and gone again", history.History{appended(1, 0, "a", 0, history.Unknown, 0), read(4, 5, "a"), read(6, 7)}, events(), []string{order, streams, acked}},
		{"unknown, then repeated", history.History{appended(1, 0, "a", 0, history.Unknown, 0), appended(4, 5, "a", 0, history.Applied, 1), read(6, 7, "a")}, events("a"), nil},
		{"refused, and there", history.History{appended(1, 2, "a", 0, history.Rejected, 0), appended(3, 4, "b", 0, history.Applied, 1)}, events("b", "a"), []string{acked}},
		{"acknowledged, and lost", history.History{appended(1, 2, "a", 0, history.Applied, 1)}, events(), []string{acked}},
		{"acknowledged, and doubled", history.History{appended(1, 2, "a", 0, history.Applied, 1)}, events("a", "a"), []string{acked}},
		{"doubled apart", history.History{appended(1, 2, "a", 0, history.Applied, 1), appended(3, 4, "b", 1, history.Applied, 2)}, events("a", "b", "a"), []string{streams, acked}},
		{"a gap", history.History{appended(1, 2, "a", 0, history.Applied, 1)}, []history.Event{{Version: 2, Commit: "a"}}, []string{streams}},
		{"a fork", history.History{appended(1, 2, "a", 0, history.Applied, 1), read(3, 4, "a")}, events("b"), []string{streams, acked}},
		{"a read of another's", history.History{appended(1, 2, "a", 0, history.Applied, 1), read(3, 4, "z")}, events("a"), []string{order, streams}},
		{"a read of more than there was", history.History{appended(1, 2, "a", 0, history.Applied, 1), read(3, 4, "a", "z")}, events("a"), []string{order, streams}},
		{"a conflict, and there", history.History{appended(1, 2, "b", 0, history.Applied, 1), appended(3, 4, "a", 0, history.Conflict, 1)}, events("b", "a"), []string{acked}},
		{"nobody's", history.History{appended(1, 2, "a", 0, history.Applied, 1)}, events("a", "z"), []string{acked}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var failed []string
			for _, check := range c.h.Judge(map[string][]history.Event{"s": c.final}) {
				if check.Verdict == report.Failed {
					failed = append(failed, check.Name)
				}
			}
			// What is only in doubt may have no acknowledged append: that check asks for one.
			if !slices.ContainsFunc(c.h, func(o history.Op) bool { return o.Commit != "" && o.Outcome == history.Applied }) {
				failed = slices.DeleteFunc(failed, func(n string) bool { return n == acked })
				c.fails = slices.DeleteFunc(slices.Clone(c.fails), func(n string) bool { return n == acked })
			}
			if !slices.Equal(failed, c.fails) {
				t.Errorf("failed %q, want %q", failed, c.fails)
			}
		})
	}
}

// store is an event store with a defect on purpose, or none.
type store struct {
	defect string
	chance *rand.Rand

	mu      sync.Mutex
	streams map[string][]history.Event
	before  map[string][]history.Event
}

func (s *store) append(stream, commit string, expected int64) (history.Outcome, int64) {
	time.Sleep(time.Duration(s.roll(1000)) * time.Microsecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.streams[stream]
	for _, e := range now {
		if e.Commit != commit {
			continue
		}
		if s.defect == "does again what is repeated" {
			s.streams[stream] = append(slices.Clone(now), history.Event{Version: int64(len(now) + 1), Commit: commit})
		}
		return history.Applied, e.Version
	}
	version := int64(len(now))
	if version != expected && s.defect != "ignores the version" {
		return history.Conflict, version
	}
	s.before[stream] = now
	lost := s.defect == "loses what it acknowledged" && s.rollLocked(10) == 0
	if !lost {
		s.streams[stream] = append(slices.Clone(now), history.Event{Version: version + 1, Commit: commit})
	}
	if s.rollLocked(5) == 0 {
		return history.Unknown, 0
	}
	if s.defect == "says no and does it" && s.rollLocked(5) == 0 {
		return history.Rejected, 0
	}
	if s.defect == "says that it met another, and does it" && s.rollLocked(5) == 0 {
		return history.Conflict, version + 1
	}
	return history.Applied, version + 1
}

func (s *store) read(stream string) []history.Event {
	time.Sleep(time.Duration(s.roll(1000)) * time.Microsecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.defect == "reads what was" && s.rollLocked(5) == 0 {
		return s.before[stream]
	}
	return s.streams[stream]
}

func (s *store) roll(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rollLocked(n)
}

func (s *store) rollLocked(n int) int { return s.chance.IntN(n) }

// TestSeededDefectsAreFound lets clients use stores with a defect each; the judge must
// find every one, and nothing in the store without.
func TestSeededDefectsAreFound(t *testing.T) {
	for _, c := range []struct{ defect, check string }{
		{"", ""},
		{"ignores the version", "there is one order"},
		{"reads what was", "there is one order"},
		{"loses what it acknowledged", "acknowledged exactly once"},
		{"says no and does it", "acknowledged exactly once"},
		{"says that it met another, and does it", "acknowledged exactly once"},
		{"does again what is repeated", "acknowledged exactly once"},
	} {
		t.Run(c.defect, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &store{defect: c.defect, chance: rand.New(rand.NewPCG(1, 2)), streams: map[string][]history.Event{}, before: map[string][]history.Event{}}
				r := history.New()
				var wg sync.WaitGroup
				for client := range 4 {
					wg.Go(func() { use(s, r, client) })
				}
				wg.Wait()
				var failed []string
				for _, check := range r.History().Judge(s.streams) {
					if check.Verdict != report.Passed {
						failed = append(failed, check.Name)
					}
				}
				if c.check == "" && len(failed) > 0 || c.check != "" && !slices.Contains(failed, c.check) {
					t.Errorf("not passed: %q, want %q", failed, c.check)
				}
			})
		})
	}
}

// use appends to what it reads, and repeats what it can't tell.
func use(s *store, r *history.Recorder, client int) {
	for n := range 40 {
		stream := fmt.Sprintf("s%d", n%3)
		p := r.Read(client, stream)
		saw := s.read(stream)
		p.Saw(saw)
		commit := fmt.Sprintf("c%d-%d", client, n)
		for range 3 {
			p := r.Append(client, stream, commit, int64(len(saw)), 1)
			outcome, version := s.append(stream, commit, int64(len(saw)))
			switch outcome {
			case history.Applied:
				p.Applied(version)
			case history.Conflict:
				p.Conflict(version)
			case history.Rejected:
				p.Rejected()
			case history.Unknown:
				continue
			}
			break
		}
	}
}

func TestAHistoryCanBeKeptAndJudgedAgain(t *testing.T) {
	h := history.History{appended(1, 2, "a", 0, history.Applied, 1), read(3, 4, "a"), appended(5, 0, "b", 1, history.Unknown, 0)}
	var b bytes.Buffer
	if err := h.Write(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	back, err := history.Read(&b)
	if err != nil || fmt.Sprint(back) != fmt.Sprint(h) {
		t.Errorf("%v, %v", back, err)
	}
	lines := strings.SplitAfter(strings.TrimSpace(text)+"\n", "\n")
	for _, bad := range []string{`{"strem":"s"}`, "{", "text", `{"stream":"s"} {}`, "\xff"} {
		for at := range 4 {
			back, err := history.Read(strings.NewReader(strings.Join(lines[:at], "") + bad + "\n" + strings.Join(lines[at:], "")))
			if fmt.Sprint(back) != fmt.Sprint(h) || err == nil || !strings.Contains(err.Error(), fmt.Sprint("line ", at+1, ":")) {
				t.Errorf("%q as line %d: %v, %v", bad, at+1, back, err)
			}
		}
	}
}
