package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	// This import registers the driver under the name "sqlite".
	_ "modernc.org/sqlite"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/resilience"
)

// Config says where the store's file is, and how the store uses it.
type Config struct {
	// Path is the path of the file. Required; its folder must exist.
	Path string
	// MaxBatch is the highest number of appends that share one durable commit. Default: 512.
	MaxBatch int
	// Queue is the highest number of appends that wait for the writer. A further append is
	// Rejected with ErrUnavailable. Default: 4096.
	Queue int
	// Readers is the highest number of concurrent reads. Default: 4.
	Readers int
	// CacheBytes is the memory for pages of the file that the writer keeps. If the upper pages of
	// the indexes fit, an append to a large file costs little more than one to a small file; those
	// of ten million events take about 14 MB. Each reader keeps an eighth of that. Default: 8 MiB.
	CacheBytes int
	// KeepSchema refuses a file that lacks schema steps, instead of taking them at the start. A
	// new file always gets its tables.
	KeepSchema bool
	// MustExist refuses to make a new file. Set it where the file is known to have existed: an
	// empty store in its place would answer that nobody has a license.
	MustExist bool
	// Policy is the policy of the store's guard. Nil: the policy that the function Policy
	// returns.
	Policy *resilience.Policy
	// Listeners receive the guard's events.
	Listeners []resilience.Listener
	// Between wraps the loads and appends of the file and returns what the guard calls, so that
	// tests can inject faults where a disk would fail. Nil: the guard calls the file directly.
	Between func(eventstore.LoadAppender) eventstore.LoadAppender
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
	}{{"MaxBatch", &c.MaxBatch, 512}, {"Queue", &c.Queue, 4096}, {"Readers", &c.Readers, 4}, {"CacheBytes", &c.CacheBytes, 8 << 20}} {
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
	queries *prepared // on read
	writer  *writer
	closing sync.Once
	closed  error
}

var _ eventstore.Store = (*file)(nil)

// openFile opens the file and makes it if necessary.
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
	if err := ensureSchema(ctx, cfg); err != nil {
		return err
	}
	conn, err := connect(ctx, dsn(cfg.Path, fmt.Sprintf("_pragma=wal_autocheckpoint(%d)&_pragma=journal_size_limit(%d)&_pragma=cache_size(%d)", checkpointPages, maxIdleLog, -cfg.CacheBytes/1024), "", "WAL"))
	if err != nil {
		return err
	}
	if s.epoch, err = prepareFile(ctx, conn); err != nil {
		return errors.Join(err, conn.close())
	}
	if s.read, err = sql.Open("sqlite", dsn(cfg.Path, fmt.Sprintf("_pragma=query_only(1)&_pragma=cache_size(%d)", -max(cfg.CacheBytes/8/1024, 64)), "", "WAL")); err != nil {
		return errors.Join(err, conn.close())
	}
	s.queries = &prepared{db: s.read}
	s.read.SetMaxOpenConns(cfg.Readers)
	s.read.SetMaxIdleConns(cfg.Readers)
	// The writer must outlive the opening, and every caller's context.
	if s.writer, err = startWriter(context.WithoutCancel(ctx), conn, cfg); err != nil {
		return errors.Join(err, conn.close())
	}
	return nil
}

// ensureSchema brings the file to this program's schema, or refuses it.
func ensureSchema(ctx context.Context, cfg Config) (err error) {
	f := &SchemaFile{path: cfg.Path}
	defer func() { err = errors.Join(err, f.Close()) }()
	progress, err := f.Progress(ctx)
	if err != nil {
		return err
	}
	return Schema().Ensure(ctx, f, cfg.KeepSchema && len(progress) > 0)
}

// checkpointPages is the length of the log, in pages of 4 KiB, at which the writer moves it into
// the file, as part of a commit. The writer does not wait for readers; pages that a reader still
// needs are moved the next time. A checkpoint on another connection would never reach the end of
// the log while the writer appends, and the log would grow for as long as the load lasts.
const checkpointPages = 2000

// maxIdleLog is the size in bytes to which a log is cut after a reader held back its checkpoint
// and let it grow.
const maxIdleLog = 16 << 20

// expect returns an error if the file must exist but is missing or empty. It makes a new file
// that other users cannot read.
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
		return f.Close() // This must come before SQLite opens the file: closing any descriptor drops the process's locks.
	}
	return nil
}

// dsn returns the driver's name for the file. The locking and journal modes are set only if they
// are named. The driver sets busy_timeout before everything else.
func dsn(path, more, locking, journal string) string {
	name := (&url.URL{Scheme: "file", Opaque: url.PathEscape(path)}).String()
	if locking == "" {
		name += "?_pragma=busy_timeout(10000)"
	} else { // The mode counts only before the log is opened for the first time.
		name += "?_pragma=busy_timeout(2000)&_pragma=locking_mode(" + locking + ")"
	}
	if journal != "" {
		name += "&_pragma=journal_mode(" + journal + ")"
	}
	return name + "&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&" + more
}

// Close lets the writer finish what it has begun, moves the log into the file, and closes the
// file. After that, the file is complete without its log.
func (s *file) Close() error {
	s.closing.Do(func() {
		// Readers are closed first, because the last checkpoint takes the whole log only if
		// nobody reads.
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
	// Positions are never reused and events are never deleted, so the last position is the number
	// of events.
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

// Health compares the file's schema with this program's.
func (s *file) Health(ctx context.Context) (eventstore.Health, error) {
	if s.writer.isStopped() {
		return eventstore.Health{}, eventstore.ErrClosed
	}
	st, err := Schema().Status(ctx, &SchemaFile{path: s.path, db: s.read})
	if err != nil {
		return eventstore.Health{}, s.readError("read the schema", err)
	}
	return eventstore.Health{Schema: st}, nil
}

func (s *file) readError(what string, err error) error {
	if s.writer.isStopped() {
		return eventstore.ErrClosed
	}
	return fmt.Errorf("sqlite: %s: %s: %w", s.path, what, err)
}
