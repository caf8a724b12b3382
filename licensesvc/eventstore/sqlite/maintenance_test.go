package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
)

// TestTheLogIsBounded appends without a pause from several writers, with readers at the same time: the
// log is moved into the file although the load never stops.
func TestTheLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	s := open(t, path)
	const writers, appends, bound = 32, 1000, 64 << 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			stream := fmt.Sprint("m-", w)
			for v := range int64(appends) {
				c := one(fmt.Sprint("c", v), stream, v)
				c.Events[0].Data = make([]byte, 300)
				if a, err := s.Append(t.Context(), c); err != nil || a.Outcome != eventstore.Applied {
					t.Errorf("%v, %v", a.Outcome, err)
					return
				}
				if v%100 == 0 {
					if _, err := s.Load(t.Context(), eventstore.Query{Stream: stream}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	st, err := s.Stats(t.Context())
	if err != nil || st.Events != writers*appends {
		t.Fatalf("%+v, %v", st, err)
	}
	// Without a checkpoint the log would hold each page as often as it was written: about 4 KiB
	// per append and more.
	if st.LogBytes > bound || st.LogBytes > writers*appends*2048 {
		t.Errorf("the log has %d bytes", st.LogBytes)
	}
}

// TestACleanCloseLeavesOneFile: the file alone is the store, and no file stays open.
func TestACleanCloseLeavesOneFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "events.db")
	for i := range int64(10) {
		s := open(t, path)
		if _, err := s.Append(t.Context(), one(fmt.Sprint("c", i), "m-1", i)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("next to the file: %v, %v", entries, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(elsewhere, text, 0o600); err != nil {
		t.Fatal(err)
	}
	page, err := open(t, elsewhere).Load(t.Context(), eventstore.Query{Stream: "m-1"})
	if err != nil || page.Version != 10 {
		t.Errorf("the copy has version %d of 10, %v", page.Version, err)
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		for _, fd := range fds {
			if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && to == path {
				t.Errorf("%s is still open", to)
			}
		}
	}
}

// edit changes the file by another connection, as a tool or a failing disk would.
func edit(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// TestDamageIsNeverAnAnswer damages each column of an event, and loses rows.
func TestDamageIsNeverAnAnswer(t *testing.T) {
	damages := map[string]string{
		"all events lost":      "DELETE FROM events",
		"one event lost":       "DELETE FROM events WHERE version = 2",
		"all keys lost":        "DELETE FROM streams WHERE key < ''",
		"one key lost":         "DELETE FROM streams WHERE stream = 'm-1' AND key = 2",
		"two keys swapped":     "UPDATE streams SET at = 3 - at WHERE stream = 'm-1' AND key < 3",
		"another stream's key": "UPDATE streams SET at = 4 WHERE stream = 'm-1' AND key = 2",
	}
	for _, column := range []string{"id", "type", "commit_id", "cause", "correlation", "trace", "actor"} {
		damages[column] = "UPDATE events SET " + column + " = " + column + " || 'x' WHERE version = 2"
	}
	for _, column := range []string{"schema", "occurred", "recorded"} {
		damages[column] = "UPDATE events SET " + column + " = " + column + " + 1 WHERE version = 2"
	}
	damages["data"] = "UPDATE events SET data = x'7b207d' WHERE version = 2"
	damages["data of another type"] = "UPDATE events SET data = 'text' WHERE version = 2"
	damages["a number that is text"] = "UPDATE events SET schema = 'one' WHERE version = 2"
	damages["checksum"] = "UPDATE events SET checksum = checksum + 1 WHERE version = 2"
	damages["another stream's event"] = "UPDATE events SET stream = 'm-1', version = 2 WHERE stream = 'm-2'"
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "events.db")
			s := open(t, path)
			for i := range int64(3) {
				if _, err := s.Append(t.Context(), one(fmt.Sprint("c", i), "m-1", i)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.Append(t.Context(), one("c", "m-2", 0)); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			edit(t, path, damage)
			s = open(t, path)
			stream, commit, version := "m-1", "c1", int64(1)
			if name == "another stream's event" {
				stream, commit, version = "m-2", "c", 0
			}
			if page, err := s.Load(t.Context(), eventstore.Query{Stream: stream}); !errors.Is(err, eventstore.ErrCorrupt) {
				t.Errorf("load: %d events, %v", len(page.Events), err)
			}
			problems, err := sqlite.Verify(t.Context(), path)
			if err != nil || len(problems) == 0 {
				t.Errorf("verify: %q, %v", problems, err)
			}
			// The repeat of a commit is an answer too.
			if a, err := s.Append(t.Context(), one(commit, stream, version)); !errors.Is(err, eventstore.ErrCorrupt) {
				t.Errorf("a damaged commit was answered: %+v, %v", a, err)
			}
		})
	}
}

func TestVerifyFindsNothingInASoundFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	s := open(t, path)
	for i := range int64(20) {
		if _, err := s.Append(t.Context(), one(fmt.Sprint("c", i), "m-1", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Resolve(t.Context(), "m-1", "never sent"); err != nil {
		t.Fatal(err)
	}
	if problems, err := sqlite.Verify(t.Context(), path); err != nil || len(problems) > 0 {
		t.Errorf("%q, %v", problems, err)
	}
	if _, err := sqlite.Verify(t.Context(), path+".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// TestAnotherConnectionIsNoticed: the writer remembers versions, but not longer than they hold.
func TestAnotherConnectionIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	first, second := open(t, path), open(t, path)
	for v := range int64(10) {
		writer := []*sqlite.Store{first, second}[v%2]
		a, err := writer.Append(t.Context(), one(fmt.Sprint("c", v), "m-1", v))
		if err != nil || a.Outcome != eventstore.Applied {
			t.Fatalf("version %d: %v, %v", v, a.Outcome, err)
		}
		other := []*sqlite.Store{second, first}[v%2]
		if a, err := other.Append(t.Context(), one(fmt.Sprint("d", v), "m-1", v)); err != nil || a.Outcome != eventstore.Conflict || a.Version != v+1 {
			t.Fatalf("version %d by the other: %+v, %v", v, a, err)
		}
	}
}

// TestBackupAndRestore copies a store while it is written to, and puts the copy in its place.
func TestBackupAndRestore(t *testing.T) {
	dir := t.TempDir()
	path, backup, restored := filepath.Join(dir, "events.db"), filepath.Join(dir, "backup.db"), filepath.Join(dir, "restored.db")
	s := open(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for v := int64(0); ctx.Err() == nil; v++ {
			if _, err := s.Append(context.WithoutCancel(ctx), one(fmt.Sprint("c", v), "m-1", v)); err != nil {
				t.Error(err)
				return
			}
			if v == 100 {
				close(begun)
			}
		}
	})
	<-begun
	if err := sqlite.Backup(t.Context(), path, backup); err != nil {
		t.Fatal(err)
	}
	cancel()
	wg.Wait()
	if err := sqlite.Backup(t.Context(), path, backup); !errors.Is(err, os.ErrExist) {
		t.Errorf("over another backup: %v", err)
	}
	feed, err := s.Feed(t.Context(), eventstore.SliceOf("m-1"), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Restore(t.Context(), backup, path); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a store: %v", err)
	}
	if err := sqlite.Restore(t.Context(), backup, restored); err != nil {
		t.Fatal(err)
	}
	r := open(t, restored)
	page, err := r.Load(t.Context(), eventstore.Query{Stream: "m-1"})
	if err != nil || page.Version < 101 {
		t.Errorf("version %d, %v", page.Version, err)
	}
	// Everybody who reads the feed begins again, also where the place in the feed is the same.
	if _, err := r.Feed(t.Context(), eventstore.SliceOf("m-1"), feed.Next, 10); !errors.Is(err, eventstore.ErrEpoch) {
		t.Errorf("a cursor from before: %v", err)
	}
	edit(t, backup, "UPDATE events SET type = 'x' WHERE version = 7")
	if err := sqlite.Restore(t.Context(), backup, restored+".2"); !errors.Is(err, eventstore.ErrCorrupt) {
		t.Errorf("a damaged backup: %v", err)
	}
	if _, err := os.Stat(restored + ".2"); err == nil {
		t.Error("half a restore was left")
	}
}

// TestAMissingFileIsNoNewStore where the caller knows that there was one.
func TestAMissingFileIsNoNewStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	if _, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, MustExist: true}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, MustExist: true}); !errors.Is(err, eventstore.ErrCorrupt) {
		t.Errorf("empty: %v", err)
	}
}

func TestASnapshotIsNeverAheadOfItsStream(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "events.db"))
	if _, err := s.Append(t.Context(), one("c", "m-1", 0)); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveSnapshot(t.Context(), eventstore.Snapshot{Stream: "m-1", Version: 2, Fold: 1}); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if err := s.SaveSnapshot(t.Context(), eventstore.Snapshot{Stream: "m-1", Version: 1, Fold: 1, Data: []byte("s")}); err != nil {
		t.Error(err)
	}
}
