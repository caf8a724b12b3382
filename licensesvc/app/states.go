package app

import (
	"container/list"
	"sync"
	"time"

	"github.com/backstay-go/backstay/licensesvc/license"
)

// folded is a member's state at a version. It is a value and is not changed.
type folded struct {
	state   license.State
	version int64
	// at is when the store confirmed it.
	at time.Time
	// unread is why the store could not be read, and so the state is only what the outbox keeps.
	unread error
}

// states remembers folded states by stream, the most recently used.
type states struct {
	limit int

	mu      sync.Mutex
	entries map[string]*list.Element // of *named
	used    list.List
}

type named struct {
	stream string
	folded
}

func newStates(limit int) *states {
	return &states{limit: limit, entries: map[string]*list.Element{}}
}

func (s *states) get(stream string) (folded, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[stream]
	if e == nil {
		return folded{}, false
	}
	s.used.MoveToFront(e)
	return e.Value.(*named).folded, true
}

// put remembers a state, unless a newer one is there already.
func (s *states) put(stream string, f folded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[stream]; e != nil {
		if n := e.Value.(*named); f.version > n.version || f.version == n.version && f.at.After(n.at) {
			n.folded = f
		}
		s.used.MoveToFront(e)
		return
	}
	s.entries[stream] = s.used.PushFront(&named{stream, f})
	if s.used.Len() > s.limit {
		oldest := s.used.Back()
		s.used.Remove(oldest)
		delete(s.entries, oldest.Value.(*named).stream)
	}
}
