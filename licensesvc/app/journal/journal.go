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
	// ErrBroken: the disk failed to write or to sync. What was being put is unknown
	// until the journal is opened again; nothing more is taken until then.
	ErrBroken = errors.New("journal: broken by a disk error; free or mend the disk and restart")
	// ErrFull: the disk or the journal's bound is full. Nothing was put.
	ErrFull = errors.New("journal: full")
	// ErrDamaged: the file is not a journal, or was changed.
	ErrDamaged = errors.New("journal: damaged")
	// ErrInUse: another process holds the journal.
	ErrInUse = errors.New("journal: in use by another process")
)

// DefaultMaxBytes bounds the file unless Config says otherwise.
const DefaultMaxBytes = 256 << 20

// maxRecord bounds one record, so that a damaged length is seen as one.
const maxRecord = 4 << 20

// Config says where the journal lies.
type Config struct {
	// Path is the file. Required; its folder must exist.
	Path string
	// MaxBytes bounds the file; beyond it Put answers ErrFull. Default: 256 MiB.
	MaxBytes int64
	_        struct{}
}

// Entry is one promise.
type Entry struct {
	// ID is unique among pending entries; putting it again replaces the entry.
	ID string `json:"id"`
	// Put is when it was put in, by the caller's clock.
	Put time.Time `json:"put"`
	// Data is the caller's.
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
	pending map[string]Entry
	broken  error

	// Owned by the writing goroutine after Open.
	file *os.File
	size int64
}

type request struct {
	record record
	answer chan error
}

// Open reads the journal, making it if need be, and starts its writer.
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

// Put makes the entry durable. If the context ends first, the wait does, and the
// entry may be there or not; the same is true of ErrBroken.
func (j *Journal) Put(ctx context.Context, e Entry) error {
	if e.ID == "" {
		return errors.New("journal: the entry has no id")
	}
	return j.do(ctx, record{Op: opPut, Entry: e})
}

// Done ends an entry. If the mark is lost in a crash the entry is pending again,
// so what a caller does for an entry must bear repetition.
func (j *Journal) Done(ctx context.Context, id string) error {
	return j.do(ctx, record{Op: opDone, Entry: Entry{ID: id}})
}

// Pending returns the entries that are not done, the oldest first.
func (j *Journal) Pending() []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries := make([]Entry, 0, len(j.pending))
	for _, e := range j.pending {
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
	e, ok := j.pending[id]
	return e, ok
}

// Len returns the number of pending entries.
func (j *Journal) Len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.pending)
}

// Err returns why the journal takes nothing more, or nil.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.broken
}

// Close ends the writer and frees the file for another process. It can be called
// more than once.
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

// maxBatch bounds the records that share one sync.
const maxBatch = 256

// write owns the file: it takes what has come in, writes it, syncs once, answers.
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
		// Nothing was acknowledged: take the half-written records back.
		if back := j.file.Truncate(j.size); back != nil {
			j.breakDown(errors.Join(err, back))
			answer(admitted, j.Err())
			return
		}
		answer(admitted, fmt.Errorf("%w: %w", ErrFull, err))
		return
	}
	if err := j.file.Sync(); err != nil {
		// The kernel may have dropped the pages and will not say so again.
		j.breakDown(err)
		answer(admitted, j.Err())
		return
	}
	j.size += int64(len(out))
	j.mu.Lock()
	for _, req := range admitted {
		req.record.apply(j.pending)
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
