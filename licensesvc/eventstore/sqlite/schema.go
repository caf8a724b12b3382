package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// version is that of the schema below, kept in user_version.
const version = 1

// A position is AUTOINCREMENT, so that none is given twice.
const schema = `
CREATE TABLE IF NOT EXISTS meta (
	id    INTEGER PRIMARY KEY CHECK (id = 1),
	epoch TEXT    NOT NULL,
	fence INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS events (
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
CREATE INDEX IF NOT EXISTS feed ON events (slice, position);
CREATE TABLE IF NOT EXISTS commits (
	stream    TEXT    NOT NULL,
	commit_id TEXT    NOT NULL,
	first     INTEGER NOT NULL,
	last      INTEGER NOT NULL,
	fenced    INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (stream, commit_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS snapshots (
	stream  TEXT    NOT NULL,
	fold    INTEGER NOT NULL,
	version INTEGER NOT NULL,
	data    BLOB    NOT NULL,
	PRIMARY KEY (stream, fold)
) WITHOUT ROWID;
`

// settings are read back when the file is opened: a setting that did not take is
// a promise that would not be kept.
var settings = []struct{ pragma, want string }{
	{"journal_mode", "wal"},
	{"synchronous", "2"},
	{"foreign_keys", "1"},
}

// prepare makes or checks the schema, on the writer's connection.
func prepare(ctx context.Context, conn *sql.Conn, epoch string) error {
	for _, s := range settings {
		var got string
		if err := conn.QueryRowContext(ctx, "PRAGMA "+s.pragma).Scan(&got); err != nil {
			return fmt.Errorf("read setting %s: %w", s.pragma, err)
		}
		if got != s.want {
			return fmt.Errorf("setting %s is %q, not %q: the file system may not support it", s.pragma, got, s.want)
		}
	}
	var found int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&found); err != nil {
		return fmt.Errorf("not an event store: %w", err)
	}
	if found > version {
		return fmt.Errorf("the file has schema %d, this program knows %d: run a newer one", found, version)
	}
	if found == 0 {
		var tables int
		if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
			return err
		}
		if tables > 0 {
			return fmt.Errorf("the file is another program's database: give a file of its own")
		}
	}
	for _, do := range []string{"BEGIN IMMEDIATE", schema, fmt.Sprintf("PRAGMA user_version = %d", version)} {
		if _, err := conn.ExecContext(ctx, do); err != nil {
			return err
		}
	}
	if _, err := conn.ExecContext(ctx, "INSERT OR IGNORE INTO meta (id, epoch, fence) VALUES (1, ?, 0)", epoch); err != nil {
		return err
	}
	_, err := conn.ExecContext(ctx, "COMMIT")
	return err
}
