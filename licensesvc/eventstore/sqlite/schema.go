package sqlite

import (
	"context"
	"fmt"
)

// steps make the schema, in order. A released step is never changed; a change is a further step.
// The file's user_version is the number of steps that were taken.
var steps = []string{
	// Positions are AUTOINCREMENT, so that none is ever assigned twice.
	`CREATE TABLE meta (
	id    INTEGER PRIMARY KEY CHECK (id = 1),
	epoch TEXT    NOT NULL,
	fence INTEGER NOT NULL
);
CREATE TABLE events (
	position    INTEGER PRIMARY KEY AUTOINCREMENT,
	stream      TEXT    NOT NULL,
	version     INTEGER NOT NULL,
	slice       INTEGER NOT NULL,
	id          TEXT    NOT NULL,
	type        TEXT    NOT NULL,
	schema      INTEGER NOT NULL,
	commit_id   TEXT    NOT NULL,
	occurred    INTEGER NOT NULL,
	recorded    INTEGER NOT NULL,
	cause       TEXT    NOT NULL,
	correlation TEXT    NOT NULL,
	trace       TEXT    NOT NULL,
	actor       TEXT    NOT NULL,
	data        BLOB    NOT NULL,
	UNIQUE (stream, version)
);
CREATE INDEX feed ON events (slice, position);
CREATE TABLE commits (
	stream    TEXT    NOT NULL,
	commit_id TEXT    NOT NULL,
	first     INTEGER NOT NULL,
	last      INTEGER NOT NULL,
	fenced    INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (stream, commit_id)
) WITHOUT ROWID;
CREATE TABLE snapshots (
	stream  TEXT    NOT NULL,
	fold    INTEGER NOT NULL,
	version INTEGER NOT NULL,
	data    BLOB    NOT NULL,
	PRIMARY KEY (stream, fold)
) WITHOUT ROWID;`,
	// The fingerprint distinguishes a repeated commit from a different one with the same id. The
	// checksum finds damaged events; it is null in events that were stored before it existed.
	`ALTER TABLE commits ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN checksum INTEGER;`,
}

// settings are read back when the file is opened, because the store could not keep its promises
// with a setting that did not take effect.
var settings = []struct{ pragma, want string }{
	{"journal_mode", "wal"},
	{"synchronous", "2"},
	{"foreign_keys", "1"},
}

// prepareFile checks the settings and the schema, and takes the steps that the file lacks. Each
// step is one transaction, so that after a crash the next start continues where this one ended.
// It returns the file's epoch; a new file gets the given one.
func prepareFile(ctx context.Context, c *connection, epoch string) (string, error) {
	for _, s := range settings {
		got, err := c.row(ctx, "PRAGMA "+s.pragma)
		if err != nil {
			return "", fmt.Errorf("read setting %s: %w", s.pragma, err)
		}
		if text := fmt.Sprint(got[0]); text != s.want {
			return "", fmt.Errorf("setting %s is %q, not %q: the file system may not support it", s.pragma, text, s.want)
		}
	}
	for {
		done, err := step(ctx, c)
		if err != nil {
			return "", err
		}
		if done {
			break
		}
	}
	if err := c.script(ctx, "INSERT OR IGNORE INTO meta (id, epoch, fence) VALUES (1, ?, 0)", epoch); err != nil {
		return "", err
	}
	row, err := c.row(ctx, "SELECT epoch FROM meta")
	if err != nil {
		return "", err
	}
	return fmt.Sprint(row[0]), nil
}

// step takes the next step. done is true if the file already has all steps.
func step(ctx context.Context, c *connection) (done bool, err error) {
	if err := c.script(ctx, "BEGIN IMMEDIATE"); err != nil {
		return false, fmt.Errorf("not an event store: %w", err)
	}
	defer func() {
		if done || err != nil {
			_ = c.script(ctx, "ROLLBACK") // SQLite may have ended the transaction itself.
		}
	}()
	row, err := c.row(ctx, "PRAGMA user_version")
	if err != nil {
		return false, fmt.Errorf("not an event store: %w", err)
	}
	found := row[0].(int64)
	if found > int64(len(steps)) {
		return false, fmt.Errorf("the file has schema %d, this program knows %d: run a newer one", found, len(steps))
	}
	if found == 0 {
		tables, err := c.row(ctx, "SELECT count(*) FROM sqlite_master")
		if err != nil {
			return false, err
		}
		if tables[0].(int64) > 0 {
			return false, fmt.Errorf("the file is another program's database: name a file that only the event store uses")
		}
	}
	if found == int64(len(steps)) {
		return true, nil
	}
	for _, do := range []string{steps[found], fmt.Sprintf("PRAGMA user_version = %d", found+1), "COMMIT"} {
		if err := c.script(ctx, do); err != nil {
			return false, fmt.Errorf("schema step %d: %w", found+1, err)
		}
	}
	return false, nil
}
