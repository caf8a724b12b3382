package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/timeline"
)

// ErrNoVersion matches the errors about a version that a member's history does not have.
var ErrNoVersion = errors.New("app: the history has no such version")

// Past is a member's state at the points that were asked for, in their order.
type Past struct {
	States []timeline.State
	// Version is the newest version that was read.
	Version   int64
	DecidedOn []license.Basis
}

// History returns a member's state at each of some points. It reads the whole stream, once, and
// what still waits in the journal is not part of it. Do not base a decision on it.
func (s *Service) History(ctx context.Context, member string, points ...timeline.Point) (Past, error) {
	if err := checkID("member", member); err != nil {
		return Past{}, err
	}
	c := &command{identity: identity{Member: member, Name: "history"}, at: s.now()}
	builders := make([]*timeline.Builder, len(points))
	for i, p := range points {
		builders[i] = timeline.NewBuilder(p, c.at)
	}
	var past Past
	_, source, err := s.members.History(ctx, Stream(member), 0, func(stored []eventstore.Event) error {
		entries, err := timeline.Decode(s.codec, stored)
		if err != nil {
			return err
		}
		for _, e := range entries {
			past.Version = e.Stored.Version
			for _, b := range builders {
				if err := b.Add(e); err != nil {
					return err
				}
			}
		}
		return nil
	})
	switch {
	case storeFailed(err):
		return Past{}, c.storeUnavailable(err)
	case err != nil:
		return Past{}, err
	}
	c.shownBy(source)
	past.DecidedOn = c.on
	for i, b := range builders {
		state, ok := b.State()
		if !ok {
			return Past{}, fmt.Errorf("%w: version %d was asked for, and the newest is %d", ErrNoVersion, points[i].Version, past.Version)
		}
		past.States = append(past.States, state)
	}
	return past, nil
}
