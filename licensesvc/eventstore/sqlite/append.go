package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// Append implements eventstore.Store.
func (s *file) Append(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	if err := c.Check(); err != nil {
		return eventstore.Appended{Outcome: eventstore.Rejected}, err
	}
	return s.writer.do(ctx, &job{
		answer: make(chan answer, 1),
		run:    func(ctx context.Context, w *writer) (eventstore.Appended, error) { return w.append(ctx, c) },
		settle: func(ctx context.Context, w *writer) (eventstore.Appended, error) {
			return w.stored(ctx, c.Stream, c.ID)
		},
	})
}

// Resolve implements eventstore.Store. On the one writer everything before it has
// been settled, so a commit that is not there is fenced: its id is taken.
func (s *file) Resolve(ctx context.Context, stream, commit string) (eventstore.Appended, error) {
	if stream == "" || commit == "" {
		return eventstore.Appended{}, fmt.Errorf("%w: stream and commit id are required", eventstore.ErrInvalid)
	}
	a, err := s.writer.do(ctx, &job{
		answer: make(chan answer, 1),
		run: func(ctx context.Context, w *writer) (eventstore.Appended, error) {
			found, err := w.stored(ctx, stream, commit)
			if err != nil || found.Outcome != eventstore.Unknown {
				return found, err
			}
			if _, err := w.stmts.insertCommit.ExecContext(ctx, stream, commit, 0, 0, 1); err != nil {
				return eventstore.Appended{}, err
			}
			return eventstore.Appended{Outcome: eventstore.Rejected}, nil
		},
		settle: func(ctx context.Context, w *writer) (eventstore.Appended, error) {
			return w.stored(ctx, stream, commit)
		},
	})
	if err != nil { // the question failed, which says nothing about the commit
		return eventstore.Appended{}, err
	}
	return a, nil
}

// append stores a commit in the open transaction.
func (w *writer) append(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	found, err := w.stored(ctx, c.Stream, c.ID)
	switch {
	case err != nil:
		return found, err
	case found.Outcome == eventstore.Applied:
		return found, nil
	case found.Outcome == eventstore.Rejected:
		return found, eventstore.ErrFenced
	}
	var version int64
	if err := w.stmts.version.QueryRowContext(ctx, c.Stream).Scan(&version); err != nil {
		return eventstore.Appended{}, err
	}
	if version != c.Expected {
		won, err := w.events(ctx, c.Stream, c.Expected, math.MaxInt64)
		return eventstore.Appended{Outcome: eventstore.Conflict, Version: version, Events: won}, err
	}
	placed := c.Placed(version)
	slice := eventstore.SliceOf(c.Stream)
	for i := range placed {
		e := &placed[i]
		if e.Data == nil {
			e.Data = []byte{}
		}
		if _, err := w.stmts.insert.ExecContext(ctx, e.Stream, e.Version, slice, e.ID, e.Type, e.Schema, e.Commit,
			nanos(e.Occurred), nanos(e.Recorded), e.Cause, e.Correlation, e.Trace, e.Actor, e.Data); err != nil {
			return eventstore.Appended{}, err
		}
		e.Occurred, e.Recorded = instant(nanos(e.Occurred)), instant(nanos(e.Recorded))
	}
	last := placed[len(placed)-1].Version
	if _, err := w.stmts.insertCommit.ExecContext(ctx, c.Stream, c.ID, version+1, last, 0); err != nil {
		return eventstore.Appended{}, err
	}
	return eventstore.Appended{Outcome: eventstore.Applied, Version: last, Events: placed}, nil
}

// stored looks a commit up: Applied with its events, Rejected if fenced, Unknown if
// it is not there.
func (w *writer) stored(ctx context.Context, stream, commit string) (eventstore.Appended, error) {
	var first, last int64
	var fenced bool
	err := w.stmts.commit.QueryRowContext(ctx, stream, commit).Scan(&first, &last, &fenced)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return eventstore.Appended{}, nil
	case err != nil:
		return eventstore.Appended{}, err
	case fenced:
		return eventstore.Appended{Outcome: eventstore.Rejected}, nil
	}
	events, err := w.events(ctx, stream, first-1, last)
	return eventstore.Appended{Outcome: eventstore.Applied, Version: last, Events: events, Repeated: true}, err
}

func (w *writer) events(ctx context.Context, stream string, after, until int64) ([]eventstore.Event, error) {
	rows, err := w.stmts.tail.QueryContext(ctx, stream, after, until, eventstore.MaxEvents)
	if err != nil {
		return nil, err
	}
	return scanEvents(rows)
}

// SaveSnapshot implements eventstore.Store.
func (s *file) SaveSnapshot(ctx context.Context, snap eventstore.Snapshot) error {
	if snap.Stream == "" || snap.Version < 1 {
		return fmt.Errorf("%w: a snapshot needs a stream and a version", eventstore.ErrInvalid)
	}
	run := func(ctx context.Context, w *writer) (eventstore.Appended, error) {
		_, err := w.conn.ExecContext(ctx, `INSERT INTO snapshots (stream, fold, version, data) VALUES (?, ?, ?, ?)
			ON CONFLICT (stream, fold) DO UPDATE SET version = excluded.version, data = excluded.data
			WHERE excluded.version > snapshots.version`, snap.Stream, snap.Fold, snap.Version, snap.Data)
		return eventstore.Appended{Outcome: eventstore.Applied}, err
	}
	_, err := s.writer.do(ctx, &job{answer: make(chan answer, 1), run: run, settle: run})
	return err
}

// nanos and instant keep a time as nanoseconds since 1970, UTC; the zero time is 0.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func instant(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
