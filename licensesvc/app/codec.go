package app

import (
	"fmt"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// Codec returns the codec of the license events. Register a new schema version of a type
// together with an upcaster from the version before.
func Codec() *eventstore.Codec[license.Event] {
	c := &eventstore.Codec[license.Event]{}
	register[license.Granted](c, license.KindGranted)
	register[license.Promised](c, license.KindPromised)
	register[license.Confirmed](c, license.KindConfirmed)
	register[license.Downloaded](c, license.KindDownloaded)
	register[license.Renewed](c, license.KindRenewed)
	register[license.Played](c, license.KindPlayed)
	register[license.Released](c, license.KindReleased)
	register[license.Revoked](c, license.KindRevoked)
	return c
}

func register[T license.Event](c *eventstore.Codec[license.Event], name string, upcasts ...eventstore.Upcaster) {
	eventstore.Register(c, name, func(e T) license.Event { return e }, upcasts...)
}

// decode decodes stored events of any schema version.
func decode(c *eventstore.Codec[license.Event], stored []eventstore.Event) ([]license.Event, error) {
	events := make([]license.Event, len(stored))
	for i, e := range stored {
		var err error
		if events[i], err = c.Decode(e); err != nil {
			return nil, err
		}
	}
	return events, nil
}

// encode encodes the events of a commit.
func (s *Service) encode(c *command, events []license.Event) ([]eventstore.Event, error) {
	stored := make([]eventstore.Event, len(events))
	for i, e := range events {
		var err error
		if stored[i], err = s.codec.Encode(e.Kind(), e); err != nil {
			return nil, fmt.Errorf("app: %w", err)
		}
		stored[i].Occurred, stored[i].Recorded = e.When(), c.at
		stored[i].Cause, stored[i].Correlation = c.Name, c.Key
		stored[i].Trace, stored[i].Actor = c.meta.Trace, c.meta.Actor
	}
	return stored, nil
}
