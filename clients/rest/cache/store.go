package cache

import (
	"container/list"
	"slices"
)

// store keeps entries, by address and variant, within a bound of bytes; the least recently
// used goes first. The cache's lock guards it. A look-up costs the same however many
// variants there are.
type store struct {
	limit, size int64
	used        list.List // of *entry, newest use first
	at          map[string]*resource
}

// resource is what is kept for one address.
type resource struct {
	// choices are the lists of field names by which its answers were chosen (Vary), the
	// newest first. A server that keeps changing them loses the oldest.
	choices []*choice
	// varies are the lists of field names of choices. It is replaced and never changed.
	varies [][]string
}

// choice is the answers that one list of fields has chosen, by the values of those fields.
type choice struct {
	vary     []string
	variants map[string]*list.Element
}

// maxChoices is how many lists of fields are told apart for an address.
const maxChoices = 4

func newStore(limit int64) store { return store{limit: limit, at: map[string]*resource{}} }

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
	at := s.at[key]
	if at == nil {
		return nil
	}
	var newest *list.Element
	for i, vary := range lists {
		c := at.choice(vary)
		if c == nil {
			continue // it has gone meanwhile
		}
		el := c.variants[values[i]]
		if el != nil && use(el.Value.(*entry)) && (newest == nil || el.Value.(*entry).newer(newest.Value.(*entry))) {
			newest = el
		}
	}
	if newest == nil {
		return nil
	}
	s.used.MoveToFront(newest)
	return newest.Value.(*entry)
}

// put keeps an entry in place of the one that answered the same requests, and reports
// whether it did: it does not if that one is newer, or if the entry is too large.
func (s *store) put(e *entry) bool {
	if e.size > s.limit {
		return false
	}
	if el := s.element(e); el != nil {
		if el.Value.(*entry).newer(e) {
			return false
		}
		s.remove(el)
	}
	r := s.at[e.key]
	if r == nil {
		r = &resource{}
		s.at[e.key] = r
	}
	c := r.choice(e.vary)
	if c == nil {
		if len(r.choices) == maxChoices {
			s.removeAll(r.choices[maxChoices-1])
		}
		c = &choice{vary: e.vary, variants: map[string]*list.Element{}}
		r.choices = slices.Insert(r.choices, 0, c)
		r.list()
	}
	c.variants[e.values] = s.used.PushFront(e)
	for s.size += e.size; s.size > s.limit; {
		s.remove(s.used.Back())
	}
	return true
}

// drop forgets all entries for an address.
func (s *store) drop(key string) {
	if r := s.at[key]; r != nil {
		for _, c := range slices.Clone(r.choices) {
			s.removeAll(c)
		}
	}
}

// forget drops one entry, if it is still kept.
func (s *store) forget(e *entry) {
	if el := s.element(e); el != nil && el.Value.(*entry) == e {
		s.remove(el)
	}
}

// element is where the entry of the same requests is.
func (s *store) element(e *entry) *list.Element {
	if r := s.at[e.key]; r != nil {
		if c := r.choice(e.vary); c != nil {
			return c.variants[e.values]
		}
	}
	return nil
}

func (s *store) removeAll(c *choice) {
	for _, el := range c.variants {
		s.remove(el)
	}
}

func (s *store) remove(el *list.Element) {
	e := s.used.Remove(el).(*entry)
	s.size -= e.size
	r := s.at[e.key]
	c := r.choice(e.vary)
	delete(c.variants, e.values)
	if len(c.variants) > 0 {
		return
	}
	r.choices = slices.DeleteFunc(r.choices, func(other *choice) bool { return other == c })
	r.list()
	if len(r.choices) == 0 {
		delete(s.at, e.key)
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
