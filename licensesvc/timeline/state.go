package timeline

import (
	"fmt"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// Entry is one stored event with what this program makes of it: usually one domain event, several
// if an old event was split, and a license.Unknown if a newer program wrote it.
type Entry struct {
	Stored eventstore.Event
	Events []license.Event
}

// Decoder decodes stored events. *wire.Codec implements it.
type Decoder interface {
	Decode(stored eventstore.Event) ([]license.Event, error)
}

// Decode returns the entries of stored events.
func Decode(d Decoder, stored []eventstore.Event) ([]Entry, error) {
	entries := make([]Entry, 0, len(stored))
	for _, e := range stored {
		events, err := d.Decode(e)
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{Stored: e, Events: events})
	}
	return entries, nil
}

// State is a member's state at a point.
type State struct {
	// Point is the question.
	Point Point
	// Version is the version of the last event that counts. Events is the number of events that
	// count; at an occurred time it can be smaller, because reports come late.
	Version, Events int64
	// AsOf is the moment for which the statuses of licenses are given: the time of the question;
	// for a version, when its event was recorded; at the end, the present.
	AsOf time.Time
	// Member is the folded state.
	Member license.State
}

// License is a license with its status.
type License struct {
	license.License
	Status license.Status `json:"status"`
}

// Licenses returns the licenses, oldest first. If only is not empty, it is the id of the only
// license to return.
func (s State) Licenses(only string) []License {
	all := []License{}
	for _, l := range s.Member.Licenses() {
		if only == "" || l.ID == only {
			all = append(all, License{License: l, Status: l.StatusAt(s.AsOf)})
		}
	}
	return all
}

// Builder folds a stream into the state at a point. Add the entries in the order of the stream. A
// Builder must not be used concurrently.
type Builder struct {
	point Point
	now   time.Time
	// read is the version up to which events were added.
	read int64
	// folded is the state of everything read so far; at an occurred time, of everything that
	// counts.
	folded license.State
	found  State
}

// NewBuilder returns a builder for a point. now is the present.
func NewBuilder(p Point, now time.Time) *Builder {
	b := &Builder{point: p, now: now, found: State{Point: p, AsOf: now}}
	if !p.At.IsZero() {
		b.found.AsOf = p.At
	}
	return b
}

// Add folds one entry. Entries after the point are only counted.
func (b *Builder) Add(e Entry) error {
	if e.Stored.Version != b.read+1 {
		return fmt.Errorf("%w: stream %s continues with version %d after %d", eventstore.ErrCorrupt, e.Stored.Stream, e.Stored.Version, b.read)
	}
	b.read++
	if b.point.By == Occurred && !b.point.At.IsZero() {
		return b.addHappened(e)
	}
	if b.point.Versioned && e.Stored.Version > b.point.Version {
		return nil
	}
	var err error
	if b.folded, err = fold(b.folded, e, e.Events); err != nil {
		return err
	}
	// An event that was recorded in time proves that all before it were stored, whatever the
	// clocks of other writers say.
	if b.point.Versioned || b.point.At.IsZero() || !e.Stored.Recorded.After(b.point.At) {
		b.found.Member, b.found.Version, b.found.Events = b.folded, e.Stored.Version, e.Stored.Version
		if b.point.Versioned {
			b.found.AsOf = e.Stored.Recorded
		}
	}
	return nil
}

// addHappened folds an entry if it had occurred. What a device dates before the grant of its
// license counts from the grant on, as it does for the rules.
func (b *Builder) addHappened(e Entry) error {
	if e.Stored.Occurred.After(b.point.At) {
		return nil
	}
	var happened []license.Event
	for _, event := range e.Events {
		if begins(event) || b.has(event.Of()) {
			happened = append(happened, event)
		}
	}
	if len(happened) == 0 {
		return nil
	}
	next, err := fold(b.found.Member, e, happened)
	if err != nil {
		return err
	}
	b.found.Member, b.found.Version = next, e.Stored.Version
	b.found.Events++
	return nil
}

// begins reports whether an event needs no earlier one.
func begins(e license.Event) bool {
	switch e.(type) {
	case license.Granted, license.Promised, license.Unknown:
		return true
	}
	return false
}

// has reports whether the grant of a license counts, or an unknown event that may be one.
func (b *Builder) has(id string) bool {
	_, ok := b.found.Member.License(id)
	return ok
}

func fold(s license.State, e Entry, events []license.Event) (license.State, error) {
	next, err := license.Fold(s, events...)
	if err != nil {
		return s, fmt.Errorf("%w: stream %s version %d: %w", eventstore.ErrCorrupt, e.Stored.Stream, e.Stored.Version, err)
	}
	return next, nil
}

// Read returns the version up to which entries were added.
func (b *Builder) Read() int64 { return b.read }

// State returns the state at the point. If the point is a version that the stream does not have,
// ok is false, and the state is that of the newest version.
func (b *Builder) State() (s State, ok bool) {
	return b.found, !b.point.Versioned || b.point.Version <= b.read
}
