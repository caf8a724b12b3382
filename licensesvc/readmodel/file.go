package readmodel

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	code "modernc.org/sqlite/lib"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// fileFormat is the version of the tables whose names begin with rm_.
const fileFormat = 1

// fileTables are the tables that every file has. rm_head has one row: whose file it is, and the
// generation of the process that may write. rm_streams has the version up to which each stream was
// applied; rm_parked has the streams that wait, with the version of the event at which they wait; rm_skipped has the events that an
// operator skipped.
var fileTables = []string{
	`CREATE TABLE rm_head (id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL, version INTEGER NOT NULL, generation INTEGER NOT NULL, checkpoints INTEGER NOT NULL)`,
	`CREATE TABLE rm_cursors (slice INTEGER PRIMARY KEY, cursor TEXT NOT NULL, events INTEGER NOT NULL)`,
	`CREATE TABLE rm_streams (stream TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID`,
	`CREATE TABLE rm_parked (stream TEXT PRIMARY KEY, version INTEGER NOT NULL, cause TEXT NOT NULL, reason TEXT NOT NULL, since INTEGER NOT NULL,
		tries INTEGER NOT NULL, head INTEGER NOT NULL, want TEXT NOT NULL) WITHOUT ROWID`,
	`CREATE TABLE rm_skipped (stream TEXT NOT NULL, version INTEGER NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (stream, version)) WITHOUT ROWID`,
}

var (
	// ErrFenced: another process has taken over the files.
	ErrFenced = errors.New("readmodel: another process works on the files of the read models: stop one of the two, or give each a data folder")
	// ErrDamaged: a file is no view, or a damaged one.
	ErrDamaged = errors.New("readmodel: damaged")
	// ErrNewer: a newer version of the program wrote the file.
	ErrNewer = errors.New("readmodel: written by a newer version of this program")
)

// file is the SQLite file of one build: the view's tables and the place in the feed. It is used by
// one goroutine, except for read, which is safe for concurrent use.
type file struct {
	path       string
	write      *sql.DB
	conn       *sql.Conn
	view       *View
	read       *sql.DB
	generation int64
	cursors    [eventstore.Slices]eventstore.Cursor
	events     int64
	parked     map[string]Parked
}

// Parked is a stream that waits because one of its events could not be applied.
type Parked struct {
	Stream string `json:"stream"`
	// Version is the version of the event.
	Version int64 `json:"version"`
	// Cause is handler, panic, decode, newer or gap. Reason is the error.
	Cause  string    `json:"cause"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Tries  int       `json:"tries"`
	// Waiting is the number of events that wait, the one that could not be applied among them.
	Waiting int64 `json:"waiting"`
	// want is what an operator asked for: retry, skip, or nothing.
	want string
	// did is the wish of an operator that was seen and tried. Another one that came meanwhile stays.
	did string
}

func dsn(path, more string) string {
	return (&url.URL{Scheme: "file", Opaque: url.PathEscape(path)}).String() + "?_pragma=busy_timeout(10000)&" + more
}

// openFile opens a build's file, and makes it if create is set. It takes over from processes of an
// older generation, and returns ErrFenced if one of a newer generation has opened the file.
func openFile(ctx context.Context, path string, p Projection, generation int64, create bool) (_ *file, err error) {
	if info, serr := os.Stat(path); !create && serr != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, serr)
	} else if !create && info.Size() == 0 {
		return nil, fmt.Errorf("%w: %s is empty", ErrDamaged, path)
	}
	f := &file{path: path, generation: generation, parked: map[string]Parked{}}
	defer func() {
		if err != nil {
			// A table or a column that is missing is damage too.
			if damaged(err) || !create && codeOf(err) == code.SQLITE_ERROR {
				err = fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			err = errors.Join(fmt.Errorf("readmodel: %s: %w", path, err), f.close())
		}
	}()
	if create {
		// The file's mode must be set before SQLite opens it.
		made, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		if err := made.Close(); err != nil {
			return nil, err
		}
	}
	// A view may lose its newest transactions in a power failure, together with its place in the
	// feed, so synchronous=NORMAL is enough.
	if f.write, err = sql.Open("sqlite", dsn(path, "_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=journal_size_limit(16777216)&_pragma=cache_size(-2048)")); err != nil {
		return nil, err
	}
	if f.conn, err = f.write.Conn(ctx); err != nil {
		return nil, err
	}
	if f.read, err = sql.Open("sqlite", dsn(path, "_pragma=query_only(1)&_pragma=cache_size(-256)")); err != nil {
		return nil, err
	}
	f.read.SetMaxOpenConns(4)
	f.view = &View{ctx: context.WithoutCancel(ctx), conn: f.conn, stmts: map[string]*sql.Stmt{}}
	if err := f.prepare(ctx, p); err != nil {
		return nil, err
	}
	return f, f.load(ctx)
}

// prepare makes the tables if the file is new, checks whose file it is, and becomes the process
// that may write.
func (f *file) prepare(ctx context.Context, p Projection) error {
	return f.transaction(func() error {
		var format, tables int
		if err := f.conn.QueryRowContext(ctx, "SELECT user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version").Scan(&format, &tables); err != nil {
			return err
		}
		if format > fileFormat {
			return fmt.Errorf("%w: its format is %d, and this program knows %d", ErrNewer, format, fileFormat)
		}
		if format == 0 && tables == 0 {
			statements := append(append([]string{}, fileTables...), p.Schema...)
			statements = append(statements, fmt.Sprintf("PRAGMA user_version = %d", fileFormat))
			for _, s := range statements {
				if _, err := f.conn.ExecContext(ctx, s); err != nil {
					return fmt.Errorf("%s: %w", s, err)
				}
			}
			if _, err := f.conn.ExecContext(ctx, "INSERT INTO rm_head VALUES (1, ?, ?, 0, 0)", p.Name, p.Version); err != nil {
				return err
			}
		}
		var name string
		var version int
		var generation int64
		err := f.conn.QueryRowContext(ctx, "UPDATE rm_head SET generation = max(generation, ?) WHERE id = 1 RETURNING name, version, generation", f.generation).Scan(&name, &version, &generation)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("%w: it has no head", ErrDamaged)
		case err != nil:
			return err
		case generation != f.generation:
			return ErrFenced
		case name != p.Name || version != p.Version:
			return fmt.Errorf("%w: it is the view of %s version %d, not of %s version %d", ErrDamaged, name, version, p.Name, p.Version)
		}
		return nil
	})
}

// load reads where the build is.
func (f *file) load(ctx context.Context) error {
	rows, err := f.conn.QueryContext(ctx, "SELECT slice, cursor, events FROM rm_cursors")
	if err != nil {
		return err
	}
	f.events = 0
	err = each(rows, func() error {
		var slice int
		var cursor string
		var events int64
		if err := rows.Scan(&slice, &cursor, &events); err != nil {
			return err
		}
		if slice < 0 || slice >= eventstore.Slices {
			return fmt.Errorf("%w: it has a cursor of slice %d", ErrDamaged, slice)
		}
		f.cursors[slice], f.events = eventstore.Cursor(cursor), f.events+events
		return nil
	})
	if err != nil {
		return err
	}
	return f.loadParked(ctx)
}

// loadParked reads the parked streams, and what an operator asked for.
func (f *file) loadParked(ctx context.Context) error {
	found, err := parkedIn(ctx, f.conn)
	if err != nil {
		return err
	}
	clear(f.parked)
	for _, p := range found {
		f.parked[p.Stream] = p
	}
	return nil
}

// queryer runs queries.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func parkedIn(ctx context.Context, db queryer) (all []Parked, err error) {
	rows, err := db.QueryContext(ctx, "SELECT stream, version, cause, reason, since, tries, head, want FROM rm_parked ORDER BY since, stream")
	if err != nil {
		return nil, err
	}
	err = each(rows, func() error {
		var p Parked
		var since, head int64
		if err := rows.Scan(&p.Stream, &p.Version, &p.Cause, &p.Reason, &since, &p.Tries, &head, &p.want); err != nil {
			return err
		}
		p.Since, p.Waiting = eventstore.Instant(since), max(1, head-p.Version+1)
		all = append(all, p)
		return nil
	})
	return all, err
}

// each calls next for each row, and closes the rows.
func each(rows *sql.Rows, next func() error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := next(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// transaction runs do in a transaction. It is rolled back if do returns an error. No caller's
// context reaches it, because a statement that is interrupted has an unknown effect.
func (f *file) transaction(do func() error) (err error) {
	return transaction(f.view.ctx, f.conn, do)
}

func transaction(ctx context.Context, conn *sql.Conn, do func() error) (err error) {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			// It fails if SQLite has rolled back by itself.
			_, _ = conn.ExecContext(ctx, "ROLLBACK")
		}
	}()
	if err := do(); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// close closes what was opened. The transactions that were committed stay.
func (f *file) close() error {
	var errs []error
	if f.view != nil {
		errs = append(errs, f.view.close())
	}
	if f.conn != nil {
		errs = append(errs, f.conn.Close())
	}
	for _, db := range []*sql.DB{f.read, f.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// remove deletes a closed file and what SQLite keeps next to it.
func remove(path string) error {
	var errs []error
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
