package readmodel

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/wire"
)

// TestMain makes properties of whole processes try fewer cases: each takes a third of a second.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "20"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

var start = time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)

// world is an event store that tests append to.
type world struct {
	t     testing.TB
	path  string
	store *sqlite.Store
	codec *wire.Codec
	heads map[string]int64
	n     int
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, path: filepath.Join(t.TempDir(), "events.db"), heads: map[string]int64{}}
	var err error
	if w.codec, err = wire.New(); err != nil {
		t.Fatal(err)
	}
	w.open()
	return w
}

func (w *world) open() {
	w.t.Helper()
	s, err := sqlite.Open(w.t.Context(), sqlite.Config{Path: w.path})
	if err != nil {
		w.t.Fatal(err)
	}
	w.store = s
	w.t.Cleanup(func() { _ = s.Close() })
}

// add appends events to a stream in one commit.
func (w *world) add(stream string, events ...license.Event) int64 {
	w.t.Helper()
	stored := make([]eventstore.Event, len(events))
	for i, e := range events {
		var err error
		if stored[i], err = w.codec.Encode(e); err != nil {
			w.t.Fatal(err)
		}
		stored[i].Recorded = e.When()
	}
	return w.addStored(stream, stored...)
}

func (w *world) addStored(stream string, stored ...eventstore.Event) int64 {
	w.t.Helper()
	w.n++
	a, err := w.store.Append(w.t.Context(), eventstore.Commit{ID: fmt.Sprintf("c%d", w.n), Stream: stream, Expected: w.heads[stream], Events: stored})
	if err != nil || a.Outcome != eventstore.Applied {
		w.t.Fatalf("append to %s: %v, %v", stream, a.Outcome, err)
	}
	w.heads[stream] = a.Version
	return a.Version
}

// bad appends an event that can't be decoded.
func (w *world) bad(stream string) int64 {
	return w.addStored(stream, eventstore.Event{Type: license.KindPlayed, Schema: 1, Data: []byte("[")})
}

func granted(id string, at time.Time) license.Granted {
	return license.Granted{License: id, Device: "tv", Title: "t1", Studio: "s1", Plan: "plus", At: at, Expires: at.Add(30 * 24 * time.Hour), PlaybackSeconds: 48 * 3600}
}

// life appends a random piece of a member's life.
func (w *world) life(r *rand.Rand, stream string) {
	at := start.Add(time.Duration(w.n) * time.Minute)
	id := fmt.Sprintf("%s-l%d", stream, w.n)
	g := granted(id, at)
	g.Title, g.Studio, g.Device = fmt.Sprintf("t%d", r.IntN(5)), fmt.Sprintf("s%d", r.IntN(2)), fmt.Sprintf("d%d", r.IntN(3))
	events := []license.Event{g}
	if r.IntN(4) == 0 {
		events = []license.Event{license.Promised{Granted: g}, license.Confirmed{License: id, At: at.Add(time.Minute), Expires: g.Expires.Add(time.Hour)}}
	}
	for range r.IntN(5) {
		when := at.Add(time.Duration(r.IntN(100)-10) * time.Hour)
		switch r.IntN(4) {
		case 0:
			events = append(events, license.Downloaded{License: id, Report: "r", Occurred: when})
		case 1:
			events = append(events, license.Renewed{License: id, Request: "q", At: when, Expires: when.Add(40 * 24 * time.Hour)})
		default:
			events = append(events, license.Played{License: id, Report: "p", Occurred: when})
		}
	}
	switch r.IntN(6) {
	case 0:
		events = append(events, license.Released{License: id, Occurred: at.Add(200 * time.Hour)})
	case 1:
		events = append(events, license.Revoked{License: id, At: at.Add(200 * time.Hour), Reason: "why"})
	}
	w.add(stream, events...)
}

// running are read models with their Run.
type running struct {
	*Models
	stop func()
}

// openModels opens and runs read models; a change may adapt the configuration.
func openModels(t testing.TB, store Source, dir string, change ...func(*Config)) *running {
	t.Helper()
	cfg := Config{Dir: dir, Store: store, Poll: 5 * time.Millisecond, FreshFor: time.Hour}
	for _, c := range change {
		c(&cfg)
	}
	m, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx)
	}()
	r := &running{Models: m}
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		<-done
		if err := m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	t.Cleanup(r.stop)
	return r
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// caughtUp waits until every view contains every stream, as far as it is not parked.
func (w *world) caughtUp(m *Models) {
	w.t.Helper()
	for _, o := range m.list {
		for stream, version := range w.heads {
			eventually(w.t, fmt.Sprintf("%s contains %s: %+v", o.p.Name, stream, o.status()), func() bool {
				ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
				defer cancel()
				err := m.WaitFor(ctx, o.p.Name, stream, version)
				if err != nil && !errors.Is(err, ErrBuilding) && !errors.Is(err, ErrParked) {
					w.t.Logf("%v: %+v", err, o.status())
				}
				return err == nil || errors.Is(err, ErrParked)
			})
		}
		eventually(w.t, o.p.Name+" is complete", func() bool { st := o.status(); return !st.AsOf.IsZero() && st.LagEvents == 0 })
	}
}

// dump returns the contents of all tables of a view.
func dump(t testing.TB, m *Models, name string) map[string][][]any {
	t.Helper()
	all := map[string][][]any{}
	_, err := m.Query(t.Context(), name, Token{}, 0, func(ctx context.Context, db *sql.DB) error {
		var tables []string
		rows, err := db.QueryContext(ctx, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('rm_head', 'rm_cursors', 'sqlite_sequence')")
		if err != nil {
			return err
		}
		if err := each(rows, func() error {
			var name string
			err := rows.Scan(&name)
			tables = append(tables, name)
			return err
		}); err != nil {
			return err
		}
		for _, table := range tables {
			rows, err := db.QueryContext(ctx, "SELECT * FROM "+table+" ORDER BY 1, 2, 3")
			if table == "rm_streams" {
				rows, err = db.QueryContext(ctx, "SELECT * FROM "+table+" ORDER BY 1")
			}
			if err != nil {
				if rows, err = db.QueryContext(ctx, "SELECT * FROM "+table); err != nil {
					return err
				}
			}
			columns, err := rows.Columns()
			if err != nil {
				return err
			}
			if err := each(rows, func() error {
				values, to := make([]any, len(columns)), make([]any, len(columns))
				for i := range values {
					to[i] = &values[i]
				}
				err := rows.Scan(to...)
				all[table] = append(all[table], values)
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// equalViews compares all views of two sets of read models.
func equalViews(t testing.TB, a, b *Models) {
	t.Helper()
	for _, o := range a.list {
		if x, y := dump(t, a, o.p.Name), dump(t, b, o.p.Name); !reflect.DeepEqual(x, y) {
			t.Errorf("%s differs:\n%v\n%v", o.p.Name, x, y)
		}
	}
}
