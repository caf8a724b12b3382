package eventstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// ErrUnsupported: this kind of store cannot do what was asked, so a repeat can't succeed. The text
// says why, and which store can. It also matches errors.ErrUnsupported.
var ErrUnsupported = fmt.Errorf("eventstore: %w", errors.ErrUnsupported)

// The limits of tags. An append that exceeds them is refused as a whole.
const (
	// MaxTags is the highest number of tags of an event, and of tags and types of a TagQuery.
	MaxTags = 16
	// MaxTagBytes is the highest length of a tag.
	MaxTagBytes = 256
)

// TagQuery selects events of all streams: those that have at least one of the tags and, if there
// are types, one of the types.
type TagQuery struct {
	// Tags are 1 to MaxTags tags. Required.
	Tags []string
	// Types are at most MaxTags types. They must include the names under which events of these
	// kinds were stored in the past. Nil: events of all types.
	Types []string
}

// Position is a place in the order in which a store has stored its tagged events. It is opaque and
// holds the store's epoch. The zero value is the beginning.
type Position string

// TagPage is a part of the events that a TagQuery selects.
type TagPage struct {
	// Events are in the order in which they were stored.
	Events []Event
	// Position is the place of the last event, or the one that the caller gave if there are no
	// events. It is what a decision on these events puts into its Condition.
	Position Position
	// More says that there are further events after Position.
	More bool
}

// Condition is what must still be true when a commit is stored: that no event that the query
// selects has been stored after a position. The store checks it in the same transaction in which it
// stores the commit. An event counts however it was appended, with a condition or without one.
type Condition struct {
	TagQuery
	// After is the position up to which the decision has seen the selected events. The zero value
	// means that it saw none, so there must be none.
	After Position
}

// TagLoader reads events by their tags. A store that can't keep a Condition answers ErrUnsupported,
// and refuses commits with a condition or with tags in the same way.
type TagLoader interface {
	// CheckTags returns nil, or ErrUnsupported with the reason. It asks nobody, so that a program can
	// refuse at its start what it could never do.
	CheckTags() error
	// LoadTagged reads the next events that a query selects, at most limit and at most MaxEvents.
	// It sees every acknowledged append. A position from before the store was restored is refused
	// with ErrEpoch.
	LoadTagged(ctx context.Context, q TagQuery, after Position, limit int) (TagPage, error)
}

// Check returns every problem of the query at once; the error matches ErrInvalid.
func (q TagQuery) Check() error {
	var errs []error
	if len(q.Tags) == 0 || len(q.Tags) > MaxTags {
		errs = append(errs, fmt.Errorf("%w: the query has %d tags: give 1 to %d", ErrInvalid, len(q.Tags), MaxTags))
	}
	if len(q.Types) > MaxTags {
		errs = append(errs, fmt.Errorf("%w: the query has %d types, %d are allowed", ErrInvalid, len(q.Types), MaxTags))
	}
	return errors.Join(append(errs, checkTags("the query", q.Tags)...)...)
}

// checkTags returns the problems of the tags of an event or a query. A tag has no control
// characters, so that a store may use them as separators.
func checkTags(of string, tags []string) (errs []error) {
	if len(tags) > MaxTags {
		return []error{fmt.Errorf("%w: %s has %d tags, %d are allowed", ErrInvalid, of, len(tags), MaxTags)}
	}
	for i, tag := range tags {
		switch {
		case tag == "":
			errs = append(errs, fmt.Errorf("%w: tag %d of %s is empty", ErrInvalid, i, of))
		case len(tag) > MaxTagBytes:
			errs = append(errs, fmt.Errorf("%w: tag %d of %s has %d bytes, %d are allowed", ErrInvalid, i, of, len(tag), MaxTagBytes))
		case !utf8.ValidString(tag) || slices.ContainsFunc([]rune(tag), unicode.IsControl):
			errs = append(errs, fmt.Errorf("%w: tag %q of %s is not UTF-8, or has control characters", ErrInvalid, tag, of))
		case slices.Contains(tags[:i], tag):
			errs = append(errs, fmt.Errorf("%w: %s has tag %q twice", ErrInvalid, of, tag))
		}
	}
	return errs
}

// Tagged reports whether the commit has a condition or an event with tags, which not every store
// can keep.
func (c Commit) Tagged() bool {
	return c.Condition != nil || slices.ContainsFunc(c.Events, func(e Event) bool { return len(e.Tags) > 0 })
}

// LoadAllTagged reads all events that a query selects after a position, page by page, and calls
// each with the events of every page. It returns the position of the last one.
func LoadAllTagged(ctx context.Context, s TagLoader, q TagQuery, after Position, each func([]Event) error) (Position, error) {
	for {
		page, err := s.LoadTagged(ctx, q, after, MaxEvents)
		if err != nil {
			return after, err
		}
		if len(page.Events) > 0 {
			if err := each(page.Events); err != nil {
				return after, err
			}
		}
		after = page.Position
		if !page.More {
			return after, nil
		}
	}
}
