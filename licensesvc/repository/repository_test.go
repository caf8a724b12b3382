package repository_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/licensesvc/repository"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tally is a state that shows whether events were lost, doubled or folded out of order.
type tally struct {
	Events int
	Sum    int
	Newest int
}

type (
	folded = repository.Folded[tally]
	books  = repository.Repository[tally, int]
	config = repository.Config[tally, int]
	result = repository.Result[tally]
)

// shelf is a real store that counts what is read, and whose calls can be changed.
type shelf struct {
	eventstore.Store
	loads, snapshots, events, folds atomic.Int64

	onAppend   func(c eventstore.Commit, next func() (eventstore.Appended, error)) (eventstore.Appended, error)
	onSnapshot func(s eventstore.Snapshot, ok bool, err error) (eventstore.Snapshot, bool, error)
	saved      chan int64
}

func (s *shelf) Load(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	s.loads.Add(1)
	page, err := s.Store.Load(ctx, q)
	s.events.Add(int64(len(page.Events)))
	return page, err
}

func (s *shelf) Append(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	next := func() (eventstore.Appended, error) { return s.Store.Append(ctx, c) }
	if s.onAppend == nil {
		return next()
	}
	return s.onAppend(c, next)
}

func (s *shelf) LoadSnapshot(ctx context.Context, stream string, fold int) (eventstore.Snapshot, bool, error) {
	s.snapshots.Add(1)
	snap, ok, err := s.Store.LoadSnapshot(ctx, stream, fold)
	if s.onSnapshot != nil {
		return s.onSnapshot(snap, ok, err)
	}
	return snap, ok, err
}

func (s *shelf) SaveSnapshot(ctx context.Context, snap eventstore.Snapshot) error {
	err := s.Store.SaveSnapshot(ctx, snap)
	select {
	case s.saved <- snap.Version:
	default:
	}
	return err
}

func open(t *testing.T) *shelf {
	t.Helper()
	policy := sqlite.Policy()
	policy.Breaker = nil
	for name, op := range policy.Operations { // A busy machine is no fault.
		op.Timeout, op.AttemptTimeout, op.Retry = time.Minute, 0, nil
		policy.Operations[name] = op
	}
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "events.db"), Policy: &policy})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return &shelf{Store: store, saved: make(chan int64, 1000)}
}

// books returns a new repository on the store, as after a restart.
func (s *shelf) books(t *testing.T, change ...func(*config)) *books {
	t.Helper()
	cfg := config{Store: s, Snapshots: s, Domain: repository.Domain[tally, int]{
		Decode: func(stored []eventstore.Event) ([]int, error) {
			var all []int
			for _, e := range stored {
				n, err := strconv.Atoi(string(e.Data))
				if err != nil {
					return nil, err
				}
				all = append(all, n)
			}
			return all, nil
		},
		Fold: func(state tally, events []int) (tally, error) {
			s.folds.Add(int64(len(events)))
			for _, n := range events {
				state.Events++
				state.Sum += n
				state.Newest = n
			}
			return state, nil
		},
		Size:        func(tally) int64 { return 100 },
		FoldVersion: 3,
		Snapshot:    func(state tally) ([]byte, error) { return json.Marshal(state) },
		Restore: func(data []byte) (state tally, err error) {
			err = json.Unmarshal(data, &state)
			return state, err
		},
	}}
	for _, c := range change {
		c(&cfg)
	}
	r, err := repository.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// saving runs the repository's goroutine until the test ends.
func saving(t *testing.T, r *books) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// add is a command that appends numbers.
func add(id string, numbers ...int) repository.Command[tally, int] {
	return repository.Command[tally, int]{
		Decide: func(_ context.Context, now folded) ([]int, tally, error) {
			next := now.State
			for _, n := range numbers {
				next.Events++
				next.Sum += n
				next.Newest = n
			}
			return numbers, next, nil
		},
		Commit: func(_ context.Context, fenced int, events []int) (eventstore.Commit, error) {
			c := eventstore.Commit{ID: fmt.Sprint(id, "-", fenced)}
			for _, n := range events {
				c.Events = append(c.Events, eventstore.Event{Type: "n", Schema: 1, Data: []byte(strconv.Itoa(n))})
			}
			return c, nil
		},
	}
}

func do(t *testing.T, r *books, stream string, c repository.Command[tally, int]) result {
	t.Helper()
	done, err := r.Do(t.Context(), stream, c)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func fill(t *testing.T, r *books, stream string, commits, size int) tally {
	t.Helper()
	var last result
	for i := range commits {
		numbers := make([]int, size)
		for j := range numbers {
			numbers[j] = i + j
		}
		last = do(t, r, stream, add(fmt.Sprint("fill", i), numbers...))
	}
	return last.State
}

// waitSaved waits until a snapshot of at least a version is saved.
func (s *shelf) waitSaved(t *testing.T, version int64) {
	t.Helper()
	for {
		select {
		case v := <-s.saved:
			if v >= version {
				return
			}
		case <-time.After(5 * time.Minute):
			t.Fatal("no snapshot")
		}
	}
}

// TestALongStream (akka-core#26785): after a restart, a stream of 10,000 events costs two reads,
// and about as many events as a stream of 10. TestLoad in docs/benchmarks/eventstore tries 100,000.
func TestALongStream(t *testing.T) {
	s := open(t)
	r := s.books(t)
	saving(t, r)
	want := fill(t, r, "long", 10, 1000)
	s.waitSaved(t, 10_000)
	short := fill(t, r, "short", 10, 1)

	cost := func(stream string, want tally) (reads, folds int64) {
		s.loads.Store(0)
		s.snapshots.Store(0)
		s.folds.Store(0)
		got, err := s.books(t).Load(t.Context(), stream)
		if err != nil || got.State != want || got.Version != int64(want.Events) {
			t.Fatalf("%s: %+v, %v, want %+v", stream, got, err, want)
		}
		return s.loads.Load() + s.snapshots.Load(), s.folds.Load()
	}
	_, few := cost("short", short)
	for more := range 25 { // Whatever the distance from the newest snapshot is.
		reads, folds := cost("long", want)
		if reads > 2 || folds > 3*few {
			t.Errorf("%d events more: %d reads and %d events folded; a stream of 10 folds %d", more, reads, folds, few)
		}
		want = do(t, r, "long", add(fmt.Sprint("more", more), more)).State
		if more == 19 {
			s.waitSaved(t, 10_020)
		}
	}
}

// TestASnapshotThatDoesNotFit costs time, and never gives a wrong state (Axon#566, protean#1362,
// edomata#389).
func TestASnapshotThatDoesNotFit(t *testing.T) {
	s := open(t)
	r := s.books(t)
	saving(t, r)
	want := fill(t, r, "m", 25, 1)
	other := fill(t, r, "other", 25, 1)
	s.waitSaved(t, 20)
	s.waitSaved(t, 20)
	good, ok, err := s.Store.LoadSnapshot(t.Context(), "m", 3)
	theirs, also, err2 := s.Store.LoadSnapshot(t.Context(), "other", 3)
	if !ok || !also || err != nil || err2 != nil {
		t.Fatal(ok, also, err, err2)
	}
	damaged := func(at int) eventstore.Snapshot {
		snap := good
		snap.Data = slices.Clone(good.Data)
		snap.Data[at] ^= 1
		return snap
	}
	at := func(version int64) eventstore.Snapshot {
		snap := good
		snap.Version = version
		return snap
	}
	for name, give := range map[string]struct {
		snap eventstore.Snapshot
		ok   bool
		err  error
		used bool
	}{
		"good":                {snap: good, ok: true, used: true},
		"missing":             {},
		"store fails":         {err: eventstore.ErrUnavailable},
		"empty":               {snap: eventstore.Snapshot{Stream: "m", Fold: 3, Version: 20}, ok: true},
		"damaged checksum":    {snap: damaged(0), ok: true},
		"damaged state":       {snap: damaged(len(good.Data) - 2), ok: true},
		"another version":     {snap: at(19), ok: true},
		"ahead of the stream": {snap: at(4000), ok: true},
		"another stream's":    {snap: eventstore.Snapshot{Stream: "m", Fold: 3, Version: theirs.Version, Data: theirs.Data}, ok: true},
		"another fold's":      {snap: eventstore.Snapshot{Stream: "m", Fold: 2, Version: 20, Data: good.Data}, ok: true},
	} {
		t.Run(name, func(t *testing.T) {
			s.onSnapshot = func(eventstore.Snapshot, bool, error) (eventstore.Snapshot, bool, error) {
				return give.snap, give.ok, give.err
			}
			s.folds.Store(0)
			got, err := s.books(t).Load(t.Context(), "m")
			if err != nil || got.State != want {
				t.Errorf("%+v, %v, want %+v", got, err, want)
			}
			if used := s.folds.Load() < 25; used != give.used {
				t.Errorf("%d events folded", s.folds.Load())
			}
		})
	}
	s.onSnapshot = nil
	newer := s.books(t, func(c *config) { c.Domain.FoldVersion = 4 })
	s.folds.Store(0)
	if got, err := newer.Load(t.Context(), "m"); err != nil || got.State != want || s.folds.Load() != 25 {
		t.Errorf("another fold: %+v, %v", got, err)
	}
	if got, err := newer.Load(t.Context(), "other"); err != nil || got.State != other {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestASnapshotOfAnotherHistory: the store was restored from a backup and has gone on differently,
// while the snapshot has stayed. It is sealed correctly, for the same stream and version.
func TestASnapshotOfAnotherHistory(t *testing.T) {
	before, after := open(t), open(t)
	r := before.books(t)
	saving(t, r)
	fill(t, r, "m", 20, 1)
	before.waitSaved(t, 20)
	want := tally{}
	for i := range 22 {
		want = do(t, after.books(t), "m", add(fmt.Sprint("differently", i), 1000+i)).State
	}
	snap, ok, err := before.Store.LoadSnapshot(t.Context(), "m", 3)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	after.onSnapshot = func(eventstore.Snapshot, bool, error) (eventstore.Snapshot, bool, error) { return snap, true, nil }
	if got, err := after.books(t).Load(t.Context(), "m"); err != nil || got.State != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

// TestWhatWasShownIsRemembered: a second look folds nothing, and a decision on what was only shown
// reads the stream's tail first.
func TestWhatWasShownIsRemembered(t *testing.T) {
	s := open(t)
	want := fill(t, s.books(t), "m", 12, 1)
	r := s.books(t)
	for i := range 3 {
		got, err := r.View(t.Context(), "m")
		if err != nil || got.State != want || got.Source != repository.SourceLive || got.At.IsZero() {
			t.Fatalf("%+v, %v", got, err)
		}
		if i == 0 {
			s.folds.Store(0)
		}
	}
	if now, ok := r.Remembered("m"); !ok || now.State != want || s.folds.Load() != 0 {
		t.Errorf("%+v, %t, %d events folded", now, ok, s.folds.Load())
	}
	s.loads.Store(0)
	do(t, r, "m", add("a", 1))
	if s.loads.Load() != 1 {
		t.Errorf("%d loads before a decision on what was shown", s.loads.Load())
	}
	do(t, r, "m", add("b", 1))
	if s.loads.Load() != 1 || s.folds.Load() != 0 {
		t.Errorf("%d loads, %d events folded", s.loads.Load(), s.folds.Load())
	}
}

func TestTheCacheIsBoundedByBytes(t *testing.T) {
	s := open(t)
	r := s.books(t, func(c *config) { c.CacheBytes = 10 * 400 })
	for i := range 100 {
		do(t, r, fmt.Sprint("stream", i), add("a", i))
	}
	kept := 0
	for i := range 100 {
		if _, ok := r.Remembered(fmt.Sprint("stream", i)); ok {
			kept++
		}
	}
	if kept < 5 || kept > 10 {
		t.Errorf("%d states are remembered", kept)
	}
}

// TestProcessesCompete: no command is refused, lost or doubled.
func TestProcessesCompete(t *testing.T) {
	s := open(t)
	processes := []*books{s.books(t), s.books(t), s.books(t)}
	var wg sync.WaitGroup
	for i := range 90 {
		wg.Go(func() {
			if _, err := processes[i%3].Do(t.Context(), "m", add(fmt.Sprint("c", i), 1)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, err := s.books(t).Load(t.Context(), "m"); err != nil || got.State.Events != 90 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestUnknownOutcomes: whatever happened to the append, the command is done once.
func TestUnknownOutcomes(t *testing.T) {
	type call = func() (eventstore.Appended, error)
	for name, unheard := range map[string]func(n int, next call) (eventstore.Appended, error){
		"carried out": func(n int, next call) (eventstore.Appended, error) {
			if n == 1 {
				_, _ = next()
				return eventstore.Appended{}, eventstore.ErrUnknown
			}
			return next()
		},
		"not carried out, thrice": func(n int, next call) (eventstore.Appended, error) {
			if n <= 3 {
				return eventstore.Appended{}, eventstore.ErrUnknown
			}
			return next()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			n := 0
			s.onAppend = func(_ eventstore.Commit, next func() (eventstore.Appended, error)) (eventstore.Appended, error) {
				n++
				return unheard(n, next)
			}
			r := s.books(t)
			do(t, r, "m", add("c", 7))
			s.onAppend = nil
			// The same command, sent again, finds its commit along the fenced ones.
			again := do(t, s.books(t), "m", add("c", 7))
			if again.State != (tally{1, 7, 7}) || !again.Repeated {
				t.Errorf("%+v", again)
			}
		})
	}
	t.Run("a store that closes each commit", func(t *testing.T) {
		s := open(t)
		s.onAppend = func(eventstore.Commit, func() (eventstore.Appended, error)) (eventstore.Appended, error) {
			return eventstore.Appended{}, eventstore.ErrUnknown
		}
		if _, err := s.books(t).Do(t.Context(), "m", add("c", 7)); !errors.Is(err, repository.ErrClosed) {
			t.Error(err)
		}
	})
}

// TestNothingToAppendIsDecidedOnAFreshState although another one is remembered.
func TestNothingToAppendIsDecidedOnAFreshState(t *testing.T) {
	s := open(t)
	r := s.books(t)
	fill(t, r, "m", 1, 1)
	fill(t, s.books(t), "m", 3, 1) // another process; the first commit is there already
	var seen []int64
	refusal := add("c")
	decide := refusal.Decide
	refusal.Decide = func(ctx context.Context, now folded) ([]int, tally, error) {
		seen = append(seen, now.Version)
		return decide(ctx, now)
	}
	if done := do(t, r, "m", refusal); done.Applied || done.Version != 3 || !slices.Equal(seen, []int64{1, 3}) {
		t.Errorf("%+v, decided on %v", done, seen)
	}
}

// TestAStoreThatLostEvents is corrupt once, and then read as it is.
func TestAStoreThatLostEvents(t *testing.T) {
	s, less := open(t), open(t)
	fill(t, less.books(t), "m", 3, 1)
	r := s.books(t)
	fill(t, r, "m", 5, 1)
	s.Store = less.Store
	if _, err := r.Load(t.Context(), "m"); !errors.Is(err, eventstore.ErrCorrupt) {
		t.Fatal(err)
	}
	if got, err := r.Load(t.Context(), "m"); err != nil || got.Version != 3 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestConfigNamesEachProblem(t *testing.T) {
	_, err := repository.New(config{Snapshots: &shelf{}, CacheBytes: -1, Queue: -1})
	for _, want := range []string{"Store", "Decode", "Restore", "CacheBytes -1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}
