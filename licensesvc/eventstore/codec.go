package eventstore

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Upcaster converts the JSON of one schema version into that of the next.
type Upcaster func(data []byte) ([]byte, error)

// Codec converts domain events into stored events and back, whatever schema version they were
// written in. Register all types first; after that it is safe for concurrent use.
type Codec[E any] struct{ kinds map[string]kind[E] }

type kind[E any] struct {
	schema  int
	decode  func([]byte) (E, error)
	upcasts []Upcaster // the n-th turns schema n+1 into n+2
}

// Register adds a type of event. Its current schema version is one more than the number of
// upcasters.
func Register[T, E any](c *Codec[E], name string, as func(T) E, upcasts ...Upcaster) {
	if c.kinds == nil {
		c.kinds = map[string]kind[E]{}
	}
	c.kinds[name] = kind[E]{schema: len(upcasts) + 1, upcasts: slices.Clone(upcasts), decode: func(data []byte) (E, error) {
		var v T
		if err := json.Unmarshal(data, &v); err != nil {
			var none E
			return none, err
		}
		return as(v), nil
	}}
}

// Names returns the registered types, in order.
func (c *Codec[E]) Names() []string {
	var names []string
	for name := range c.kinds {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Encode returns an event for the store.
func (c *Codec[E]) Encode(name string, e E) (Event, error) {
	k, ok := c.kinds[name]
	if !ok {
		return Event{}, fmt.Errorf("%w: no codec for event type %q", ErrInvalid, name)
	}
	data, err := json.Marshal(e)
	if err != nil {
		return Event{}, fmt.Errorf("%w: event type %q: %w", ErrInvalid, name, err)
	}
	return Event{Type: name, Schema: k.schema, Data: data}, nil
}

// Decode reads a stored event of any schema version up to the current one. The
// error names stream, version, type and schema.
func (c *Codec[E]) Decode(e Event) (E, error) {
	var none E
	fail := func(err error) (E, error) {
		return none, fmt.Errorf("%w: stream %s version %d, event type %q schema %d: %w", ErrCorrupt, e.Stream, e.Version, e.Type, e.Schema, err)
	}
	k, ok := c.kinds[e.Type]
	if !ok {
		return fail(fmt.Errorf("unknown type; this program knows %v", c.Names()))
	}
	if e.Schema < 1 || e.Schema > k.schema {
		return fail(fmt.Errorf("unknown schema; this program knows 1 to %d: it may be older than the writer", k.schema))
	}
	data := e.Data
	for _, up := range k.upcasts[e.Schema-1:] {
		var err error
		if data, err = up(data); err != nil {
			return fail(err)
		}
	}
	v, err := k.decode(data)
	if err != nil {
		return fail(err)
	}
	return v, nil
}
