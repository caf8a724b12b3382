package lru

import (
	"container/heap"
	"iter"
	"time"
)

// Bounds are the limits of a Cache. A zero field sets no limit.
type Bounds struct {
	// Entries is the highest number of entries.
	Entries int
	// Size is the highest sum of the sizes of all entries, in the caller's unit, usually bytes.
	// An entry that alone exceeds it is not stored.
	Size int64
}

// Cache is a map with bounds. It is not safe for concurrent use. Its owner must hold a lock,
// usually one that guards more than the map. The zero value has no bounds.
type Cache[K comparable, V any] struct {
	bounds  Bounds
	onDrop  func(K, V)
	entries map[K]*entry[K, V]
	// first and last are the ends of the list by last use. first was used most recently.
	first, last *entry[K, V]
	size        int64
	expiring    expiring[K, V]
}

type entry[K comparable, V any] struct {
	key        K
	value      V
	size       int64
	expires    time.Time // the zero time: never
	place      int       // index in the heap of entries that expire; -1: not in the heap
	next, prev *entry[K, V]
}

// New returns a cache. If onDrop is not nil, it is called with each entry that the cache drops
// because of its bounds or because the entry has expired. onDrop must not use the cache.
func New[K comparable, V any](b Bounds, onDrop func(K, V)) *Cache[K, V] {
	return &Cache[K, V]{bounds: b, onDrop: onDrop}
}

// Put stores a value as the most recently used one and replaces the earlier value of the key. It
// then drops the entries that have expired by now, and those that no longer fit. The zero time
// for expires means never. Put reports whether the value was stored. A value that alone exceeds
// the bound, or that has expired already, is not stored; the earlier value is removed even then.
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

// over reports whether a bound is exceeded. It subtracts rather than adds, so that sizes near the
// end of int64 do not overflow.
func (c *Cache[K, V]) over() bool {
	return c.bounds.Entries > 0 && len(c.entries) > c.bounds.Entries || c.bounds.Size > 0 && (c.size > c.bounds.Size || c.size < 0)
}

// Get returns the value and marks it as used. It does not check whether the value has expired:
// call Expire first, or keep the time in the value.
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

// Delete removes a key and reports whether it was there. It does not call onDrop.
func (c *Cache[K, V]) Delete(key K) bool {
	e := c.entries[key]
	if e == nil {
		return false
	}
	c.remove(e)
	return true
}

// Expire drops the entries that have expired. Its cost does not depend on the other entries.
func (c *Cache[K, V]) Expire(now time.Time) {
	for len(c.expiring) > 0 && !c.expiring[0].expires.After(now) {
		c.drop(c.expiring[0])
	}
}

// Len returns the number of entries.
func (c *Cache[K, V]) Len() int { return len(c.entries) }

// Size returns the sum of the sizes of all entries.
func (c *Cache[K, V]) Size() int64 { return c.size }

// All yields the entries, the most recently used first. During the iteration the caller may
// delete the entry that was yielded last; other changes are not allowed.
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

// expiring is a heap of entries, ordered by the time when they expire.
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
