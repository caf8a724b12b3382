package readmodel

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/codec"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/wire"
)

// plays is the number of plays in the view of use.
func plays(t testing.TB, m *Models) (n int64) {
	t.Helper()
	if _, err := m.Query(t.Context(), UseName, Token{}, 0, func(ctx context.Context, db *sql.DB) error {
		return db.QueryRowContext(ctx, "SELECT coalesce(sum(plays), 0) FROM use").Scan(&n)
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func play(id string) license.Played { return license.Played{License: id, Report: "p", Occurred: start} }

// TestEveryEventOfInterleavedWriters: a position that is taken before it is visible would be passed
// for ever (Marten#1629).
func TestEveryEventOfInterleavedWriters(t *testing.T) {
	w := newWorld(t)
	m := openModels(t, w.store, t.TempDir())
	const writers, each = 8, 40
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			stream := fmt.Sprintf("member-%d", i)
			for n := range each {
				e, err := w.codec.Encode(granted(fmt.Sprintf("l%d", n), start))
				if err != nil {
					t.Error(err)
					return
				}
				if a, err := w.store.Append(t.Context(), eventstore.Commit{ID: fmt.Sprintf("c%d", n), Stream: stream, Expected: int64(n), Events: []eventstore.Event{e}}); err != nil || a.Outcome != eventstore.Applied {
					t.Errorf("%s: %v, %v", stream, a.Outcome, err)
					return
				}
			}
		})
	}
	group.Wait()
	for i := range writers {
		w.heads[fmt.Sprintf("member-%d", i)] = each
	}
	w.caughtUp(m.Models)
	for i := range writers {
		rows, _, err := m.OfStream(t.Context(), Token{fmt.Sprintf("member-%d", i), each}, time.Second, "", 1000)
		if err != nil || len(rows) != each {
			t.Errorf("writer %d: %d of %d licenses, %v", i, len(rows), each, err)
		}
	}
}

// TestRefusedAppendsDoNotHoldUpTheView: a hole must neither hold the mark nor make the cursor grow
// (Marten#5108, Axon#1241).
func TestRefusedAppendsDoNotHoldUpTheView(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	w.add("member-1", granted("l1", start))
	m := openModels(t, w.store, dir)
	w.caughtUp(m.Models)
	m.stop()
	for i := range 500 {
		e, err := w.codec.Encode(play("l1"))
		if err != nil {
			t.Fatal(err)
		}
		if a, err := w.store.Append(t.Context(), eventstore.Commit{ID: fmt.Sprintf("refused-%d", i), Stream: "member-1", Expected: 0, Events: []eventstore.Event{e}}); err != nil || a.Outcome != eventstore.Conflict {
			t.Fatal(a, err)
		}
	}
	m = openModels(t, w.store, dir)
	w.add("member-1", play("l1"))
	w.caughtUp(m.Models)
	m.stop()
	for _, o := range m.list {
		files, err := filepath.Glob(filepath.Join(dir, o.p.Name+".v*.db"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		f, err := openFile(t.Context(), files[0], o.p, time.Now().UnixNano(), false)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range f.cursors {
			if len(c) > 200 {
				t.Errorf("a cursor has %d bytes", len(c))
			}
		}
		if err := f.close(); err != nil {
			t.Error(err)
		}
	}
}

// lossy is a feed that once leaves out an event.
type lossy struct {
	Source
	lose func(eventstore.Event) bool
}

func (l *lossy) Feed(ctx context.Context, slice int, after eventstore.Cursor, limit int) (eventstore.FeedPage, error) {
	page, err := l.Source.Feed(ctx, slice, after, limit)
	kept := page.Events[:0:0]
	for _, e := range page.Events {
		if !l.lose(e) {
			kept = append(kept, e)
		}
	}
	page.Events = kept
	return page, err
}

// TestAnEventThatTheFeedLostIsFetched: the versions of a stream have no gaps, so a loss is noticed at
// the next event, and the stream is read from the store.
func TestAnEventThatTheFeedLostIsFetched(t *testing.T) {
	w := newWorld(t)
	w.add("member-1", granted("l1", start))
	w.add("member-1", play("l1"))
	w.add("member-1", play("l1"))
	m := openModels(t, &lossy{w.store, func(e eventstore.Event) bool { return e.Version == 2 }}, t.TempDir())
	w.caughtUp(m.Models)
	eventually(t, "no stream waits", func() bool { return len(m.Status()[0].Parked)+len(m.Status()[1].Parked) == 0 })
	if n := plays(t, m.Models); n != 2 {
		t.Errorf("%d plays, want 2", n)
	}
}

// TestTheLastEventOfAQuietStream arrives without a successor, also across a restart of the reader
// (akka/akka-persistence-cassandra#606).
func TestTheLastEventOfAQuietStream(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	w.add("member-1", granted("l1", start))
	m := openModels(t, w.store, dir)
	w.caughtUp(m.Models)
	m.stop()
	w.add("member-1", play("l1"))
	m = openModels(t, w.store, dir)
	w.caughtUp(m.Models)
	if n := plays(t, m.Models); n != 1 {
		t.Errorf("%d plays", n)
	}
}

// changing is a source that can be replaced under running read models.
type changing struct{ now atomic.Pointer[sqlite.Store] }

func (c *changing) Feed(ctx context.Context, slice int, after eventstore.Cursor, limit int) (eventstore.FeedPage, error) {
	return c.now.Load().Feed(ctx, slice, after, limit)
}

func (c *changing) Load(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	return c.now.Load().Load(ctx, q)
}

// TestARestoredStoreLeadsToARebuild: after a restore, positions are used again, for other events
// (Emmett PR#336). The cursor of another store does the same.
func TestARestoredStoreLeadsToARebuild(t *testing.T) {
	for _, kind := range []string{"restored", "copied", "another store"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			var source changing
			source.now.Store(w.store)
			for i := range 20 {
				w.add(fmt.Sprintf("member-%d", i), granted("l", start))
			}
			m := openModels(t, &source, t.TempDir())
			w.caughtUp(m.Models)
			backup := filepath.Join(t.TempDir(), "backup.db")
			if err := sqlite.Backup(t.Context(), w.path, backup); err != nil {
				t.Fatal(err)
			}
			for i := range 20 {
				w.add(fmt.Sprintf("member-%d", i), play("l"))
			}
			w.caughtUp(m.Models)
			other := newWorld(t)
			if kind != "another store" {
				if err := other.store.Close(); err != nil {
					t.Fatal(err)
				}
				if err := os.Remove(other.path); err != nil {
					t.Fatal(err)
				}
				copied := backup
				if kind == "restored" {
					if err := sqlite.Restore(t.Context(), backup, other.path); err != nil {
						t.Fatal(err)
					}
					copied = ""
				}
				if copied != "" {
					other.path = copied
				}
				other.open()
				for i := range 20 {
					other.heads[fmt.Sprintf("member-%d", i)] = 1
				}
				other.n = 1000
			}
			for i := range 20 {
				stream := fmt.Sprintf("member-%d", i)
				other.add(stream, granted("new", start))
			}
			before := m.Status()[0].AsOf
			source.now.Store(other.store)
			eventually(t, "all views are rebuilt", func() bool {
				for _, st := range m.Status() {
					if st.State != stateLive || st.Rebuild != nil || !st.AsOf.After(before) || st.Why != "" {
						return false
					}
				}
				return plays(t, m.Models) == 0
			})
			other.caughtUp(m.Models)
			equalViews(t, m.Models, openCaughtUp(t, other))
		})
	}
}

// openCaughtUp returns views that were made from the beginning.
func openCaughtUp(t testing.TB, w *world, change ...func(*Config)) *Models {
	t.Helper()
	m := openModels(t, w.store, t.TempDir(), change...)
	w.caughtUp(m.Models)
	return m.Models
}

// TestASecondProjectorTakesOver: the first one, which may have been paused, is refused within its
// transaction, and says so (Marten#3789, PR#5304).
func TestASecondProjectorTakesOver(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	w.add("member-1", granted("l1", start))
	first := openModels(t, w.store, dir)
	w.caughtUp(first.Models)
	second := openModels(t, w.store, dir)
	w.add("member-1", play("l1"))
	w.caughtUp(second.Models)
	eventually(t, "the first one is fenced", func() bool {
		for _, st := range first.Status() {
			if st.State != "fenced" {
				return false
			}
		}
		return true
	})
	if level, why := first.Health(); level != Failed || !strings.Contains(strings.Join(why, " "), "another process") {
		t.Errorf("%v %v", level, why)
	}
	if level, why := second.Health(); level != Well {
		t.Errorf("%v %v", level, why)
	}
	if n := plays(t, second.Models); n != 1 {
		t.Errorf("%d plays", n)
	}
	if f, err := first.Query(t.Context(), UseName, Token{}, 0, func(context.Context, *sql.DB) error { return nil }); err != nil || f.Source != "stale" {
		t.Errorf("the fenced one answers %+v, %v", f, err)
	}
}

// older are events under names that are no longer in use.
func olderCodec(t testing.TB) *wire.Codec {
	t.Helper()
	c, err := wire.NewWith(wire.Types(), append(wire.Upcasters(),
		codec.Rename("viewed is played", codec.Version{Type: "license.viewed", Schema: 1}, codec.Version{Type: license.KindPlayed, Schema: 1}),
		codec.Split("returned is downloaded and released", codec.Version{Type: "license.returned", Schema: 1},
			[]codec.Version{{Type: license.KindDownloaded, Schema: 1}, {Type: license.KindReleased, Schema: 1}},
			func(b []byte) ([]codec.Record, error) {
				return []codec.Record{{Type: license.KindDownloaded, Schema: 1, Data: b}, {Type: license.KindReleased, Schema: 1, Data: b}}, nil
			})))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) addOld(stream, name string) {
	w.t.Helper()
	w.addStored(stream, eventstore.Event{Type: name, Schema: 1, Recorded: start, Data: []byte(`{"license":"l1","report":"p","occurred":"2026-05-01T10:00:00Z"}`)})
}

// TestHistoricNames: a projection over old versions equals the one over current versions
// (Marten#2615), also for an event that became several (Axon#1263).
func TestHistoricNames(t *testing.T) {
	old, current := newWorld(t), newWorld(t)
	old.add("member-1", granted("l1", start))
	old.addOld("member-1", "license.viewed")
	old.addOld("member-1", "license.returned")
	current.add("member-1", granted("l1", start))
	current.add("member-1", play("l1"))
	current.add("member-1", license.Downloaded{License: "l1", Report: "p", Occurred: start}, license.Released{License: "l1", Occurred: start})
	a := openCaughtUp(t, old, func(c *Config) { c.Codec = olderCodec(t) })
	b := openCaughtUp(t, current)
	for _, o := range a.list {
		x, y := dump(t, a, o.p.Name), dump(t, b, o.p.Name)
		delete(x, "rm_streams") // The streams' versions differ.
		delete(y, "rm_streams")
		if fmt.Sprint(x) != fmt.Sprint(y) {
			t.Errorf("%s: %v, want %v", o.p.Name, x, y)
		}
	}
}

// TestAPoisonedEventParksItsStreamOnly, live and in a rebuild alike. After the fix, the view equals
// one that was made from the beginning (Axon#2021).
func TestAPoisonedEventParksItsStreamOnly(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	for _, stream := range []string{"member-1", "member-2"} {
		w.add(stream, granted("l1", start))
	}
	m := openModels(t, w.store, dir)
	w.addOld("member-1", "license.viewed") // Not known to this codec.
	w.add("member-1", play("l1"))
	w.add("member-1", play("l1"))
	w.add("member-2", play("l1"))
	w.caughtUp(m.Models)
	check := func(m *Models) {
		t.Helper()
		eventually(t, "the events wait", func() bool { p := m.Status()[1].Parked; return len(p) == 1 && p[0].Waiting == 3 })
		p := m.Status()[1].Parked[0]
		if p.Stream != "member-1" || p.Version != 2 || p.Cause != "newer" || !strings.Contains(p.Reason, "license.viewed@1") {
			t.Errorf("%+v", p)
		}
		if n := plays(t, m); n != 1 {
			t.Errorf("%d plays of the other stream, want 1", n)
		}
		if level, why := m.Health(); level != Degraded || !strings.Contains(strings.Join(why, " "), "member-1 version 2") {
			t.Errorf("%v %v", level, why)
		}
		if err := m.WaitFor(t.Context(), UseName, "member-1", 4); !errors.Is(err, ErrParked) {
			t.Errorf("%v", err)
		}
		if _, f, err := m.OfStream(t.Context(), Token{"member-1", 4}, time.Second, "", 10); err != nil || f.Source != "stale" {
			t.Errorf("%+v, %v", f, err)
		}
	}
	check(m.Models)
	check(openCaughtUp(t, w)) // The same truth in a rebuild.
	m.stop()
	fixed := openModels(t, w.store, dir, func(c *Config) { c.Codec = olderCodec(t) })
	w.caughtUp(fixed.Models)
	eventually(t, "no stream waits", func() bool { level, _ := fixed.Health(); return level == Well })
	equalViews(t, fixed.Models, openCaughtUp(t, w, func(c *Config) { c.Codec = olderCodec(t) }))
}

// TestAnyViewCanBeRebuilt: a stray write into the view is gone after a rebuild, while queries are
// answered all the time (Kurrent#2807), and the earlier view can be had back.
func TestAnyViewCanBeRebuilt(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	r := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		w.life(r, fmt.Sprintf("member-%d", r.IntN(10)))
	}
	m := openModels(t, w.store, dir)
	w.caughtUp(m.Models)
	if _, err := m.list[1].live.file.write.ExecContext(t.Context(), "UPDATE use SET plays = plays + 1000"); err != nil {
		t.Fatal(err)
	}
	broken := plays(t, m.Models)
	op, err := OpenOperator(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := op.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := op.Ask(t.Context(), UseName, Back); err == nil {
		t.Error("went back to nothing")
	}
	if err := op.Ask(t.Context(), UseName, Rebuild); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the view is rebuilt", func() bool { return plays(t, m.Models) != broken && m.Status()[1].Rebuild == nil })
	equalViews(t, m.Models, openCaughtUp(t, w))
	if err := op.Ask(t.Context(), UseName, Back); err != nil {
		t.Fatal(err)
	}
	w.life(r, "member-1")
	eventually(t, "the earlier view is back", func() bool { return plays(t, m.Models) >= broken })
	w.caughtUp(m.Models)
	list, err := op.List(t.Context())
	if err != nil || len(list) != 4 {
		t.Errorf("%d views, %v", len(list), err)
	}
}

// TestAnEmptyStore: a rebuild of nothing ends (Marten#2519).
func TestAnEmptyStore(t *testing.T) {
	w := newWorld(t)
	m := openModels(t, w.store, t.TempDir())
	eventually(t, "the views are live", func() bool {
		for _, st := range m.Status() {
			if st.State != stateLive {
				return false
			}
		}
		level, _ := m.Health()
		return level == Well
	})
	if rows, f, err := m.OfStream(t.Context(), Token{Stream: "nobody"}, 0, "", 1); err != nil || len(rows) != 0 || f.Source != "live" {
		t.Error(rows, f, err)
	}
}
