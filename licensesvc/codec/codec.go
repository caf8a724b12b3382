package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

var (
	// ErrNewer: the record has a type or a schema version that this program does not know. A
	// newer program wrote it, so keep it as it is.
	ErrNewer = errors.New("codec: written by a newer program")
	// ErrCorrupt: the record can't be read although its version is known.
	ErrCorrupt = errors.New("codec: corrupt")
	// ErrType: a value was to be encoded as a type that the codec does not have.
	ErrType = errors.New("codec: unknown type")
)

// Type is a type of values, in its current version. Make one with TypeOf.
type Type[E any] struct {
	version Version
	model   reflect.Type
	decode  func([]byte) (E, error)
	encode  func(E) any
}

// TypeOf returns a type whose values are a T, and are encoded as its JSON.
func TypeOf[T, E any](name string, schema int, as func(T) E) Type[E] {
	return Type[E]{version: Version{name, schema}, model: reflect.TypeFor[T](), decode: func(data []byte) (E, error) {
		var v T
		if err := json.Unmarshal(data, &v); err != nil {
			var none E
			return none, err
		}
		return as(v), nil
	}, encode: func(v E) any { return v }}
}

// TypeFrom returns a type whose values are converted to a T to encode them.
func TypeFrom[T, E any](name string, schema int, as func(T) E, from func(E) T) Type[E] {
	t := TypeOf(name, schema, as)
	t.encode = func(v E) any { return from(v) }
	return t
}

// Version returns the current version of the type.
func (t Type[E]) Version() Version { return t.version }

// Codec encodes and decodes the values of several types. It does not change, is safe for
// concurrent use and need not be closed. A panic in an upcaster reaches the caller.
type Codec[E any] struct {
	types  map[string]Type[E]
	steps  chains
	newest map[string]int // the newest schema version of each type name, historic names too
}

// New returns a codec. It returns every problem of the types and the upcasters at once: a gap, a
// cycle, an end that nothing can read, two upcasters for one version.
func New[E any](types []Type[E], upcasters []Upcaster) (*Codec[E], error) {
	var errs []error
	c := &Codec[E]{types: map[string]Type[E]{}, newest: map[string]int{}}
	for _, t := range types {
		if _, twice := c.types[t.version.Type]; twice || t.version.Type == "" || t.version.Schema < 1 || t.decode == nil {
			errs = append(errs, fmt.Errorf("codec: type %s: give each type one current version, from 1, made by TypeOf", t.version))
		}
		c.types[t.version.Type], c.newest[t.version.Type] = t, t.version.Schema
	}
	var err error
	c.steps, err = newChains(upcasters)
	errs = append(errs, err)
	for v := range c.steps {
		c.newest[v.Type] = max(c.newest[v.Type], v.Schema)
	}
	errs = append(errs, c.steps.check(c.newest, c.current))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Codec[E]) current(v Version) bool {
	t, ok := c.types[v.Type]
	return ok && t.version == v
}

// Versions returns every version that can be read, in order.
func (c *Codec[E]) Versions() []Version {
	var all []Version
	for _, name := range slices.Sorted(maps.Keys(c.newest)) {
		for n := 1; n <= c.newest[name]; n++ {
			all = append(all, Version{name, n})
		}
	}
	return all
}

// Model returns the Go type of a version, if it is the current one of its type.
func (c *Codec[E]) Model(v Version) (reflect.Type, bool) {
	if !c.current(v) {
		return nil, false
	}
	return c.types[v.Type].model, true
}

// Names returns every name under which records of the given types may be stored: the current
// ones, and historic ones that lead to them. Without arguments it returns all names. A filter by
// type must ask for all of them.
func (c *Codec[E]) Names(types ...string) []string {
	names := map[string]bool{}
	for _, v := range c.Versions() {
		if len(types) == 0 || slices.Contains(types, v.Type) || slices.ContainsFunc(types, func(name string) bool {
			t, ok := c.types[name]
			return ok && c.steps.leadsTo(v, t.version, map[Version]bool{})
		}) {
			names[v.Type] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Encode returns the record of a value, in the current version of its type.
func (c *Codec[E]) Encode(name string, v E) (Record, error) {
	t, ok := c.types[name]
	if !ok {
		return Record{}, fmt.Errorf("%w: %q", ErrType, name)
	}
	data, err := json.Marshal(t.encode(v))
	if err != nil {
		return Record{}, fmt.Errorf("codec: type %q: %w", name, err)
	}
	return Record{t.version.Type, t.version.Schema, data}, nil
}

// Decode appends the values of a record to values: usually one, and none or several if an
// upcaster drops or splits the record. The error matches ErrNewer or ErrCorrupt, names the
// version, and leaves values as they were.
func (c *Codec[E]) Decode(values []E, r Record) ([]E, error) {
	if r.Schema < 1 {
		return values, fmt.Errorf("%w: %s: schema versions count from 1", ErrCorrupt, r.Version())
	}
	newest, known := c.newest[r.Type]
	switch {
	case !known:
		return values, fmt.Errorf("%w: %s is not one of %v", ErrNewer, r.Version(), c.Names())
	case r.Schema > newest:
		return values, fmt.Errorf("%w: %s, this program knows up to %d", ErrNewer, r.Version(), newest)
	}
	decoded, err := c.decode(values, r)
	if err != nil {
		return values, fmt.Errorf("%w: %s: %w", ErrCorrupt, r.Version(), err)
	}
	return decoded, nil
}

func (c *Codec[E]) decode(values []E, r Record) ([]E, error) {
	if !c.current(r.Version()) {
		records, err := c.steps[r.Version()].apply(r.Data)
		if err != nil {
			return values, err
		}
		for _, next := range records {
			if values, err = c.decode(values, next); err != nil {
				return values, err
			}
		}
		return values, nil
	}
	if !bytes.HasPrefix(bytes.TrimLeft(r.Data, " \t\r\n"), []byte("{")) {
		return values, errors.New("it is no JSON object")
	}
	v, err := c.types[r.Type].decode(r.Data)
	if err != nil {
		return values, err
	}
	return append(values, v), nil
}
