package app

import (
	"sync"
	"time"

	"github.com/backstay-go/backstay/internal/lru"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// folded is a member's state at a version. It is a value and does not change.
type folded struct {
	state   license.State
	version int64
	// at is the time when the store confirmed the state.
	at time.Time
	// unread is the reason why the store could not be read. The state then contains only the
	// entries of the outbox.
	unread error
}

// states remembers the most recently used states, by stream. It is safe for concurrent use.
type states struct {
	mu     sync.Mutex
	recent *lru.Cache[string, folded]
}

func newStates(limit int) *states {
	return &states{recent: lru.New[string, folded](lru.Bounds{Entries: limit}, nil)}
}

func (s *states) get(stream string) (folded, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recent.Get(stream)
}

// put remembers a state, unless a newer one is already remembered.
func (s *states) put(stream string, f folded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.recent.Get(stream)
	if ok && (f.version < old.version || f.version == old.version && !f.at.After(old.at)) {
		return
	}
	s.recent.Put(stream, f, 0, time.Time{}, time.Time{})
}
