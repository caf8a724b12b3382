package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// maxProblems bounds how many problems Verify returns.
const maxProblems = 100

// Verify reads a whole store and returns a sentence for each problem, at most 100. It finds
// damaged pages and indexes, events that do not match their checksum, gaps in streams, commits
// without their events, and events without their commit. It can run while a service writes to the
// file. It reads the whole file, at about 100 MB per second.
func Verify(ctx context.Context, path string) (problems []string, err error) {
	db, err := openExisting(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return verify(ctx, db)
}

func verify(ctx context.Context, db *sql.DB) (problems []string, err error) {
	// All checks run in one transaction, so that they see an append completely or not at all.
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("sqlite: verify: %w", err)
	}
	defer func() { err = errors.Join(err, ended(tx.Rollback())) }()
	for _, q := range []struct{ says, query string }{
		{"%s", "PRAGMA integrity_check(100)"},
		{"stream %s has a gap", "SELECT stream FROM streams WHERE key < '' GROUP BY stream HAVING min(key) <> 1 OR max(key) <> count(*)"},
		{"stream %s has lost an event", `SELECT stream FROM streams s WHERE key < ''
			AND NOT EXISTS (SELECT 1 FROM events e WHERE e.position = s.at AND e.stream = s.stream AND e.version = s.key)`},
		{"stream %s does not know one of its events", `SELECT stream FROM events e
			WHERE NOT EXISTS (SELECT 1 FROM streams s WHERE s.stream = e.stream AND s.key = e.version AND s.at = e.position)`},
		{"stream %s has a commit whose events are not all there", `SELECT stream FROM streams c WHERE key >= '' AND at > 0 AND last - at + 1 <>
			(SELECT count(*) FROM streams s JOIN events e ON e.position = s.at WHERE s.stream = c.stream AND s.key BETWEEN c.at AND c.last AND e.commit_id = c.key)`},
		{"stream %s has an event without its commit", `SELECT stream FROM events e
			WHERE NOT EXISTS (SELECT 1 FROM streams c WHERE c.stream = e.stream AND c.key = e.commit_id AND c.at > 0)`},
		{"the tag index has an entry for %s, which no event has", `SELECT t.tag || ' at position ' || t.position FROM tags t
			WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.position = t.position AND instr(char(10) || e.tags || char(10), char(10) || t.tag || char(10)) > 0)`},
		{"stream %s has an event whose tags are not all in the index", `SELECT e.stream FROM events e LEFT JOIN (SELECT position AS at, count(*) AS n FROM tags GROUP BY position) i ON i.at = e.position
			WHERE e.tags <> '' AND length(e.tags) - length(replace(e.tags, char(10), '')) + 1 <> coalesce(i.n, 0)`},
	} {
		found, err := texts(ctx, tx, q.query, maxProblems-len(problems))
		if err != nil {
			return problems, fmt.Errorf("sqlite: verify: %w", err)
		}
		for _, text := range found {
			if text == "ok" { // integrity_check says ok if it found nothing
				continue
			}
			problems = append(problems, fmt.Sprintf(q.says, text))
		}
	}
	damaged, err := verifyEvents(ctx, tx, maxProblems-len(problems))
	return append(problems, damaged...), err
}

func texts(ctx context.Context, tx *sql.Tx, query string, limit int) (all []string, err error) {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for len(all) < limit && rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

// verifyEvents compares each event with its checksum.
func verifyEvents(ctx context.Context, tx *sql.Tx, limit int) (problems []string, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT "+columns+" FROM events e ORDER BY position")
	if err != nil {
		return nil, fmt.Errorf("sqlite: verify: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for len(problems) < limit && rows.Next() {
		if _, err := scan(rows); err != nil {
			problems = append(problems, err.Error())
		}
	}
	return problems, rows.Err()
}

// Backup writes a copy of a store to a file that must not exist yet. The copy is one complete
// file and shows the store at one moment. A service may write to the store meanwhile.
func Backup(ctx context.Context, path, to string) error { return copyTo(ctx, path, to, false) }

// Restore makes a store from a backup, in a file that must not exist yet. A damaged backup is
// refused with ErrCorrupt. The store begins a new epoch. A reader that continues with an older
// cursor therefore gets ErrEpoch, and never silently misses events that the backup lacks.
func Restore(ctx context.Context, backup, path string) error { return copyTo(ctx, backup, path, true) }

// copyTo copies a store through a temporary file in the target's folder.
func copyTo(ctx context.Context, from, to string, newEpoch bool) (err error) {
	if _, err := os.Lstat(to); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("sqlite: %s: %w: name a file that does not exist", to, errors.Join(os.ErrExist, err))
	}
	db, err := openExisting(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	part := to + ".part-" + rand.Text()[:8]
	defer func() {
		if rerr := os.Remove(part); err != nil && !errors.Is(rerr, os.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}()
	// VACUUM INTO counts as a change, although it changes nothing in the file.
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, "PRAGMA query_only = 0"); err != nil {
		return fmt.Errorf("sqlite: copy %s: %w", from, err)
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
		return fmt.Errorf("sqlite: copy %s: %w", from, err)
	}
	if err := settle(ctx, part, newEpoch); err != nil {
		return fmt.Errorf("sqlite: copy %s: %w", from, err)
	}
	// Link is used rather than Rename because another process may have made the target by now.
	if err := os.Link(part, to); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return nil
}

// settle checks a copy, gives it a new epoch if newEpoch is set, and makes it durable.
func settle(ctx context.Context, part string, newEpoch bool) (err error) {
	db, err := sql.Open("sqlite", dsn(part, "", "", "DELETE"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	problems, err := verify(ctx, db)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return fmt.Errorf("%w: %s (and %d more)", eventstore.ErrCorrupt, problems[0], len(problems)-1)
	}
	if newEpoch {
		if _, err := db.ExecContext(ctx, "UPDATE meta SET epoch = ?", rand.Text()); err != nil {
			return err
		}
	}
	// VACUUM INTO does not sync what it wrote; any write with synchronous=FULL does.
	_, err = db.ExecContext(ctx, "UPDATE meta SET fence = fence + 1")
	return err
}

// openExisting opens an existing file for reading.
func openExisting(path string) (*sql.DB, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("sqlite: %w", err)
	case info.IsDir() || info.Size() == 0:
		return nil, fmt.Errorf("sqlite: %s: %w: it is empty", path, eventstore.ErrCorrupt)
	}
	return openReader(path)
}

// openReader opens a file for reading only. The connection could write, so that it removes the
// log when it is the last to close the file; one that can't would leave an empty log.
func openReader(path string) (*sql.DB, error) {
	return sql.Open("sqlite", dsn(path, "mode=rw&_pragma=query_only(1)", "", ""))
}

// ended ignores the error of a transaction that had already ended.
func ended(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
