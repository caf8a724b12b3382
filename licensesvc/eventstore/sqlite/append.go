package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"strings"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// Append implements eventstore.Store.
func (s *file) Append(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	if err := c.Check(); err != nil {
		return eventstore.Appended{Outcome: eventstore.Rejected}, err
	}
	holds, err := s.condition(c.Condition)
	if err != nil {
		return eventstore.Appended{Outcome: eventstore.Rejected}, err
	}
	return s.writer.do(ctx, &job{
		answer: make(chan answer, 1),
		run:    func(ctx context.Context, w *writer) (eventstore.Appended, error) { return w.append(ctx, c, holds) },
		settle: func(ctx context.Context, w *writer) (eventstore.Appended, error) { return w.stored(ctx, c) },
	})
}

// Resolve implements eventstore.Store. The single writer has settled everything that came
// earlier. A commit that is not there is therefore fenced: its id is taken, so that it can never
// be stored later.
func (s *file) Resolve(ctx context.Context, stream, commit string) (eventstore.Appended, error) {
	if stream == "" || commit == "" {
		return eventstore.Appended{}, fmt.Errorf("%w: stream and commit id are required", eventstore.ErrInvalid)
	}
	a, err := s.writer.do(ctx, &job{
		answer: make(chan answer, 1),
		run: func(ctx context.Context, w *writer) (eventstore.Appended, error) {
			found, _, err := w.lookUp(ctx, stream, commit)
			if err != nil || found.Outcome != eventstore.Unknown {
				return found, err
			}
			if _, err := w.stmts.insertKey.exec(ctx, stream, commit, 0, 0, ""); err != nil {
				return eventstore.Appended{}, err
			}
			return eventstore.Appended{Outcome: eventstore.Rejected}, nil
		},
		settle: func(ctx context.Context, w *writer) (eventstore.Appended, error) {
			found, _, err := w.lookUp(ctx, stream, commit)
			return found, err
		},
	})
	if err != nil { // the lookup failed, which says nothing about the commit
		return eventstore.Appended{}, err
	}
	return a, nil
}

// append stores a commit in the open transaction. It writes nothing unless it stores the commit.
// The condition is checked only once the commit's id is known to be new, so that a repeat gets the
// first answer.
func (w *writer) append(ctx context.Context, c eventstore.Commit, cond *condition) (eventstore.Appended, error) {
	version, known := w.heads[c.Stream]
	if !known && c.Expected > 0 {
		var err error
		if version, err = w.head(ctx, c.Stream); err != nil {
			return eventstore.Appended{}, err
		}
	}
	// A stream that is expected to be new needs no lookup: its first event can only be at version
	// 1.
	if version == c.Expected {
		last := version + int64(len(c.Events))
		added, err := w.stmts.insertKey.exec(ctx, c.Stream, c.ID, version+1, last, c.Fingerprint())
		if err != nil {
			return eventstore.Appended{}, err
		}
		if added == 1 {
			a, err := w.storeNew(ctx, c, cond, version)
			if a.Outcome == eventstore.Applied || err != nil && isStorage(err) {
				return a, err
			}
			if _, err := w.stmts.dropKey.exec(ctx, c.Stream, c.ID); err != nil {
				return eventstore.Appended{}, err
			}
			if a.Outcome == eventstore.ConditionFailed || err != nil {
				return a, err
			}
		}
	}
	version, err := w.head(ctx, c.Stream)
	if err != nil {
		return eventstore.Appended{}, err
	}
	found, err := w.stored(ctx, c)
	if err != nil || found.Outcome != eventstore.Unknown {
		return found, err
	}
	won, err := w.events(ctx, c.Stream, c.Expected, math.MaxInt64)
	return eventstore.Appended{Outcome: eventstore.Conflict, Version: version, Events: won}, err
}

// storeNew checks the condition of a commit whose id is taken already, and stores its events. It
// returns Unknown without an error if the stream already has an event there.
func (w *writer) storeNew(ctx context.Context, c eventstore.Commit, cond *condition, version int64) (eventstore.Appended, error) {
	if cond != nil {
		if failed, err := w.failed(ctx, cond); err != nil || failed.Outcome == eventstore.ConditionFailed {
			failed.Version = version
			return failed, err
		}
	}
	placed, free, err := w.place(ctx, c, version)
	if err != nil || !free {
		return eventstore.Appended{}, err
	}
	return eventstore.Appended{Outcome: eventstore.Applied, Version: version + int64(len(placed)), Events: placed}, nil
}

// place stores a commit's events after a version. If the stream already has an event there, the
// place is not free and nothing is stored.
func (w *writer) place(ctx context.Context, c eventstore.Commit, version int64) (placed []eventstore.Event, free bool, err error) {
	placed = c.Placed(version)
	slice := eventstore.SliceOf(c.Stream)
	for i := range placed {
		e := &placed[i]
		if e.Data == nil {
			e.Data = []byte{}
		}
		occurred, recorded := eventstore.Nanos(e.Occurred), eventstore.Nanos(e.Recorded)
		e.Occurred, e.Recorded = eventstore.Instant(occurred), eventstore.Instant(recorded)
		position, err := w.next(ctx)
		if err != nil {
			return nil, false, err
		}
		added, err := w.stmts.insertKey.exec(ctx, e.Stream, e.Version, position, e.Version, "")
		switch {
		case err != nil:
			return nil, false, err
		case added == 0 && i == 0:
			return nil, false, nil
		case added == 0: // The first version was free, so the later ones can't be taken.
			return nil, false, fmt.Errorf("%w: stream %s has version %d already, but not the one before", eventstore.ErrCorrupt, e.Stream, e.Version)
		}
		if _, err := w.stmts.insert.exec(ctx, position, e.Stream, e.Version, slice, e.ID, e.Type, e.Schema, e.Commit,
			occurred, recorded, e.Cause, e.Correlation, e.Trace, e.Actor, e.Data, checksum(e), strings.Join(e.Tags, tagSeparator)); err != nil {
			return nil, false, err
		}
		for _, tag := range e.Tags {
			if _, err := w.stmts.insertTag.exec(ctx, tag, position); err != nil {
				return nil, false, err
			}
		}
		w.position = position
	}
	if len(w.heads) >= maxHeads {
		clear(w.heads)
	}
	w.heads[c.Stream] = version + int64(len(placed))
	return placed, true, nil
}

// next returns the position of the next event.
func (w *writer) next(ctx context.Context) (int64, error) {
	if w.position < 0 {
		err := w.stmts.position.query(ctx, func(row []driver.Value) error {
			w.position = row[0].(int64)
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return w.position + 1, nil
}

// head returns a stream's version.
func (w *writer) head(ctx context.Context, stream string) (version int64, err error) {
	version, known := w.heads[stream]
	if known {
		return version, nil
	}
	err = w.stmts.version.query(ctx, func(row []driver.Value) error {
		version = row[0].(int64)
		return nil
	}, stream)
	return version, err
}

// stored looks a commit up. It returns Applied with the commit's events, Rejected if the commit
// is fenced or the id belongs to a commit with different content, and Unknown if there is no such
// commit.
func (w *writer) stored(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	a, fingerprint, err := w.lookUp(ctx, c.Stream, c.ID)
	switch {
	case err != nil || a.Outcome == eventstore.Unknown:
		return a, err
	case a.Outcome == eventstore.Rejected:
		return a, eventstore.ErrFenced
	case fingerprint != c.Fingerprint():
		return eventstore.Appended{Outcome: eventstore.Rejected}, eventstore.ErrMismatch
	}
	return a, nil
}

// lookUp finds what is stored under a commit's id, and the fingerprint of that commit.
func (w *writer) lookUp(ctx context.Context, stream, commit string) (a eventstore.Appended, fingerprint string, err error) {
	var first, last int64
	found := false
	err = w.stmts.commit.query(ctx, func(row []driver.Value) error {
		found = true
		first, last, fingerprint = row[0].(int64), row[1].(int64), row[2].(string)
		return nil
	}, stream, commit)
	switch {
	case err != nil || !found:
		return eventstore.Appended{}, "", err
	case first == 0: // It was fenced.
		return eventstore.Appended{Outcome: eventstore.Rejected}, fingerprint, nil
	}
	events, err := w.events(ctx, stream, first-1, last)
	if err == nil && int64(len(events)) != min(last-first+1, eventstore.MaxEvents) {
		err = fmt.Errorf("%w: commit %s of stream %s has %d events of %d", eventstore.ErrCorrupt, commit, stream, len(events), last-first+1)
	}
	return eventstore.Appended{Outcome: eventstore.Applied, Version: last, Events: events, Repeated: true}, fingerprint, err
}

func (w *writer) events(ctx context.Context, stream string, after, until int64) (events []eventstore.Event, err error) {
	err = w.stmts.tail.query(ctx, func(row []driver.Value) error {
		e, err := eventOf(row)
		if err == nil && (e.Stream != stream || e.Version != after+int64(len(events))+1) {
			err = misplaced(&e, stream, after+int64(len(events))+1)
		}
		events = append(events, e)
		return err
	}, stream, after, until, eventstore.MaxEvents)
	return events, err
}

// SaveSnapshot implements eventstore.Store.
func (s *file) SaveSnapshot(ctx context.Context, snap eventstore.Snapshot) error {
	if snap.Stream == "" || snap.Version < 1 {
		return fmt.Errorf("%w: a snapshot needs a stream and a version", eventstore.ErrInvalid)
	}
	run := func(ctx context.Context, w *writer) (eventstore.Appended, error) {
		version, err := w.head(ctx, snap.Stream)
		if err != nil {
			return eventstore.Appended{}, err
		}
		if snap.Version > version {
			return eventstore.Appended{}, fmt.Errorf("%w: a snapshot at version %d of stream %s, which has %d", eventstore.ErrInvalid, snap.Version, snap.Stream, version)
		}
		_, err = w.stmts.saveAt.exec(ctx, snap.Stream, snap.Fold, snap.Version, snap.Data)
		return eventstore.Appended{Outcome: eventstore.Applied}, err
	}
	_, err := s.writer.do(ctx, &job{answer: make(chan answer, 1), run: run, settle: run})
	return err
}
