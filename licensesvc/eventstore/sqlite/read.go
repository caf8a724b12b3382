package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// columns are the columns of an event, in the order in which eventOf and scan read them.
const columns = "e.stream, e.version, e.id, e.type, e.schema, e.commit_id, e.occurred, e.recorded, e.cause, e.correlation, e.trace, e.actor, e.data, e.checksum, e.tags"

// eventOf makes an event from the driver's values. A value whose type differs from the column's
// comes from a damaged file; the checksum finds it.
func eventOf(row []driver.Value) (eventstore.Event, error) {
	text := func(i int) string { s, _ := row[i].(string); return s }
	number := func(i int) int64 { n, _ := row[i].(int64); return n }
	data, _ := row[12].([]byte)
	e := eventstore.Event{Stream: text(0), Version: number(1), ID: text(2), Type: text(3), Schema: int(number(4)), Commit: text(5),
		Occurred: eventstore.Instant(number(6)), Recorded: eventstore.Instant(number(7)), Cause: text(8), Correlation: text(9), Trace: text(10), Actor: text(11), Data: slices.Clone(data), Tags: tagsOf(text(14))}
	return e, undamaged(&e, row[13])
}

// scan reads an event from a row, after the row's leading columns, which go to before.
func scan(rows *sql.Rows, before ...any) (e eventstore.Event, err error) {
	var occurred, recorded int64
	var sum any
	var tags string
	if err := rows.Scan(append(before, &e.Stream, &e.Version, &e.ID, &e.Type, &e.Schema, &e.Commit, &occurred, &recorded,
		&e.Cause, &e.Correlation, &e.Trace, &e.Actor, &e.Data, &sum, &tags)...); err != nil {
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return e, err // The caller's context ended between two rows, which says nothing about the file.
		}
		return e, fmt.Errorf("%w: %w", eventstore.ErrCorrupt, err)
	}
	e.Occurred, e.Recorded, e.Tags = eventstore.Instant(occurred), eventstore.Instant(recorded), tagsOf(tags)
	return e, undamaged(&e, sum)
}

// scanEvents reads all rows and closes them.
func scanEvents(rows *sql.Rows) (events []eventstore.Event, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, rows.Err()
}

func pageLimit(limit int) int {
	if limit <= 0 || limit > eventstore.MaxEvents {
		return eventstore.MaxEvents
	}
	return limit
}

// Load implements eventstore.Store. Every load sees all acknowledged appends.
func (s *file) Load(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	if s.writer.isStopped() {
		return eventstore.Page{}, eventstore.ErrClosed
	}
	if q.Stream == "" || q.After < 0 {
		return eventstore.Page{}, fmt.Errorf("%w: a load needs a stream, and a version of at least 0 to go on after", eventstore.ErrInvalid)
	}
	limit := pageLimit(q.Limit)
	rows, err := s.queries.rows(ctx, "SELECT "+columns+" FROM streams s LEFT JOIN events e ON e.position = s.at WHERE s.stream = ? AND s.key > ? AND s.key < '' ORDER BY s.key LIMIT ?",
		q.Stream, q.After, limit+1)
	if err != nil {
		return eventstore.Page{}, s.readError("load", err)
	}
	events, err := scanEvents(rows)
	if err != nil {
		return eventstore.Page{}, s.readError("load", err)
	}
	for i, e := range events {
		if e.Stream != q.Stream || e.Version != q.After+int64(i)+1 {
			return eventstore.Page{}, misplaced(&e, q.Stream, q.After+int64(i)+1)
		}
	}
	page := eventstore.Page{Events: events, Version: q.After + int64(len(events))}
	switch {
	case len(events) == 0 && q.After == 0:
		return page, s.reallyEmpty(ctx, q.Stream)
	case len(events) > limit:
		page.Events, page.More = events[:limit], true
		fallthrough
	case len(events) == 0 && q.After > 0:
		err := s.queries.row(ctx, "SELECT coalesce((SELECT key FROM streams WHERE stream = ? AND key < '' ORDER BY key DESC LIMIT 1), 0)", []any{q.Stream}, &page.Version)
		if err != nil {
			return eventstore.Page{}, s.readError("load", err)
		}
	}
	return page, nil
}

// reallyEmpty returns an error if a stream without events has commits. Its events were then lost,
// and a decision on the empty state would be wrong.
func (s *file) reallyEmpty(ctx context.Context, stream string) error {
	var lost bool
	// One statement checks both conditions, so that an append in between is not taken for a loss.
	err := s.queries.row(ctx, `SELECT EXISTS (SELECT 1 FROM streams WHERE stream = ?1 AND key >= '' AND at > 0)
		AND NOT EXISTS (SELECT 1 FROM streams WHERE stream = ?1 AND key < '')`, []any{stream}, &lost)
	switch {
	case err != nil:
		return s.readError("load", err)
	case lost:
		return fmt.Errorf("%w: stream %s has commits and no events: restore a backup, or see licensesvc verify", eventstore.ErrCorrupt, stream)
	}
	return nil
}

// Feed implements eventstore.Store. The single writer assigns positions in the order in which
// commits become visible, so no event can appear behind a cursor.
func (s *file) Feed(ctx context.Context, slice int, after eventstore.Cursor, limit int) (eventstore.FeedPage, error) {
	if s.writer.isStopped() {
		return eventstore.FeedPage{}, eventstore.ErrClosed
	}
	if slice < 0 || slice >= eventstore.Slices {
		return eventstore.FeedPage{}, fmt.Errorf("%w: slice %d of %d", eventstore.ErrInvalid, slice, eventstore.Slices)
	}
	position, commit, err := s.position(slice, after)
	if err != nil {
		return eventstore.FeedPage{}, err
	}
	if err := s.sameLife(ctx, position, commit); err != nil {
		return eventstore.FeedPage{}, err
	}
	rows, err := s.queries.rows(ctx, "SELECT position, "+columns+" FROM events e WHERE slice = ? AND position > ? ORDER BY position LIMIT ?",
		slice, position, pageLimit(limit))
	if err != nil {
		return eventstore.FeedPage{}, s.readError("feed", err)
	}
	var page eventstore.FeedPage
	if page.Events, position, err = scanFeed(rows, position); err != nil {
		return eventstore.FeedPage{}, s.readError("feed", err)
	}
	if n := len(page.Events); n > 0 {
		commit = page.Events[n-1].Commit
	}
	page.Next = s.cursor(slice, position, commit)
	if err := s.queries.row(ctx, "SELECT count(*) FROM (SELECT 1 FROM events WHERE slice = ? AND position > ? LIMIT 10000)", []any{slice, position}, &page.Behind); err != nil {
		return eventstore.FeedPage{}, s.readError("feed", err)
	}
	return page, nil
}

func scanFeed(rows *sql.Rows, position int64) (events []eventstore.Event, last int64, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	last = position
	for rows.Next() {
		e, err := scan(rows, &last)
		if err != nil {
			return nil, position, err
		}
		events = append(events, e)
	}
	return events, last, rows.Err()
}

// cursor makes a cursor from the epoch, the slice, a position, and the commit of the event at
// that position. The commit detects a file that was replaced by an older copy: such a file has
// the same epoch, but at the position it has either no event or one of another commit.
func (s *file) cursor(slice int, position int64, commit string) eventstore.Cursor {
	return eventstore.Cursor(base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s/%d/%d/%s", s.epoch, slice, position, commit)))
}

func (s *file) position(slice int, c eventstore.Cursor) (position int64, commit string, err error) {
	if c == "" {
		return 0, "", nil
	}
	bad := func() (int64, string, error) {
		return 0, "", fmt.Errorf("%w: %q is no cursor of slice %d", eventstore.ErrInvalid, string(c), slice)
	}
	raw, err := base64.RawURLEncoding.DecodeString(string(c))
	parts := strings.SplitN(string(raw), "/", 4)
	if err != nil || len(parts) != 4 {
		return bad()
	}
	if parts[0] != s.epoch {
		return 0, "", eventstore.ErrEpoch
	}
	position, err = strconv.ParseInt(parts[2], 10, 64)
	if err != nil || parts[1] != strconv.Itoa(slice) {
		return bad()
	}
	return position, parts[3], nil
}

// sameLife checks that the event at a cursor's position still belongs to the cursor's commit.
func (s *file) sameLife(ctx context.Context, position int64, commit string) error {
	if position == 0 {
		return nil
	}
	var found string
	err := s.queries.row(ctx, "SELECT commit_id FROM events WHERE position = ?", []any{position}, &found)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && found != commit:
		return eventstore.ErrEpoch
	case err != nil:
		return s.readError("feed", err)
	}
	return nil
}

// LoadSnapshot implements eventstore.Store.
func (s *file) LoadSnapshot(ctx context.Context, stream string, fold int) (eventstore.Snapshot, bool, error) {
	if s.writer.isStopped() {
		return eventstore.Snapshot{}, false, eventstore.ErrClosed
	}
	snap := eventstore.Snapshot{Stream: stream, Fold: fold}
	err := s.queries.row(ctx, "SELECT version, data FROM snapshots WHERE stream = ? AND fold = ?", []any{stream, fold}, &snap.Version, &snap.Data)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return eventstore.Snapshot{}, false, nil
	case err != nil:
		return eventstore.Snapshot{}, false, s.readError("load snapshot", err)
	}
	return snap, true, nil
}
