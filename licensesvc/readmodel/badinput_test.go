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
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/license"
)

// TestFilesThatCantBeUsed: what is missing, damaged or newer is made again, and the rest stays.
func TestFilesThatCantBeUsed(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, file string) error{
		"missing": func(_ *testing.T, file string) error { return remove(file) },
		"empty": func(_ *testing.T, file string) error {
			return errors.Join(remove(file), os.WriteFile(file, nil, 0o600))
		},
		"no view": func(_ *testing.T, file string) error {
			return errors.Join(remove(file), os.WriteFile(file, []byte(strings.Repeat("no view", 1000)), 0o600))
		},
		"truncated": func(_ *testing.T, file string) error { return os.Truncate(file, 5000) },
		"newer":     func(t *testing.T, file string) error { return execIn(t, file, "PRAGMA user_version = 99") },
		"another":   func(t *testing.T, file string) error { return execIn(t, file, "UPDATE rm_head SET name = 'another'") },
		"headless":  func(t *testing.T, file string) error { return execIn(t, file, "DELETE FROM rm_head") },
		"a table":   func(t *testing.T, file string) error { return execIn(t, file, "DROP TABLE rm_cursors") },
	} {
		for _, target := range []string{"licenses.v1.*.db", "catalog.db"} {
			if target == "catalog.db" && (name == "another" || name == "headless" || name == "newer" || name == "a table") {
				continue
			}
			t.Run(name+" "+target[:3], func(t *testing.T) {
				w, dir := newWorld(t), t.TempDir()
				w.add("member-1", granted("l1", start), play("l1"))
				m := openModels(t, w.store, dir)
				w.caughtUp(m.Models)
				m.stop()
				files, err := filepath.Glob(filepath.Join(dir, target))
				if err != nil || len(files) != 1 {
					t.Fatal(files, err)
				}
				if err := harm(t, files[0]); err != nil {
					t.Fatal(err)
				}
				m = openModels(t, w.store, dir)
				w.caughtUp(m.Models)
				equalViews(t, m.Models, openCaughtUp(t, w))
			})
		}
	}
}

func execIn(t *testing.T, file, statement string) error {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(file, ""))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(t.Context(), statement)
	return errors.Join(err, db.Close())
}

func TestANewerCatalogIsRefused(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	m := openModels(t, w.store, dir)
	m.stop()
	if err := execIn(t, catalogIn(dir), "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Dir: dir, Store: w.store}); !errors.Is(err, ErrNewer) {
		t.Errorf("%v", err)
	}
}

// custom is a projection with a handler of a test.
func custom(handle func(ctx context.Context, v *View, e Event) error) Projection {
	return Projection{Name: "custom", Version: 1, Handle: handle, Schema: []string{"CREATE TABLE seen (stream TEXT, version INTEGER, small INTEGER CHECK (small < 10), PRIMARY KEY (stream, version))"}}
}

// TestAProjectionThatFails: one that panics, returns an error, or writes what does not fit, parks the
// stream with nothing of the event written; once it works, everything is there.
func TestAProjectionThatFails(t *testing.T) {
	for cause, fail := range map[string]func(v *View) error{
		"panic":   func(*View) error { panic("no such case") },
		"handler": func(*View) error { return errors.New("no such case") },
		"does not fit": func(v *View) error {
			_, err := v.Exec("INSERT INTO seen VALUES ('x', 1, 11)")
			return err
		},
		"bad statement": func(v *View) error {
			_, err := v.Exec("INSERT INTO nowhere VALUES (1)")
			return err
		},
	} {
		t.Run(cause, func(t *testing.T) {
			var broken atomic.Bool
			broken.Store(true)
			w, dir := newWorld(t), t.TempDir()
			m := openModels(t, w.store, dir, func(c *Config) {
				c.Projections = append(Projections(), custom(func(_ context.Context, v *View, e Event) error {
					if _, err := v.Exec("INSERT INTO seen VALUES (?, ?, 1)", e.Stream, e.Version); err != nil {
						return err
					}
					if _, ok := e.Event.(license.Played); ok && e.Stream == "member-1" && broken.Load() {
						return fail(v)
					}
					return nil
				}))
			})
			for _, stream := range []string{"member-1", "member-2"} {
				w.add(stream, granted("l1", start), play("l1"), play("l1"))
			}
			w.caughtUp(m.Models)
			parked := m.Status()[3].Parked
			if len(parked) != 1 || parked[0].Stream != "member-1" || parked[0].Version != 2 || parked[0].Waiting != 2 || parked[0].Reason == "" {
				t.Fatalf("%+v", parked)
			}
			if want := map[string]string{"panic": "panic"}[cause]; want != "" && parked[0].Cause != want {
				t.Errorf("%+v", parked[0])
			}
			if got := dump(t, m.Models, "custom")["seen"]; len(got) != 4 {
				t.Errorf("%v", got)
			}
			retry(t, dir, "custom", "member-1", false) // Still broken.
			eventually(t, "it was tried again", func() bool { p := m.Status()[3].Parked; return len(p) == 1 && p[0].Tries == 2 })
			broken.Store(false)
			retry(t, dir, "custom", "", false)
			eventually(t, "no stream waits", func() bool { return len(m.Status()[3].Parked) == 0 })
			if got := dump(t, m.Models, "custom")["seen"]; len(got) != 6 {
				t.Errorf("%v", got)
			}
		})
	}
}

func retry(t *testing.T, dir, model, stream string, skip bool) {
	t.Helper()
	op, err := OpenOperator(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := op.Retry(t.Context(), model, stream, skip); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	if err := op.Close(); err != nil {
		t.Error(err)
	}
}

// TestAnOperatorSkips one event; those behind it are applied, and the skip stays visible.
func TestAnOperatorSkips(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	w.add("member-1", granted("l1", start))
	w.bad("member-1")
	for range 2 * pageEvents {
		w.add("member-1", play("l1"))
	}
	m := openModels(t, w.store, dir)
	w.caughtUp(m.Models)
	if p := m.Status()[1].Parked; len(p) != 1 || p[0].Cause != "decode" || p[0].Waiting != 2*pageEvents+1 {
		t.Fatalf("%+v", p)
	}
	for _, o := range m.list {
		retry(t, dir, o.p.Name, "member-1", true)
	}
	eventually(t, "no stream waits", func() bool { level, _ := m.Health(); return level == Well })
	if n := plays(t, m.Models); n != 2*pageEvents {
		t.Errorf("%d plays, want %d", n, 2*pageEvents)
	}
	op, err := OpenOperator(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	list, err := op.List(t.Context())
	if err != nil || len(list) != 3 || list[0].Skipped != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := op.Close(); err != nil {
		t.Error(err)
	}
}

// TestAProjectionThatBlocks stops its own view only, which becomes failed and says where it stands.
func TestAProjectionThatBlocks(t *testing.T) {
	release := make(chan struct{})
	w := newWorld(t)
	var armed atomic.Bool
	m := openModels(t, w.store, t.TempDir(), func(c *Config) {
		c.Stuck = time.Millisecond
		c.Projections = append(Projections(), custom(func(context.Context, *View, Event) error {
			if armed.Load() {
				<-release
			}
			return nil
		}))
	})
	w.caughtUp(m.Models)
	armed.Store(true)
	version := w.add("member-1", granted("l1", start))
	if err := m.WaitFor(t.Context(), LicensesName, "member-1", version); err != nil {
		t.Error(err)
	}
	eventually(t, "the view has failed", func() bool {
		level, why := m.Health()
		return level == Failed && strings.Contains(strings.Join(why, " "), "the projection does not return from member-1 version 1")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := m.WaitFor(ctx, "custom", "member-1", version); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	close(release)
	w.caughtUp(m.Models)
}

// TestAFullDiskDuringARebuild: the live view goes on, the rebuild says why it stands, and goes on
// when there is room.
func TestAFullDiskDuringARebuild(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	r := rand.New(rand.NewPCG(7, 8))
	for range 400 {
		w.life(r, fmt.Sprintf("member-%d", r.IntN(40)))
	}
	projection := custom(func(_ context.Context, v *View, e Event) error {
		_, err := v.Exec("INSERT INTO seen VALUES (?, ?, 1)", e.Stream+strings.Repeat(".", 200), e.Version)
		return err
	})
	projections := []Projection{projection}
	m := openModels(t, w.store, dir, func(c *Config) { c.Projections = projections })
	w.caughtUp(m.Models)
	o := m.list[0]
	// The limit holds for the connection that makes the file.
	o.p.Schema = append([]string{"PRAGMA max_page_count = 40"}, o.p.Schema...)
	ask(t, dir, "custom", Rebuild)
	eventually(t, "the rebuild stands", func() bool {
		st := m.Status()[0]
		return st.Rebuild != nil && strings.Contains(st.Rebuild.Why, "full")
	})
	w.life(r, "member-1")
	w.caughtUp(m.Models) // The live one.
	o.mu.RLock()
	_, err := o.next.file.conn.ExecContext(t.Context(), "PRAGMA max_page_count = 1000000")
	o.mu.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rebuild is switched in", func() bool { return m.Status()[0].Rebuild == nil })
	w.caughtUp(m.Models)
	if parked := m.Status()[0].Parked; len(parked) != 0 {
		t.Errorf("a full disk was blamed on an event: %+v", parked)
	}
	equalViews(t, m.Models, openCaughtUp(t, w, func(c *Config) { c.Projections = projections }))
}
