package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore/schema"
)

// Schema returns the steps that make the file's tables. A released step is never changed; a
// change is a further step.
//
// In streams, a row whose key is a number is an event of that version, and at is its position. A
// row whose key is a text is a commit of that id; at and last are its first and last version, and
// at is 0 if the commit was fenced. Both kinds of a stream's rows lie next to each other, so an
// append to a large file changes one page that is far from all others, not one per index.
//
// Positions are AUTOINCREMENT, so that none is ever assigned twice.
//
// An event's tags are in its row, separated by line feeds and covered by its checksum. The table
// tags finds the events of a tag. A program that does not know it would append events that
// conditions don't see, so that step breaks older programs.
func Schema() schema.Schema {
	return schema.Schema{
		Steps: []schema.Step{{Name: "events, streams and snapshots", Breaks: true, Statements: []schema.Statement{
			{Text: `CREATE TABLE IF NOT EXISTS meta (id INTEGER PRIMARY KEY CHECK (id = 1), epoch TEXT NOT NULL, fence INTEGER NOT NULL)`},
			{Text: `CREATE TABLE IF NOT EXISTS events (
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
	checksum    INTEGER NOT NULL
)`},
			{Text: `CREATE INDEX IF NOT EXISTS feed ON events (slice, position)`},
			{Text: `CREATE TABLE IF NOT EXISTS streams (
	stream      TEXT    NOT NULL,
	key         BLOB    NOT NULL,
	at          INTEGER NOT NULL,
	last        INTEGER NOT NULL,
	fingerprint TEXT    NOT NULL,
	PRIMARY KEY (stream, key)
) WITHOUT ROWID`},
			{Text: `CREATE TABLE IF NOT EXISTS snapshots (
	stream  TEXT    NOT NULL,
	fold    INTEGER NOT NULL,
	version INTEGER NOT NULL,
	data    BLOB    NOT NULL,
	PRIMARY KEY (stream, fold)
) WITHOUT ROWID`},
		}}, {Name: "tags of events", Breaks: true, Statements: []schema.Statement{
			{Text: `ALTER TABLE events ADD COLUMN tags TEXT NOT NULL DEFAULT ''`, Table: "events", Column: "tags"},
			{Text: `CREATE TABLE IF NOT EXISTS tags (tag TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (tag, position)) WITHOUT ROWID`},
		}}},
		Tables: map[string]map[string]string{
			"meta": {"id": "INTEGER", "epoch": "TEXT", "fence": "INTEGER"},
			"events": {"position": "INTEGER", "stream": "TEXT", "version": "INTEGER", "slice": "INTEGER", "id": "TEXT", "type": "TEXT", "schema": "INTEGER",
				"commit_id": "TEXT", "occurred": "INTEGER", "recorded": "INTEGER", "cause": "TEXT", "correlation": "TEXT", "trace": "TEXT", "actor": "TEXT",
				"data": "BLOB", "checksum": "INTEGER", "tags": "TEXT"},
			"tags":      {"tag": "TEXT", "position": "INTEGER"},
			"streams":   {"stream": "TEXT", "key": "BLOB", "at": "INTEGER", "last": "INTEGER", "fingerprint": "TEXT"},
			"snapshots": {"stream": "TEXT", "fold": "INTEGER", "version": "INTEGER", "data": "BLOB"},
		},
	}
}

// SchemaFile is the schema of a store's file, for schema.Schema. It is not safe for concurrent
// use. The caller that made it must close it.
type SchemaFile struct {
	path string
	db   *sql.DB // opened when it is needed
}

var _ schema.Database = (*SchemaFile)(nil)

// OpenSchema returns the schema of an existing file.
func OpenSchema(path string) (*SchemaFile, error) {
	f := &SchemaFile{path: path}
	var err error
	f.db, err = openExisting(path)
	return f, err
}

// Close closes the file.
func (f *SchemaFile) Close() error {
	if f.db == nil {
		return nil
	}
	err := f.db.Close()
	f.db = nil
	return err
}

// reading returns the handle of the lock while that is held, and otherwise one that can't write.
func (f *SchemaFile) reading() (*sql.DB, error) {
	var err error
	if f.db == nil {
		f.db, err = openReader(f.path)
	}
	return f.db, err
}

// Progress implements schema.Database. A file with tables and without a record of steps is
// another program's.
func (f *SchemaFile) Progress(ctx context.Context) ([]schema.Progress, error) {
	db, err := f.reading()
	if err != nil {
		return nil, err
	}
	return progress(ctx, db)
}

func progress(ctx context.Context, db *sql.DB) (all []schema.Progress, err error) {
	var tables, record int
	if err := db.QueryRowContext(ctx, "SELECT count(*), count(*) FILTER (WHERE name = 'schema_steps') FROM sqlite_master").Scan(&tables, &record); err != nil {
		return nil, fmt.Errorf("not an event store: %w", err)
	}
	switch {
	case tables == 0:
		return nil, nil
	case record == 0:
		return nil, errors.New("the file is another program's database: name a file that only the event store uses")
	}
	rows, err := db.QueryContext(ctx, "SELECT number, name, done, complete, breaks FROM schema_steps ORDER BY number")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var p schema.Progress
		if err := rows.Scan(&p.Number, &p.Name, &p.Done, &p.Complete, &p.Breaks); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

// Columns implements schema.Database.
func (f *SchemaFile) Columns(ctx context.Context) (map[string]map[string]string, error) {
	db, err := f.reading()
	if err != nil {
		return nil, err
	}
	return columnsOf(ctx, db)
}

func columnsOf(ctx context.Context, db *sql.DB) (all map[string]map[string]string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT m.name, c.name, c.type FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	all = map[string]map[string]string{}
	for rows.Next() {
		var table, column, kind string
		if err := rows.Scan(&table, &column, &kind); err != nil {
			return nil, err
		}
		if all[table] == nil {
			all[table] = map[string]string{}
		}
		all[table][column] = strings.ToUpper(kind)
	}
	return all, rows.Err()
}

// Lock implements schema.Database. It takes the file for itself: no other process, and no other
// connection of this one, can have the file open meanwhile, so that no program works on tables
// that change under it. It waits for 2 seconds.
func (f *SchemaFile) Lock(ctx context.Context) (schema.Lock, error) {
	if err := f.Close(); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(f.path, "", "EXCLUSIVE", "WAL"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	for _, do := range []string{
		"BEGIN EXCLUSIVE",
		"CREATE TABLE IF NOT EXISTS schema_steps (number INTEGER PRIMARY KEY, name TEXT NOT NULL, done INTEGER NOT NULL, complete INTEGER NOT NULL, breaks INTEGER NOT NULL, at INTEGER NOT NULL)",
		"COMMIT",
	} {
		if _, err := db.ExecContext(ctx, do); err != nil {
			return nil, errors.Join(fmt.Errorf("take %s for this program alone: %w; stop what uses it", f.path, err), db.Close())
		}
	}
	f.db = db
	return fileLock{f}, nil
}

// fileLock is the right to change a file's schema.
type fileLock struct{ file *SchemaFile }

// Run implements schema.Lock. A statement is durable before it is recorded.
func (l fileLock) Run(ctx context.Context, statement string) error {
	_, err := l.file.db.ExecContext(ctx, statement)
	return err
}

// Record implements schema.Lock.
func (l fileLock) Record(ctx context.Context, p schema.Progress) error {
	_, err := l.file.db.ExecContext(ctx, "INSERT OR REPLACE INTO schema_steps (number, name, done, complete, breaks, at) VALUES (?, ?, ?, ?, ?, ?)",
		p.Number, p.Name, p.Done, p.Complete, p.Breaks, time.Now().UnixNano())
	return err
}

// Release implements schema.Lock.
func (l fileLock) Release(context.Context) error { return l.file.Close() }

// settings are read back when the file is opened, because the store could not keep its promises
// with a setting that did not take effect.
var settings = []struct{ pragma, want string }{
	{"journal_mode", "wal"},
	{"synchronous", "2"},
	{"foreign_keys", "1"},
}

// prepareFile checks the settings and returns the file's epoch; a new file gets one.
func prepareFile(ctx context.Context, c *connection) (string, error) {
	for _, s := range settings {
		got, err := c.row(ctx, "PRAGMA "+s.pragma)
		if err != nil {
			return "", fmt.Errorf("read setting %s: %w", s.pragma, err)
		}
		if text := fmt.Sprint(got[0]); text != s.want {
			return "", fmt.Errorf("setting %s is %q, not %q: the file system may not support it", s.pragma, text, s.want)
		}
	}
	if err := c.script(ctx, "INSERT OR IGNORE INTO meta (id, epoch, fence) VALUES (1, ?, 0)", rand.Text()); err != nil {
		return "", err
	}
	row, err := c.row(ctx, "SELECT epoch FROM meta")
	if err != nil {
		return "", err
	}
	return fmt.Sprint(row[0]), nil
}
