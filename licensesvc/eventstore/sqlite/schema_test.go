package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/schema"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
)

// TestAStoreThatDoesNotFitIsRefused damages the schema in every way, and opens the file. The
// error says what to do.
func TestAStoreThatDoesNotFitIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ edit, says string }{
		"column lost":             {"ALTER TABLE events DROP COLUMN trace", "table events has no column trace (TEXT)"},
		"column of another type":  {"ALTER TABLE events DROP COLUMN trace; ALTER TABLE events ADD COLUMN trace INTEGER", "has type INTEGER, not TEXT"},
		"table lost":              {"DROP TABLE snapshots", "table snapshots is missing"},
		"newer, and breaks":       {"INSERT INTO schema_steps VALUES (3, 'sharded', 1, 1, 1, 0)", "run a newer program"},
		"a record with a gap":     {"UPDATE schema_steps SET number = 4 WHERE number = 2", "restore a backup"},
		"of another line":         {"UPDATE schema_steps SET name = 'x'", "another program's store"},
		"another program's":       {"DROP TABLE schema_steps", "another program's database"},
		"lacks a step and tables": {"DELETE FROM schema_steps; DROP TABLE snapshots; DROP TABLE tags; INSERT INTO schema_steps VALUES (1, 'events, streams and snapshots', 0, 0, 1, 0)", ""},
		"newer, and compatible":   {"INSERT INTO schema_steps VALUES (3, 'a view', 1, 1, 0, 0); ALTER TABLE events ADD COLUMN more TEXT", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "events.db")
			if err := open(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			edit(t, path, c.edit)
			if name == "lacks a step and tables" {
				if _, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, KeepSchema: true}); !errors.Is(err, schema.ErrUnfit) || !strings.Contains(err.Error(), "licensesvc schema apply") {
					t.Errorf("with KeepSchema: %v", err)
				}
			}
			s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
			if err == nil {
				t.Cleanup(func() { _ = s.Close() })
			}
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

// TestHealthShowsASchemaThatChangedMeanwhile.
func TestHealthShowsASchemaThatChangedMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	s := open(t, path)
	h, err := s.Health(t.Context())
	if err != nil || !h.Schema.OK() || h.Schema.Version != 2 || len(h.Warnings) > 0 {
		t.Fatalf("%+v, %v", h, err)
	}
	edit(t, path, "ALTER TABLE snapshots DROP COLUMN data")
	if h, err = s.Health(t.Context()); err != nil || h.Schema.OK() {
		t.Errorf("%+v, %v", h, err)
	}
}

// TestNobodyUsesAFileWhoseSchemaChanges: a program that has the file open keeps others from
// changing its schema, and opens no file whose schema is being changed.
func TestNobodyUsesAFileWhoseSchemaChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	s := open(t, path)
	f, err := sqlite.OpenSchema(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Lock(t.Context()); err == nil || !strings.Contains(err.Error(), "stop what uses it") {
		t.Errorf("locked an open store: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	lock, err := f.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path) // It waits for no lock, as the store would.
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "SELECT count(*) FROM events"); err == nil {
		t.Error("read a file whose schema is being changed")
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if err := lock.Release(t.Context()); err != nil {
		t.Error(err)
	}
	open(t, path)
}

// TestReadersLeaveNothing next to the file, also after a crash left a log.
func TestReadersLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "events.db")
	s := open(t, path)
	if _, err := s.Append(t.Context(), one("c", "m-1", 0)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Verify(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Backup(t.Context(), path, path+".backup"); err != nil {
		t.Fatal(err)
	}
	f, err := sqlite.OpenSchema(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Schema().Status(t.Context(), f); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v; want the file and its backup", entries, err)
	}
	page, err := open(t, path+".backup").Load(t.Context(), eventstore.Query{Stream: "m-1"})
	if err != nil || page.Version != 1 {
		t.Errorf("%+v, %v", page, err)
	}
}

// TestAFileFromBeforeTags gets their table at the start. Its events have no tags and keep their
// checksums.
func TestAFileFromBeforeTags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	s := open(t, path)
	if _, err := s.Append(t.Context(), one("c1", "m-1", 0)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	edit(t, path, "ALTER TABLE events DROP COLUMN tags; DROP TABLE tags; DELETE FROM schema_steps WHERE number = 2")
	s = open(t, path)
	c := one("c2", "m-1", 1)
	c.Events[0].Tags = []string{"a"}
	if a, err := s.Append(t.Context(), c); err != nil || a.Outcome != eventstore.Applied {
		t.Fatalf("%v, %v", a.Outcome, err)
	}
	page, err := s.Load(t.Context(), eventstore.Query{Stream: "m-1"})
	if err != nil || len(page.Events) != 2 || page.Events[0].Tags != nil || len(page.Events[1].Tags) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
}

// TestVerifyComparesTags with the index by which they are found.
func TestVerifyComparesTags(t *testing.T) {
	for says, damage := range map[string]string{
		"whose tags are not all in the index": "DELETE FROM tags WHERE tag = 'b'",
		"which no event has":                  "INSERT INTO tags VALUES ('c', 1)",
		"does not match its checksum":         "UPDATE events SET tags = 'a'; DELETE FROM tags WHERE tag = 'b'",
	} {
		path := filepath.Join(t.TempDir(), "events.db")
		s := open(t, path)
		c := one("c1", "m-1", 0)
		c.Events[0].Tags = []string{"a", "b"}
		if _, err := s.Append(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		edit(t, path, damage)
		if problems, err := sqlite.Verify(t.Context(), path); err != nil || !strings.Contains(strings.Join(problems, "\n"), says) {
			t.Errorf("%s: %q, %v", damage, problems, err)
		}
	}
}
