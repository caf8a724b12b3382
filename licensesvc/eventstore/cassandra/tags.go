package cassandra

import (
	"context"
	"fmt"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// errTags says why this store refuses tags and conditions.
var errTags = fmt.Errorf("%w: Cassandra checks a condition only within one partition, and the events of a tag are in many streams, "+
	"each in partitions of its own; append without tags and conditions, or keep the events in SQLite", eventstore.ErrUnsupported)

// refuseTags refuses a commit that this store could store, but not keep what it asks for. Tags are
// refused without a condition too: nothing could find the events by them.
func refuseTags(c eventstore.Commit) error {
	if c.Tagged() {
		return fmt.Errorf("eventstore/cassandra: append %s to %s: %w", c.ID, c.Stream, errTags)
	}
	return nil
}

// CheckTags implements eventstore.TagLoader.
func (s *Store) CheckTags() error { return fmt.Errorf("eventstore/cassandra: %w", errTags) }

// LoadTagged implements eventstore.TagLoader. It always answers eventstore.ErrUnsupported.
func (s *Store) LoadTagged(context.Context, eventstore.TagQuery, eventstore.Position, int) (eventstore.TagPage, error) {
	if err := s.check(); err != nil {
		return eventstore.TagPage{}, err
	}
	return eventstore.TagPage{}, fmt.Errorf("eventstore/cassandra: load by tag: %w", errTags)
}
