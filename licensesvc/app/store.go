package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/resilience"
)

// EventStore is the name of the event store among the dependencies.
const EventStore = eventstore.Name

// remote is the source of data from the store's other region.
const remote = "remote"

// read loads the tail of a stream and calls each with its events. It returns the stream's
// version, and where the data came from.
func (s *Service) read(ctx context.Context, q eventstore.Query, each func([]eventstore.Event) error) (int64, string, error) {
	source := resilience.Live.String()
	for {
		page, err := s.store.Load(ctx, q)
		if err != nil {
			return 0, "", err
		}
		if page.Remote {
			source = remote
		}
		if len(page.Events) > 0 {
			if err := each(page.Events); err != nil {
				return 0, "", err
			}
			q.After = page.Events[len(page.Events)-1].Version
		}
		if !page.More {
			return page.Version, source, nil
		}
	}
}

// encode encodes the events of a commit.
func (s *Service) encode(c *command, events []license.Event) ([]eventstore.Event, error) {
	stored := make([]eventstore.Event, len(events))
	for i, e := range events {
		var err error
		if stored[i], err = s.codec.Encode(e); err != nil {
			return nil, fmt.Errorf("app: %w", err)
		}
		stored[i].Recorded, stored[i].Cause, stored[i].Correlation = c.at, c.Name, c.Key
		stored[i].Trace, stored[i].Actor = c.meta.Trace, c.meta.Actor
	}
	return stored, nil
}

// errUndecided means that the outcome of an append is unknown and could not be found out in time.
var errUndecided = errors.New("app: the outcome of the append is not known")

// commit appends, and finds out whether the commit was stored if there was no answer. The outcome
// Rejected means that the commit can never be stored.
func (s *Service) commit(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	done, err := s.store.Append(ctx, c)
	switch {
	case errors.Is(err, eventstore.ErrFenced):
		return eventstore.Appended{Outcome: eventstore.Rejected}, nil
	case done.Outcome != eventstore.Unknown:
		return done, err
	}
	found, lost := s.store.Resolve(ctx, c.Stream, c.ID)
	if lost != nil || found.Outcome == eventstore.Unknown {
		return eventstore.Appended{}, errors.Join(errUndecided, err, lost)
	}
	return found, nil
}
