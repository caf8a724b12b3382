package repository

import (
	"sync"
	"time"

	"github.com/backstay-go/backstay/internal/lru"
)

// overhead is what an entry takes in addition to its state: the key twice, the list, the map.
const overhead = 256

// cache remembers the states that were used most recently, by stream. It is safe for concurrent
// use.
type cache[S any] struct {
	size func(S) int64

	mu     sync.Mutex
	recent *lru.Cache[string, Folded[S]]
}

func newCache[S any](limit int64, size func(S) int64) *cache[S] {
	return &cache[S]{size: size, recent: lru.New[string, Folded[S]](lru.Bounds{Size: limit}, nil)}
}

func (c *cache[S]) get(stream string) (Folded[S], bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recent.Get(stream)
}

// put remembers a state, unless a newer one is already remembered. It returns the newer one.
func (c *cache[S]) put(stream string, f Folded[S]) Folded[S] {
	size := overhead + 2*int64(len(stream)) + c.size(f.State)
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.recent.Peek(stream); ok {
		if f.Version < old.Version {
			return old
		}
		f.shown = f.shown && (old.shown || f.Version > old.Version)
	}
	c.recent.Put(stream, f, size, time.Time{}, time.Time{})
	return f
}

func (c *cache[S]) forget(stream string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recent.Delete(stream)
}
