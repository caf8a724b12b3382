package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

var (
	// ErrClosed: the journal was closed.
	ErrClosed = errors.New("journal: closed")
	// ErrBroken: the disk failed to write or to sync. It is unknown whether the current
	// entries are stored until the journal is opened again. Until then it accepts nothing
	// more.
	ErrBroken = errors.New("journal: broken by a disk error; free space on the disk or repair it, and restart")
	// ErrFull: the disk is full, or the journal has reached its limit. Nothing was stored.
	ErrFull = errors.New("journal: full")
	// ErrDamaged: the file is not a journal, or was changed.
	ErrDamaged = errors.New("journal: damaged")
	// ErrInUse: another process holds the journal.
	ErrInUse = errors.New("journal: in use by another process")
)

// DefaultMaxBytes bounds the file unless Config says otherwise.
const DefaultMaxBytes = 256 << 20

// maxRecord limits one record, so that a damaged length is recognized.
const maxRecord = 4 << 20

// Config says where the journal is.
type Config struct {
	// Path is the file. Required; its folder must exist.
	Path string
	// MaxBytes limits the file, in bytes. Above it Put returns ErrFull. Default: 0, which
	// means 256 MiB.
	MaxBytes int64
	_        struct{}
}

// Entry is one promise.
type Entry struct {
	// ID is unique among pending entries. To put the same ID again replaces the entry.
	ID string `json:"id"`
	// Put is when the entry was put, by the caller's clock.
	Put time.Time `json:"put"`
	// Data belongs to the caller; the journal does not interpret it.
	Data []byte `json:"data"`
}

// Journal is a durable set of pending entries. It is safe for concurrent use. The
// caller that opened it must close it. The zero value is not usable.
type Journal struct {
	path     string
	maxBytes int64
	requests chan request
	quit     chan struct{}
	ended    chan struct{}
	close    sync.Once

	mu      sync.Mutex
	pending pending
	broken  error

	// The writing goroutine owns these fields after Open.
	file *os.File
	size int64
}

type request struct {
	record record
	answer chan error
}

// Open reads the journal, which it makes if necessary, and starts its writer.
func Open(cfg Config) (*Journal, error) {
	if cfg.Path == "" {
		return nil, errors.New("journal: Path is empty: give a file")
	}
	if cfg.MaxBytes < 0 {
		return nil, fmt.Errorf("journal: MaxBytes is %d: give a bound above zero, or 0 for %d", cfg.MaxBytes, DefaultMaxBytes)
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	file, err := openLocked(cfg.Path)
	if err != nil {
		return nil, err
	}
	pending, size, err := scan(file)
	if err == nil {
		err = syncDir(cfg.Path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", cfg.Path, err), file.Close())
	}
	j := &Journal{
		path: cfg.Path, maxBytes: cfg.MaxBytes, pending: pending, file: file, size: size,
		requests: make(chan request), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	go j.write()
	return j, nil
}

// Put stores the entry durably. If the context ends first, Put returns, and the entry may or
// may not be stored. The same is true after ErrBroken.
func (j *Journal) Put(ctx context.Context, e Entry) error {
	if e.ID == "" {
		return errors.New("journal: the entry has no id")
	}
	return j.do(ctx, record{Op: opPut, Entry: e})
}

// Done marks an entry as done. If a crash loses the mark, the entry is pending again, so the
// caller must be able to repeat what it does for an entry.
func (j *Journal) Done(ctx context.Context, id string) error {
	return j.do(ctx, record{Op: opDone, Entry: Entry{ID: id}})
}

// Pending returns the entries that are not done, the oldest first.
func (j *Journal) Pending() []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries := make([]Entry, 0, len(j.pending.entries))
	for _, e := range j.pending.entries {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		if c := a.Put.Compare(b.Put); c != 0 {
			return c
		}
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return entries
}

// Get returns a pending entry.
func (j *Journal) Get(id string) (Entry, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e, ok := j.pending.entries[id]
	return e, ok
}

// Len returns the number of pending entries.
func (j *Journal) Len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.pending.entries)
}

// Err returns the reason why the journal accepts nothing more, or nil.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.broken
}

// Close ends the writer and releases the file for another process. Closing twice does nothing
// more.
func (j *Journal) Close() error {
	var err error
	j.close.Do(func() {
		close(j.quit)
		<-j.ended
		err = j.file.Close()
	})
	return err
}

func (j *Journal) do(ctx context.Context, r record) error {
	req := request{record: r, answer: make(chan error, 1)}
	select {
	case j.requests <- req:
	case <-j.quit:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-req.answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// maxBatch limits the number of records that share one sync.
const maxBatch = 256

// write owns the file. It takes the waiting records, writes them, syncs once, and answers.
func (j *Journal) write() {
	defer close(j.ended)
	for {
		select {
		case req := <-j.requests:
			batch := []request{req}
		gather:
			for len(batch) < maxBatch {
				select {
				case more := <-j.requests:
					batch = append(batch, more)
				default:
					break gather
				}
			}
			j.commit(batch)
		case <-j.quit:
			return
		}
	}
}

func (j *Journal) commit(batch []request) {
	if err := j.Err(); err != nil {
		answer(batch, err)
		return
	}
	if j.size > compactAt && j.compactable() {
		if err := j.compact(); err != nil {
			j.breakDown(err)
			answer(batch, j.Err())
			return
		}
	}
	var out []byte
	admitted := batch[:0]
	for _, req := range batch {
		b, err := req.record.encode()
		switch {
		case err != nil:
			req.answer <- err
		case req.record.Op == opPut && j.size+int64(len(out)+len(b)) > j.maxBytes:
			req.answer <- fmt.Errorf("%w: %s holds %d of at most %d bytes", ErrFull, j.path, j.size, j.maxBytes)
		default:
			out = append(out, b...)
			admitted = append(admitted, req)
		}
	}
	if len(admitted) == 0 {
		return
	}
	if _, err := j.file.WriteAt(out, j.size); err != nil {
		// Nothing was acknowledged, so the partly written records are removed.
		if back := j.file.Truncate(j.size); back != nil {
			j.breakDown(errors.Join(err, back))
			answer(admitted, j.Err())
			return
		}
		answer(admitted, fmt.Errorf("%w: %w", ErrFull, err))
		return
	}
	if err := j.file.Sync(); err != nil {
		// The kernel may have dropped the pages, and does not report that a second time.
		j.breakDown(err)
		answer(admitted, j.Err())
		return
	}
	j.size += int64(len(out))
	j.mu.Lock()
	for _, req := range admitted {
		j.pending.apply(req.record)
	}
	j.mu.Unlock()
	answer(admitted, nil)
}

func (j *Journal) breakDown(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.broken = fmt.Errorf("%w: %s: %w", ErrBroken, filepath.Base(j.path), err)
}

func answer(batch []request, err error) {
	for _, req := range batch {
		req.answer <- err
	}
}
