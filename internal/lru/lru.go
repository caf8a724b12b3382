package lru

import (
	"container/heap"
	"iter"
	"time"
)

// Bounds are what a Cache keeps to. Zero fields set no bound.
type Bounds struct {
	// Entries is the most entries that are held.
	Entries int
	// Size is the most that the sizes of all entries may add up to, in the caller's
	// unit, usually bytes. An entry that is larger by itself is not taken.
	Size int64
}

// Cache is a map with bounds. It is not safe for concurrent use: its owner holds a
// lock, usually one that guards more than the map. The zero value has no bounds.
type Cache[K comparable, V any] struct {
	bounds  Bounds
	onDrop  func(K, V)
	entries map[K]*entry[K, V]
	// first and last are the ends of the list by use; first was used last.
	first, last *entry[K, V]
	size        int64
	expiring    expiring[K, V]
}

type entry[K comparable, V any] struct {
	key        K
	value      V
	size       int64
	expires    time.Time // the zero time: never
	place      int       // in the heap of expiring entries; -1: in none
	next, prev *entry[K, V]
}

// New returns a cache. onDrop, if not nil, is called with each entry that the cache
// drops by itself: one that was pushed out or whose time had passed. It must not use
// the cache.
func New[K comparable, V any](b Bounds, onDrop func(K, V)) *Cache[K, V] {
	return &Cache[K, V]{bounds: b, onDrop: onDrop}
}

// Put stores a value in place of the one before, as the most recently used, and drops
// what no longer fits, and what has expired by now. The zero time for expires means
// never. It reports whether the value was stored: one that is larger than the whole
// bound, or has expired already, is not, and the one before is gone all the same.
func (c *Cache[K, V]) Put(key K, value V, size int64, expires, now time.Time) bool {
	c.Expire(now)
	c.Delete(key)
	size = max(size, 0)
	if c.bounds.Size > 0 && size > c.bounds.Size || !expires.IsZero() && !expires.After(now) {
		return false
	}
	if c.entries == nil {
		c.entries = map[K]*entry[K, V]{}
	}
	e := &entry[K, V]{key: key, value: value, size: size, expires: expires, place: -1}
	c.entries[key] = e
	c.pushFront(e)
	c.size += size
	if !expires.IsZero() {
		heap.Push(&c.expiring, e)
	}
	for c.over() {
		c.drop(c.last)
	}
	return true
}

// over reports whether a bound is exceeded. The sum is compared by subtraction, so
// that sizes near the end of int64 do not wrap.
func (c *Cache[K, V]) over() bool {
	return c.bounds.Entries > 0 && len(c.entries) > c.bounds.Entries || c.bounds.Size > 0 && (c.size > c.bounds.Size || c.size < 0)
}

// Get returns the value and marks it as used. It does not look at the time; call
// Expire before, or keep the time in the value.
func (c *Cache[K, V]) Get(key K) (v V, ok bool) {
	e := c.entries[key]
	if e == nil {
		return v, false
	}
	c.unlink(e)
	c.pushFront(e)
	return e.value, true
}

// Peek returns the value without marking it as used.
func (c *Cache[K, V]) Peek(key K) (v V, ok bool) {
	e := c.entries[key]
	if e == nil {
		return v, false
	}
	return e.value, true
}

// Delete removes a key and reports whether it was there. onDrop is not called.
func (c *Cache[K, V]) Delete(key K) bool {
	e := c.entries[key]
	if e == nil {
		return false
	}
	c.remove(e)
	return true
}

// Expire drops the entries whose time has come. What has not expired is not looked at.
func (c *Cache[K, V]) Expire(now time.Time) {
	for len(c.expiring) > 0 && !c.expiring[0].expires.After(now) {
		c.drop(c.expiring[0])
	}
}

// Len is the number of entries.
func (c *Cache[K, V]) Len() int { return len(c.entries) }

// Size is the sum of the sizes of all entries.
func (c *Cache[K, V]) Size() int64 { return c.size }

// All yields the entries, most recently used first. The entry that was yielded last
// may be deleted meanwhile; other changes are not allowed.
func (c *Cache[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for e := c.first; e != nil; {
			next := e.next
			if !yield(e.key, e.value) {
				return
			}
			e = next
		}
	}
}

func (c *Cache[K, V]) drop(e *entry[K, V]) {
	c.remove(e)
	if c.onDrop != nil {
		c.onDrop(e.key, e.value)
	}
}

func (c *Cache[K, V]) remove(e *entry[K, V]) {
	delete(c.entries, e.key)
	c.unlink(e)
	c.size -= e.size
	if e.place >= 0 {
		heap.Remove(&c.expiring, e.place)
	}
}

func (c *Cache[K, V]) pushFront(e *entry[K, V]) {
	e.next, e.prev = c.first, nil
	if c.first == nil {
		c.last = e
	} else {
		c.first.prev = e
	}
	c.first = e
}

func (c *Cache[K, V]) unlink(e *entry[K, V]) {
	if e.prev == nil {
		c.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		c.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.next, e.prev = nil, nil
}

// expiring is a heap by time of expiry.
type expiring[K comparable, V any] []*entry[K, V]

func (h expiring[K, V]) Len() int           { return len(h) }
func (h expiring[K, V]) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }
func (h expiring[K, V]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *expiring[K, V]) Push(x any) {
	e := x.(*entry[K, V])
	e.place = len(*h)
	*h = append(*h, e)
}

func (h *expiring[K, V]) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	e.place = -1
	*h = old[:len(old)-1]
	return e
}
