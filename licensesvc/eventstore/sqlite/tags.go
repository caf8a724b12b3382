package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// tagSeparator separates the tags in an event's row. A tag has no control characters.
const tagSeparator = "\n"

// anySlice is the slice of a position, which belongs to no slice.
const anySlice = -1

// tagsOf returns the tags of an event's row.
func tagsOf(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, tagSeparator)
}

// list returns texts as a JSON array, which SQLite's json_each reads, or "" if there are none.
func list(texts []string) (string, error) {
	if len(texts) == 0 {
		return "", nil
	}
	data, err := json.Marshal(texts)
	return string(data), err
}

// CheckTags implements eventstore.TagLoader.
func (s *file) CheckTags() error { return nil }

// LoadTagged implements eventstore.TagLoader. One statement reads all tags, so that a page shows
// the store at one moment, and its position leaves out no event. An entry of the index without its
// event is damage, which scan finds.
func (s *file) LoadTagged(ctx context.Context, q eventstore.TagQuery, after eventstore.Position, limit int) (eventstore.TagPage, error) {
	if s.writer.isStopped() {
		return eventstore.TagPage{}, eventstore.ErrClosed
	}
	if err := q.Check(); err != nil {
		return eventstore.TagPage{}, err
	}
	position, commit, err := s.position(anySlice, eventstore.Cursor(after))
	if err != nil {
		return eventstore.TagPage{}, err
	}
	if err := s.sameLife(ctx, position, commit); err != nil {
		return eventstore.TagPage{}, err
	}
	types, err := list(q.Types)
	if err != nil {
		return eventstore.TagPage{}, err
	}
	tags, err := list(q.Tags)
	if err != nil {
		return eventstore.TagPage{}, err
	}
	limit = pageLimit(limit)
	rows, err := s.queries.rows(ctx, "SELECT t.position, "+columns+` FROM
		(SELECT DISTINCT position FROM tags WHERE tag IN (SELECT value FROM json_each(?1)) AND position > ?2) t LEFT JOIN events e ON e.position = t.position
		WHERE ?3 = '' OR e.type IN (SELECT value FROM json_each(?3)) OR e.type IS NULL ORDER BY t.position LIMIT ?4`, tags, position, types, limit+1)
	if err != nil {
		return eventstore.TagPage{}, s.readError("load by tag", err)
	}
	events, at, err := scanTagged(rows, limit)
	if err != nil {
		return eventstore.TagPage{}, s.readError("load by tag", err)
	}
	page := eventstore.TagPage{Events: events, Position: after}
	if len(events) > limit {
		page.Events, page.More = events[:limit], true
	}
	if n := len(page.Events); n > 0 {
		page.Position = eventstore.Position(s.cursor(anySlice, at, page.Events[n-1].Commit))
	}
	return page, nil
}

// condition is a condition whose position has been read.
type condition struct {
	tags   []string
	types  string
	after  int64
	commit string // of the event at after
}

// condition reads a commit's condition. A position of another life of the store is refused here if
// the epoch shows it, and in the transaction if only the events do.
func (s *file) condition(c *eventstore.Condition) (*condition, error) {
	if c == nil {
		return nil, nil
	}
	position, commit, err := s.position(anySlice, eventstore.Cursor(c.After))
	if err != nil {
		return nil, err
	}
	types, err := list(c.Types)
	return &condition{tags: c.Tags, types: types, after: position, commit: commit}, err
}

// failed looks for events that break a condition. It runs in the transaction that stores the
// commit, so it sees everything that was stored before, also by the appends before it in this
// transaction.
func (w *writer) failed(ctx context.Context, c *condition) (eventstore.Appended, error) {
	if c.after > 0 {
		commit, found := "", false
		err := w.stmts.commitAt.query(ctx, func(row []driver.Value) error {
			commit, found = row[0].(string)
			return nil
		}, c.after)
		if err != nil {
			return eventstore.Appended{}, err
		}
		if !found || commit != c.commit {
			return eventstore.Appended{Outcome: eventstore.Rejected}, fmt.Errorf("condition: %w", eventstore.ErrEpoch)
		}
	}
	for _, tag := range c.tags {
		var events []eventstore.Event
		err := w.stmts.tagged.query(ctx, func(row []driver.Value) error {
			e, err := eventOf(row)
			events = append(events, e)
			return err
		}, tag, c.after, c.types, eventstore.MaxEvents)
		if err != nil {
			return eventstore.Appended{}, err
		}
		if len(events) > 0 {
			return eventstore.Appended{Outcome: eventstore.ConditionFailed, FailedTag: tag, Events: events}, nil
		}
	}
	return eventstore.Appended{}, nil
}

// scanTagged reads all rows and closes them. It returns the position of the event that ends a page
// of the given length.
func scanTagged(rows *sql.Rows, limit int) (events []eventstore.Event, last int64, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var position int64
		e, err := scan(rows, &position)
		if err != nil {
			return nil, 0, err
		}
		if len(events) < limit {
			last = position
		}
		events = append(events, e)
	}
	return events, last, rows.Err()
}
