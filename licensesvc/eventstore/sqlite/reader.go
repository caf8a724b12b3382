package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// Reader reads a store's file and never changes it. A service may use the file meanwhile. A Reader
// has no guard: it is for commands, which a user can interrupt. It is safe for concurrent use. The
// caller that opened it must close it.
type Reader struct{ file *file }

var _ interface {
	eventstore.Loader
	eventstore.Feeder
} = (*Reader)(nil)

// OpenReader opens an existing file for reading. A file whose schema this program can't read is
// refused.
func OpenReader(ctx context.Context, path string) (_ *Reader, err error) {
	db, err := openExisting(path)
	if err != nil {
		return nil, err
	}
	s := &file{path: path, read: db, queries: &prepared{db: db}, writer: &writer{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	st, err := Schema().Status(ctx, &SchemaFile{path: path, db: db})
	if err != nil {
		return nil, fmt.Errorf("sqlite: %s: %w", path, err)
	}
	if !st.OK() {
		return nil, fmt.Errorf("sqlite: %s: %s", path, st)
	}
	if err := db.QueryRowContext(ctx, "SELECT epoch FROM meta").Scan(&s.epoch); err != nil {
		return nil, fmt.Errorf("sqlite: %s: read the epoch: %w", path, err)
	}
	return &Reader{s}, nil
}

// Epoch returns the store's epoch. A restored store has another one.
func (r *Reader) Epoch() string { return r.file.epoch }

// Load implements eventstore.Loader.
func (r *Reader) Load(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	return r.file.Load(ctx, q)
}

// Feed implements eventstore.Feeder.
func (r *Reader) Feed(ctx context.Context, slice int, after eventstore.Cursor, limit int) (eventstore.FeedPage, error) {
	return r.file.Feed(ctx, slice, after, limit)
}

// Close closes the file. After that every call answers eventstore.ErrClosed.
func (r *Reader) Close() error {
	r.file.writer.refuse()
	return r.file.closeFiles()
}
