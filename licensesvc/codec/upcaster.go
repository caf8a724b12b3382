package codec

import (
	"errors"
	"fmt"
)

// Record is a value in stored form.
type Record struct {
	Type   string
	Schema int
	// Data is JSON.
	Data []byte
}

// Version returns the type and the schema version of the record.
func (r Record) Version() Version { return Version{r.Type, r.Schema} }

// Version is one schema version of a type. The versions of a type count from 1.
type Version struct {
	Type   string
	Schema int
}

func (v Version) String() string { return fmt.Sprintf("%s@%d", v.Type, v.Schema) }

// Upcaster converts the records of one version into records of later versions. Make one with
// Change, Rename, Split or Drop.
type Upcaster struct {
	name    string
	from    Version
	to      []Version
	convert func(data []byte) ([]Record, error)
}

// Change returns an upcaster to the next version of the same type.
func Change(name string, from Version, convert func(data []byte) ([]byte, error)) Upcaster {
	to := Version{from.Type, from.Schema + 1}
	return Upcaster{name: name, from: from, to: []Version{to}, convert: func(data []byte) ([]Record, error) {
		changed, err := convert(data)
		return []Record{{to.Type, to.Schema, changed}}, err
	}}
}

// Rename returns an upcaster to another type whose JSON is the same.
func Rename(name string, from, to Version) Upcaster {
	return Upcaster{name: name, from: from, to: []Version{to}, convert: func(data []byte) ([]Record, error) {
		return []Record{{to.Type, to.Schema, data}}, nil
	}}
}

// Split returns an upcaster from one record to any number of records, whose order is kept. It
// may return records of the versions in to only.
func Split(name string, from Version, to []Version, convert func(data []byte) ([]Record, error)) Upcaster {
	return Upcaster{name: name, from: from, to: to, convert: convert}
}

// Drop returns an upcaster that leaves nothing of a record.
func Drop(name string, from Version) Upcaster {
	return Upcaster{name: name, from: from, convert: func([]byte) ([]Record, error) { return nil, nil }}
}

func (u Upcaster) apply(data []byte) ([]Record, error) {
	records, err := u.convert(data)
	if err != nil {
		return nil, fmt.Errorf("upcaster %q from %s: %w", u.name, u.from, err)
	}
	for _, r := range records {
		if !contains(u.to, r.Version()) {
			return nil, fmt.Errorf("upcaster %q from %s made %s, which it does not declare", u.name, u.from, r.Version())
		}
	}
	return records, nil
}

func contains(all []Version, v Version) bool {
	for _, other := range all {
		if other == v {
			return true
		}
	}
	return false
}

// chains are the upcasters by the version that they convert.
type chains map[Version]Upcaster

func newChains(upcasters []Upcaster) (chains, error) {
	var errs []error
	c, names := chains{}, map[string]bool{}
	for _, u := range upcasters {
		if u.name == "" || names[u.name] {
			errs = append(errs, fmt.Errorf("codec: the upcaster from %s has the name %q: give each a name that no other has", u.from, u.name))
		}
		names[u.name] = true
		if u.convert == nil || u.from.Type == "" || u.from.Schema < 1 {
			errs = append(errs, fmt.Errorf("codec: upcaster %q from %s: give a type, a schema version from 1, and a conversion", u.name, u.from))
		}
		if other, taken := c[u.from]; taken {
			errs = append(errs, fmt.Errorf("codec: upcasters %q and %q both convert %s", other.name, u.name, u.from))
		}
		c[u.from] = u
	}
	return c, errors.Join(errs...)
}

// check returns the problems of the chains that end at the current versions.
func (c chains) check(newest map[string]int, current func(Version) bool) error {
	var errs []error
	for name, schema := range newest {
		for n := 1; n <= schema; n++ {
			v := Version{name, n}
			if _, ok := c[v]; !ok && !current(v) {
				errs = append(errs, fmt.Errorf("codec: nothing converts %s, so records of that version can't be read: add an upcaster", v))
			}
		}
	}
	for v, u := range c {
		if current(v) {
			errs = append(errs, fmt.Errorf("codec: upcaster %q converts %s, which is a current version", u.name, v))
		}
		for _, to := range u.to {
			if _, known := c[to]; !known && !current(to) {
				errs = append(errs, fmt.Errorf("codec: upcaster %q leads to %s, which nothing can read", u.name, to))
			}
		}
		if c.leadsTo(v, v, map[Version]bool{}) {
			errs = append(errs, fmt.Errorf("codec: upcaster %q leads back to %s", u.name, v))
		}
	}
	return errors.Join(errs...)
}

// leadsTo reports whether the upcasters lead from one version to another.
func (c chains) leadsTo(from, to Version, seen map[Version]bool) bool {
	for _, next := range c[from].to {
		if next == to {
			return true
		}
		if !seen[next] {
			seen[next] = true
			if c.leadsTo(next, to, seen) {
				return true
			}
		}
	}
	return false
}
