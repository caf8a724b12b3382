package wire

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/backstay-go/backstay/licensesvc/codec"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// Types returns the types of events in their current versions. To change a type, raise its
// version, add an upcaster from the version before to Upcasters, and keep a sample of the old
// version in testdata.
func Types() []codec.Type[license.Event] {
	return []codec.Type[license.Event]{
		typeOf[license.Granted](license.KindGranted, 2),
		typeOf[license.Promised](license.KindPromised, 2),
		typeOf[license.Confirmed](license.KindConfirmed, 1),
		typeOf[license.Downloaded](license.KindDownloaded, 1),
		typeOf[license.Renewed](license.KindRenewed, 2),
		typeOf[license.Played](license.KindPlayed, 1),
		typeOf[license.Released](license.KindReleased, 1),
		typeOf[license.Revoked](license.KindRevoked, 1),
	}
}

func typeOf[T license.Event](name string, schema int) codec.Type[license.Event] {
	return codec.TypeOf(name, schema, func(e T) license.Event { return e })
}

// Upcasters returns the upcasters from every older version.
func Upcasters() []codec.Upcaster {
	// Version 2 has country, device kind, notice and the limits that rules as data can set. A
	// renewal has its plan and its limits. What version 1 lacks is empty.
	same := func(data []byte) ([]byte, error) { return data, nil }
	return []codec.Upcaster{
		codec.Change("granted has a country", codec.Version{Type: license.KindGranted, Schema: 1}, same),
		codec.Change("promised has a country", codec.Version{Type: license.KindPromised, Schema: 1}, same),
		codec.Change("renewed has limits", codec.Version{Type: license.KindRenewed, Schema: 1}, same),
	}
}

// Codec encodes and decodes license events. It is safe for concurrent use and need not be closed.
type Codec struct{ events *codec.Codec[license.Event] }

// New returns the codec of this program.
func New() (*Codec, error) { return NewWith(Types(), Upcasters()) }

// NewWith returns a codec with other types and upcasters, such as those of a program that is
// older or newer than this one.
func NewWith(types []codec.Type[license.Event], upcasters []codec.Upcaster) (*Codec, error) {
	c, err := codec.New(types, upcasters)
	if err != nil {
		return nil, fmt.Errorf("wire: %w", err)
	}
	return &Codec{c}, nil
}

// Names returns every name under which events of the given kinds may be stored, historic names
// too. Without arguments it returns all names.
func (c *Codec) Names(kinds ...string) []string { return c.events.Names(kinds...) }

// Encode returns the stored form of an event. An unknown event keeps its form.
func (c *Codec) Encode(e license.Event) (eventstore.Event, error) {
	if u, ok := e.(license.Unknown); ok {
		return eventstore.Event{Type: u.Type, Schema: u.Schema, Occurred: u.Occurred, Data: u.Data}, nil
	}
	r, err := c.events.Encode(e.Kind(), e)
	if err != nil {
		return eventstore.Event{}, fmt.Errorf("%w: %w", eventstore.ErrInvalid, err)
	}
	return eventstore.Event{Type: r.Type, Schema: r.Schema, Occurred: e.When(), Data: r.Data}, nil
}

// Decode returns the events in a stored event: usually one, and none or several if an upcaster
// drops or splits it. They all have the stored event's version; their order within it is that of
// the slice. An event that a newer program wrote is returned as a license.Unknown. The error
// matches eventstore.ErrCorrupt and names stream, version, type and schema.
func (c *Codec) Decode(stored eventstore.Event) ([]license.Event, error) {
	return c.decode(nil, stored)
}

// DecodeAll returns the events in several stored events, in order.
func (c *Codec) DecodeAll(stored []eventstore.Event) ([]license.Event, error) {
	events := make([]license.Event, 0, len(stored))
	for _, e := range stored {
		var err error
		if events, err = c.decode(events, e); err != nil {
			return nil, err
		}
	}
	return events, nil
}

func (c *Codec) decode(events []license.Event, e eventstore.Event) ([]license.Event, error) {
	decoded, err := c.events.Decode(events, codec.Record{Type: e.Type, Schema: e.Schema, Data: e.Data})
	switch {
	case errors.Is(err, codec.ErrNewer):
		return append(events, unknown(e)), nil
	case err != nil:
		return events, fmt.Errorf("%w: stream %s version %d: %w", eventstore.ErrCorrupt, e.Stream, e.Version, err)
	}
	return decoded, nil
}

// unknown keeps what can be said about an event without knowing its type: every event names the
// one license that it concerns in the field license.
func unknown(e eventstore.Event) license.Unknown {
	var about struct {
		License string `json:"license"`
	}
	if err := json.Unmarshal(e.Data, &about); err != nil {
		about.License = "" // It concerns all of the member's licenses.
	}
	return license.Unknown{Type: e.Type, Schema: e.Schema, License: about.License, Occurred: e.Occurred, Data: e.Data}
}
