package recent

import "sync"

// Map remembers what was used recently: at least the last Limit keys, and at most twice
// as many. It is safe for concurrent use. The zero value is empty and ready to use.
//
// It uses two generations instead of a list in the order of use, which every reader
// would have to change. A key of the old generation that is read moves to the young
// one. When the young generation is full it becomes the old one, and the former old one
// is dropped.
type Map[K comparable, V any] struct {
	mu         sync.RWMutex
	young, old map[K]V
}

// Limit is the least number of keys that are remembered.
const Limit = 2048

// Get returns the value of a key.
func (m *Map[K, V]) Get(key K) (V, bool) {
	m.mu.RLock()
	v, ok := m.young[key]
	inOld := false
	if !ok {
		v, inOld = m.old[key]
	}
	m.mu.RUnlock()
	if inOld {
		m.Put(key, v)
	}
	return v, ok || inOld
}

// Put remembers a value, and replaces the one before.
func (m *Map[K, V]) Put(key K, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.young[key]; !known && len(m.young) >= Limit {
		m.young, m.old = nil, m.young
	}
	if m.young == nil {
		m.young = map[K]V{}
	}
	m.young[key] = v
}

// Len returns the number of keys that are remembered.
func (m *Map[K, V]) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := len(m.young)
	for key := range m.old {
		if _, again := m.young[key]; !again {
			n++
		}
	}
	return n
}
