package readmodel

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	sqlitelib "modernc.org/sqlite"
	code "modernc.org/sqlite/lib"

	"github.com/backstay-go/backstay/licensesvc/license"
)

// Projection makes a view from events.
type Projection struct {
	// Name is the name of the read model, such as "licenses". Letters, digits and "-".
	Name string
	// Version must be raised when Schema or Handle change, so that the view is rebuilt. At least 1.
	Version int
	// Schema are the statements that make the view's tables in an empty file. Names that begin with
	// "rm_" are taken.
	Schema []string
	// Handle writes the effect of one event. It is called for each event of a stream once, in
	// order, within the transaction that also stores the place in the feed. Its result may depend
	// on the event and the view only: no clock, nothing that lasts outside the view. It must end
	// when ctx does. If it returns an error or panics, nothing of the event is written and its
	// stream waits. Handle is called by one goroutine at a time.
	Handle func(ctx context.Context, v *View, e Event) error
}

// Event is one decoded event.
type Event struct {
	Stream  string
	Version int64
	// Index is its place among the events that a stored event of an older version was split into.
	Index    int
	Recorded time.Time
	license.Event
}

func (p Projection) check() error {
	name := p.Name != ""
	for _, r := range p.Name {
		name = name && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
	}
	switch {
	case !name:
		return fmt.Errorf("readmodel: the name %q of a projection: give lower-case letters, digits and -", p.Name)
	case p.Version < 1:
		return fmt.Errorf("readmodel: %s: Version is %d: give at least 1", p.Name, p.Version)
	case p.Handle == nil || len(p.Schema) == 0:
		return fmt.Errorf("readmodel: %s: Schema and Handle are required", p.Name)
	}
	return nil
}

// View is what a projection may do to its tables. It is valid only during the call of Handle.
type View struct {
	ctx   context.Context
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	// broken is the first error that is about the file and not about what was written.
	broken error
}

// Exec runs a statement and returns how many rows it changed. The number of different texts must be
// bounded, for each is prepared once.
func (v *View) Exec(text string, args ...any) (int64, error) {
	s, err := v.prepare(text)
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(v.ctx, args...)
	if err != nil {
		return 0, v.failed(err)
	}
	return result.RowsAffected()
}

// Row runs a query for one row and reads it, or returns false if there is none.
func (v *View) Row(text string, args []any, to ...any) (bool, error) {
	s, err := v.prepare(text)
	if err != nil {
		return false, err
	}
	switch err := s.QueryRowContext(v.ctx, args...).Scan(to...); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, v.failed(err)
	}
	return true, nil
}

func (v *View) prepare(text string) (*sql.Stmt, error) {
	if s, ok := v.stmts[text]; ok {
		return s, nil
	}
	s, err := v.conn.PrepareContext(v.ctx, text)
	if err != nil {
		return nil, v.failed(fmt.Errorf("prepare %q: %w", text, err))
	}
	v.stmts[text] = s
	return s, nil
}

func (v *View) failed(err error) error {
	if v.broken == nil && environmental(err) {
		v.broken = err
	}
	return err
}

func (v *View) close() error {
	var errs []error
	for _, s := range v.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// environmental reports whether an error is about the file or the machine, so that no event is to
// blame for it.
func environmental(err error) bool {
	switch codeOf(err) {
	case code.SQLITE_BUSY, code.SQLITE_LOCKED, code.SQLITE_NOMEM, code.SQLITE_READONLY, code.SQLITE_INTERRUPT, code.SQLITE_IOERR, code.SQLITE_CORRUPT,
		code.SQLITE_FULL, code.SQLITE_CANTOPEN, code.SQLITE_PROTOCOL, code.SQLITE_NOTADB, code.SQLITE_PERM:
		return true
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, sql.ErrConnDone)
}

// damaged reports whether an error says that the file is no database, or a damaged one.
func damaged(err error) bool {
	c := codeOf(err)
	return c == code.SQLITE_CORRUPT || c == code.SQLITE_NOTADB
}

// codeOf returns SQLite's primary result code, or 0.
func codeOf(err error) int {
	var e *sqlitelib.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}
