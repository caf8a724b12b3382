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
	"time"

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
	// CheckpointEvery is the pause between checkpoints, which run beside the writer
	// and never wait for readers. Default: 1 s.
	CheckpointEvery time.Duration
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
	if c.CheckpointEvery < 0 {
		errs = append(errs, fmt.Errorf("sqlite: CheckpointEvery is %s: give a duration above zero, or 0 for 1s", c.CheckpointEvery))
	}
	if c.CheckpointEvery == 0 {
		c.CheckpointEvery = time.Second
	}
	return c, errors.Join(errs...)
}

// file is an event store in one SQLite file, without a guard.
type file struct {
	path    string
	epoch   string
	write   *sql.DB // one connection
	read    *sql.DB
	writer  *writer
	stop    context.CancelFunc // ends the checkpoints
	tasks   sync.WaitGroup
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
	var err error
	if s.write, err = sql.Open("sqlite", dsn(cfg.Path, "_txlock=immediate&_pragma=wal_autocheckpoint(0)&_pragma=journal_size_limit(67108864)")); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return err
	}
	if err := prepare(ctx, conn, rand.Text()); err != nil {
		return errors.Join(err, conn.Close())
	}
	if err := conn.QueryRowContext(ctx, "SELECT epoch FROM meta").Scan(&s.epoch); err != nil {
		return errors.Join(err, conn.Close())
	}
	if s.read, err = sql.Open("sqlite", dsn(cfg.Path, "_pragma=query_only(1)")); err != nil {
		return errors.Join(err, conn.Close())
	}
	s.read.SetMaxOpenConns(cfg.Readers)
	s.read.SetMaxIdleConns(cfg.Readers)
	// The writer outlives the opening, and every caller.
	life := context.WithoutCancel(ctx)
	if s.writer, err = startWriter(life, conn, cfg); err != nil {
		return errors.Join(err, conn.Close())
	}
	life, s.stop = context.WithCancel(life)
	s.tasks.Go(func() { s.checkpoints(life, cfg.CheckpointEvery) })
	return nil
}

// dsn is the driver's name for the file. The driver sets busy_timeout before
// everything else.
func dsn(path, more string) string {
	return (&url.URL{Scheme: "file", Opaque: url.PathEscape(path)}).String() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&" + more
}

// checkpoints moves the log into the file, passively: it waits for nobody.
func (s *file) checkpoints(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			// A checkpoint that did not happen is made up for by the next; Stats shows
			// the log's size.
			_, _ = s.read.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
		}
	}
}

// Close ends the writer after what it has begun, and closes the file.
func (s *file) Close() error {
	s.closing.Do(func() {
		s.writer.stop()
		s.stop()
		s.tasks.Wait()
		s.closed = s.closeFiles()
	})
	return s.closed
}

func (s *file) closeFiles() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
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
