package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	// The driver, under the name "sqlite".
	_ "modernc.org/sqlite"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/resilience"
)

// Config says where the store lies.
type Config struct {
	// Path is the file. Required; its folder must exist.
	Path string
	// MaxBatch is the most appends that share one durable commit. Default: 512.
	MaxBatch int
	// Queue is the most appends that wait for the writer; one more is Rejected with
	// ErrUnavailable. Default: 4096.
	Queue int
	// Readers is the most concurrent reads. Default: 4.
	Readers int
	// MustExist refuses to make a new file, for callers who know that there was one: an empty store
	// in its place would answer that nobody has a license.
	MustExist bool
	// Policy is that of the store's guard. Nil: the function Policy's.
	Policy *resilience.Policy
	// Listeners hear what the guard does.
	Listeners []resilience.Listener
	// Between returns what stands between the guard and the file, so that tests can
	// inject faults where a disk would fail. Nil: nothing does.
	Between func(eventstore.Store) eventstore.Store
	_       struct{}
}

func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Path == "" {
		errs = append(errs, errors.New("sqlite: Path is empty: give a file"))
	}
	for _, n := range []struct {
		name  string
		value *int
		or    int
	}{{"MaxBatch", &c.MaxBatch, 512}, {"Queue", &c.Queue, 4096}, {"Readers", &c.Readers, 4}} {
		if *n.value < 0 {
			errs = append(errs, fmt.Errorf("sqlite: %s is %d: give at least 1, or 0 for %d", n.name, *n.value, n.or))
		}
		if *n.value == 0 {
			*n.value = n.or
		}
	}
	return c, errors.Join(errs...)
}

// file is an event store in one SQLite file, without a guard.
type file struct {
	path    string
	epoch   string
	read    *sql.DB
	writer  *writer
	closing sync.Once
	closed  error
}

var _ eventstore.Store = (*file)(nil)

// openFile opens the file, making it if need be.
func openFile(ctx context.Context, cfg Config) (*file, error) {
	if info, err := os.Stat(filepath.Dir(cfg.Path)); err != nil {
		return nil, fmt.Errorf("sqlite: the store's folder: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("sqlite: %s is no folder", filepath.Dir(cfg.Path))
	}
	s := &file{path: cfg.Path}
	if err := s.open(ctx, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: %s: %w", cfg.Path, err), s.closeFiles())
	}
	return s, nil
}

func (s *file) open(ctx context.Context, cfg Config) error {
	if err := expect(cfg); err != nil {
		return err
	}
	conn, err := connect(ctx, dsn(cfg.Path, fmt.Sprintf("_pragma=wal_autocheckpoint(%d)&_pragma=journal_size_limit(%d)", checkpointPages, maxIdleLog), "WAL"))
	if err != nil {
		return err
	}
	if s.epoch, err = prepareFile(ctx, conn, rand.Text()); err != nil {
		return errors.Join(err, conn.close())
	}
	if s.read, err = sql.Open("sqlite", dsn(cfg.Path, "_pragma=query_only(1)", "WAL")); err != nil {
		return errors.Join(err, conn.close())
	}
	s.read.SetMaxOpenConns(cfg.Readers)
	s.read.SetMaxIdleConns(cfg.Readers)
	// The writer outlives the opening, and every caller.
	if s.writer, err = startWriter(context.WithoutCancel(ctx), conn, cfg); err != nil {
		return errors.Join(err, conn.close())
	}
	return nil
}

// The writer moves the log into the file as soon as it has this many pages of 4 KiB, as part of a
// commit. It does not wait for readers: what a reader still needs is moved the next time. On
// another connection a checkpoint never reaches the end of the log while the writer appends, so
// that the log grows for as long as the load lasts.
const checkpointPages = 2000

// maxIdleLog is the size in bytes that a log which grew while a reader held it back is cut to.
const maxIdleLog = 16 << 20

// expect refuses a file that is missing, or empty, where there must be one, and makes a new one
// that nobody else can read.
func expect(cfg Config) error {
	info, err := os.Stat(cfg.Path)
	switch {
	case cfg.MustExist && err != nil:
		return fmt.Errorf("%w: restore the store from a backup", err)
	case cfg.MustExist && info.Size() == 0:
		return fmt.Errorf("%w: it is empty: restore the store from a backup", eventstore.ErrCorrupt)
	case errors.Is(err, os.ErrNotExist):
		f, err := os.OpenFile(cfg.Path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		return f.Close() // Before SQLite opens it: closing any descriptor drops the process's locks.
	}
	return nil
}

// dsn is the driver's name for the file, in a journal mode if one is named. The driver sets
// busy_timeout before everything else.
func dsn(path, more, journal string) string {
	name := (&url.URL{Scheme: "file", Opaque: url.PathEscape(path)}).String() + "?_pragma=busy_timeout(10000)"
	if journal != "" {
		name += "&_pragma=journal_mode(" + journal + ")"
	}
	return name + "&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&" + more
}

// Close ends the writer after what it has begun, moves the log into the file, which is then
// complete by itself, and closes it.
func (s *file) Close() error {
	s.closing.Do(func() {
		// Readers first: the last checkpoint takes the whole log only if nobody reads.
		s.writer.refuse()
		s.closed = errors.Join(s.closeFiles(), s.writer.stop())
	})
	return s.closed
}

func (s *file) closeFiles() error {
	if s.read == nil {
		return nil
	}
	return s.read.Close()
}

// Stats counts events and measures the files.
func (s *file) Stats(ctx context.Context) (eventstore.Stats, error) {
	if s.writer.isStopped() {
		return eventstore.Stats{}, eventstore.ErrClosed
	}
	var st eventstore.Stats
	var pages, size int64
	// Positions are never reused and events never deleted, so the last is the count
	// of all that were ever given.
	if err := s.read.QueryRowContext(ctx, "SELECT coalesce(max(position), 0) FROM events").Scan(&st.Events); err != nil {
		return st, s.readError("count events", err)
	}
	if err := s.read.QueryRowContext(ctx, "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size").Scan(&pages, &size); err != nil {
		return st, s.readError("measure the file", err)
	}
	if info, err := os.Stat(s.path + "-wal"); err == nil {
		st.LogBytes = info.Size()
	}
	st.Bytes = pages*size + st.LogBytes
	return st, nil
}

func (s *file) readError(what string, err error) error {
	if s.writer.isStopped() {
		return eventstore.ErrClosed
	}
	return fmt.Errorf("sqlite: %s: %s: %w", s.path, what, err)
}
