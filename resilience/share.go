package resilience

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
)

// WithShareKey sets the key on whose account calls under the context hold permits and
// places in the queue, for example a tenant or a customer. BulkheadPolicy.MaxShare
// bounds what one key may hold. Without a key, calls count for their operation. There
// may be any number of keys; only those that hold a permit or wait are remembered.
func WithShareKey(ctx context.Context, key string) context.Context {
	m := markOf(ctx)
	m.shareKey = &key
	return context.WithValue(ctx, markKey{}, &m)
}

// shareKey returns the key on whose account a call of an operation holds its permit.
func (r *run) shareKey() *string {
	if r.ctx.Value(markKey{}) != nil {
		if m := markOf(r.ctx); m.shareKey != nil && *m.shareKey != "" {
			return m.shareKey
		}
	}
	return &r.cfg.name
}

// shares bounds the permits that one key may hold.
//
//	below its share ──(an attempt asks)──▶ holds one more
//	at its share ──(an attempt asks)──▶ waits, or is refused, though permits may be free
//
// Safe for concurrent use.
type shares struct {
	most atomic.Uint64 // the share as the bits of a float; zero: no bound
	mu   sync.Mutex
	held map[string]int // by key; none is zero
}

func (s *shares) configure(share float64) { s.most.Store(math.Float64bits(share)) }

func (s *shares) on() bool { return s.most.Load() != 0 }

// take reserves a permit for a key, if its share of the limit has room.
func (s *shares) take(key string, limit int64) bool {
	if key == "" {
		return true
	}
	share := math.Float64frombits(s.most.Load())
	s.mu.Lock()
	defer s.mu.Unlock()
	if share > 0 && s.held[key] >= max(1, int(share*float64(limit))) {
		return false
	}
	if s.held == nil {
		s.held = map[string]int{}
	}
	s.held[key]++
	return true
}

// counts returns how many keys hold permits, and the most that one of them holds.
func (s *shares) counts() (keys, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.held {
		most = max(most, n)
	}
	return len(s.held), most
}

// put gives a permit of a key back. Permits that were taken before shares were switched
// on are not counted.
func (s *shares) put(key string) {
	if key == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[key] > 1 {
		s.held[key]--
	} else {
		delete(s.held, key)
	}
}
