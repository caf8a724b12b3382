package cqlproxy

import (
	"fmt"
	"slices"
	"sync"

	"github.com/backstay-go/backstay/chaos"
)

// Bounds of what is kept for old answers.
const (
	maxStaleBytes  = 64 << 20
	maxStaleAnswer = 1 << 20
)

// stale keeps the latest true answer to each read while the plan has a rule for stale
// answers. It is safe for concurrent use.
type stale struct {
	mu      sync.Mutex
	answers map[string]frame
	bytes   int

	asked   bool            // whether the plan has such a rule was found out
	has     bool            // it has
	changed <-chan struct{} // closed when that may be different
}

// wanted reports whether the plan has a rule for stale answers.
func (s *stale) wanted(injector *chaos.Injector) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked {
		select {
		case <-s.changed:
		default:
			return s.has
		}
	}
	_, s.changed = injector.Next()
	s.asked = true
	s.has = slices.ContainsFunc(injector.Plan().Rules, func(r chaos.Rule) bool { return r.What.Kind == chaos.StaleAnswer })
	if !s.has {
		s.answers, s.bytes = nil, 0
	}
	return s.has
}

func (s *stale) find(key string) (frame, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.answers[key]
	return f, ok
}

// keep stores an answer. When there are too many, it drops arbitrary other ones.
func (s *stale) keep(key string, f frame) {
	if f.op() != opResult || f.flags()&flagTracing != 0 || len(f) > maxStaleAnswer {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers == nil {
		s.answers = make(map[string]frame)
	}
	s.bytes += len(key) + len(f) - s.dropLocked(key)
	s.answers[key] = f.clone()
	for old := range s.answers {
		if s.bytes <= maxStaleBytes {
			break
		}
		if old != key {
			s.bytes -= s.dropLocked(old)
		}
	}
}

// dropLocked removes an answer and returns how many bytes that frees.
func (s *stale) dropLocked(key string) int {
	f, ok := s.answers[key]
	if !ok {
		return 0
	}
	delete(s.answers, key)
	return len(key) + len(f)
}

// keep marks a read whose answer is to be stored, or for which a stored one is looked up.
func (l *relay) keep(r *request, m *mark) {
	if r.statement.operation != "SELECT" || r.same == "" || !l.proxy.stale.wanted(l.proxy.cfg.Injector) {
		return
	}
	algorithm, _ := l.agreement()
	m.record = fmt.Sprintf("%d %s %s", r.version(), algorithm, r.same)
}
