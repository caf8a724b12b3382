package cache

import (
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/internal/lru"
)

// store keeps entries, by address and variant, within a bound of bytes; the least recently
// used goes first. The cache's lock guards it. A look-up costs the same however many
// variants there are.
type store struct {
	entries *lru.Cache[variant, *entry]
	at      map[string]*resource
}

// variant is the name of an entry.
type variant struct{ address, vary, values string }

// resource is what is known of the entries of one address.
type resource struct {
	// choices are the lists of field names by which its answers were chosen (Vary), the
	// newest first. A server that keeps changing them loses the oldest.
	choices []*choice
	// varies are the lists of field names of choices. It is replaced and never changed.
	varies [][]string
}

// choice is the answers that one list of fields has chosen.
type choice struct {
	vary   []string
	values map[string]struct{} // of those fields, for which there is an entry
}

// maxChoices is how many lists of fields are told apart for an address.
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

// size is how many bytes are kept.
func (s *store) size() int64 { return s.entries.Size() }

// varies returns the lists of fields by which answers of an address were chosen, and
// whether there are any answers.
func (s *store) varies(key string) (lists [][]string, known bool) {
	if at := s.at[key]; at != nil {
		return at.varies, true
	}
	return nil, false
}

// find returns the newest entry that answers a request for an address and may be used
// (RFC 9111, section 4.1). values are what the request has in the lists of fields.
func (s *store) find(key string, lists [][]string, values []string, use func(*entry) bool) *entry {
	var newest *entry
	for i, vary := range lists {
		e, ok := s.entries.Peek(nameOf(key, vary, values[i]))
		if ok && use(e) && (newest == nil || e.newer(newest)) {
			newest = e
		}
	}
	if newest != nil {
		s.entries.Get(newest.variant()) // it is used now
	}
	return newest
}

// put keeps an entry in place of the one that answered the same requests, and reports
// whether it did: it does not if that one is newer, or if the entry is too large.
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

// drop forgets all entries for an address.
func (s *store) drop(key string) {
	if r := s.at[key]; r != nil {
		for _, c := range slices.Clone(r.choices) {
			s.forgetAll(key, c)
		}
	}
}

// forget drops one entry, if it is still kept.
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

// unlink forgets the name of an entry that is kept no more.
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

// choice returns the answers that a list of fields has chosen.
func (r *resource) choice(vary []string) *choice {
	for _, c := range r.choices {
		if slices.Equal(c.vary, vary) {
			return c
		}
	}
	return nil
}

// list makes varies anew.
func (r *resource) list() {
	r.varies = make([][]string, len(r.choices))
	for i, c := range r.choices {
		r.varies[i] = c.vary
	}
}
