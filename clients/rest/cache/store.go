package cache

import (
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/internal/lru"
)

// store holds entries by address and variant, within a limit in bytes. It evicts the least
// recently used first. The cache's lock guards it. The cost of a look-up does not depend on
// the number of variants.
type store struct {
	entries *lru.Cache[variant, *entry]
	at      map[string]*resource
}

// variant identifies an entry.
type variant struct{ address, vary, values string }

// resource indexes the entries of one address.
type resource struct {
	// choices holds one element per list of field names in Vary, the newest first. There are
	// at most maxChoices; the oldest is dropped.
	choices []*choice
	// varies holds the lists of field names. It is replaced, and never modified.
	varies [][]string
}

// choice indexes the entries that were selected by one list of fields.
type choice struct {
	vary   []string
	values map[string]struct{} // of those fields, as valuesOf returns them
}

// maxChoices limits the lists of fields per address.
const maxChoices = 4

func newStore(limit int64) store {
	s := store{at: map[string]*resource{}}
	s.entries = lru.New(lru.Bounds{Size: limit}, func(v variant, e *entry) { unlink(s.at, v, e) })
	return s
}

func nameOf(address string, vary []string, values string) variant {
	return variant{address, strings.Join(vary, ","), values}
}

func (e *entry) variant() variant { return nameOf(e.key, e.vary, e.values) }

// size returns the memory that entries take, in bytes.
func (s *store) size() int64 { return s.entries.Size() }

// varies returns the lists of fields that selected the entries of an address, and whether
// there are any entries.
func (s *store) varies(key string) (lists [][]string, known bool) {
	if at := s.at[key]; at != nil {
		return at.varies, true
	}
	return nil, false
}

// find returns the newest entry that matches a request and may be used (RFC 9111, section
// 4.1). values are what the request has in the lists of fields, as valuesOf returns them.
func (s *store) find(key string, lists [][]string, values []string, use func(*entry) bool) *entry {
	var newest *entry
	for i, vary := range lists {
		e, ok := s.entries.Peek(nameOf(key, vary, values[i]))
		if ok && use(e) && (newest == nil || e.newer(newest)) {
			newest = e
		}
	}
	if newest != nil {
		s.entries.Get(newest.variant()) // marks it as used
	}
	return newest
}

// put stores an entry in place of the one that matches the same requests. It reports whether
// it did: not if that entry is newer, or if the new one is too large.
func (s *store) put(e *entry) bool {
	name := e.variant()
	if old, ok := s.entries.Peek(name); ok && old.newer(e) {
		return false
	}
	r := s.at[e.key]
	if r == nil {
		r = &resource{}
		s.at[e.key] = r
	}
	c := r.choice(e.vary)
	if c == nil {
		if len(r.choices) == maxChoices {
			s.forgetAll(e.key, r.choices[maxChoices-1])
		}
		c = &choice{vary: e.vary, values: map[string]struct{}{}}
		r.choices = slices.Insert(r.choices, 0, c)
		r.list()
	}
	c.values[e.values] = struct{}{}
	if !s.entries.Put(name, e, e.size, time.Time{}, time.Time{}) {
		unlink(s.at, name, e)
		return false
	}
	return true
}

// drop removes all entries of an address.
func (s *store) drop(key string) {
	if r := s.at[key]; r != nil {
		for _, c := range slices.Clone(r.choices) {
			s.forgetAll(key, c)
		}
	}
}

// forget removes an entry, if it is still stored.
func (s *store) forget(e *entry) {
	name := e.variant()
	if kept, ok := s.entries.Peek(name); ok && kept == e {
		s.entries.Delete(name)
		unlink(s.at, name, e)
	}
}

func (s *store) forgetAll(key string, c *choice) {
	for values := range c.values {
		if e, ok := s.entries.Peek(nameOf(key, c.vary, values)); ok {
			s.forget(e)
		}
	}
}

// unlink removes an entry that is no longer stored from the index.
func unlink(at map[string]*resource, name variant, e *entry) {
	r := at[name.address]
	c := r.choice(e.vary)
	delete(c.values, name.values)
	if len(c.values) > 0 {
		return
	}
	r.choices = slices.DeleteFunc(r.choices, func(other *choice) bool { return other == c })
	r.list()
	if len(r.choices) == 0 {
		delete(at, name.address)
	}
}

// choice returns the element for a list of fields, or nil.
func (r *resource) choice(vary []string) *choice {
	for _, c := range r.choices {
		if slices.Equal(c.vary, vary) {
			return c
		}
	}
	return nil
}

// list rebuilds varies.
func (r *resource) list() {
	r.varies = make([][]string, len(r.choices))
	for i, c := range r.choices {
		r.varies[i] = c.vary
	}
}
