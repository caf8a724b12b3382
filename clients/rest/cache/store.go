package cache

import (
	"container/list"
	"net/http"
)

// store keeps entries, by address, within a bound of bytes; the least recently used
// goes first. The cache's lock guards it.
type store struct {
	limit, size int64
	used        list.List // of *entry, newest use first
	at          map[string][]*list.Element
}

// find returns the entry that answers a request for an address.
func (s *store) find(key string, r *http.Request) *entry {
	for _, el := range s.at[key] {
		if e := el.Value.(*entry); e.matches(r) {
			s.used.MoveToFront(el)
			return e
		}
	}
	return nil
}

// put keeps an entry in place of the one that answered the same requests.
func (s *store) put(e *entry) {
	if e.size > s.limit {
		return
	}
	for _, el := range s.at[e.key] {
		if same(el.Value.(*entry), e) {
			s.remove(el)
			break
		}
	}
	s.at[e.key] = append(s.at[e.key], s.used.PushFront(e))
	for s.size += e.size; s.size > s.limit; {
		s.remove(s.used.Back())
	}
}

func same(a, b *entry) bool {
	if len(a.vary) != len(b.vary) {
		return false
	}
	for i := range a.vary {
		if a.vary[i] != b.vary[i] || a.values[i] != b.values[i] {
			return false
		}
	}
	return true
}

// drop forgets all entries for an address.
func (s *store) drop(key string) {
	for len(s.at[key]) > 0 {
		s.remove(s.at[key][0])
	}
}

// forget drops one entry, if it is still kept.
func (s *store) forget(e *entry) {
	for _, el := range s.at[e.key] {
		if el.Value.(*entry) == e {
			s.remove(el)
			return
		}
	}
}

func (s *store) remove(el *list.Element) {
	e := s.used.Remove(el).(*entry)
	s.size -= e.size
	rest := s.at[e.key][:0]
	for _, other := range s.at[e.key] {
		if other != el {
			rest = append(rest, other)
		}
	}
	if len(rest) == 0 {
		delete(s.at, e.key)
		return
	}
	clear(s.at[e.key][len(rest):])
	s.at[e.key] = rest
}
