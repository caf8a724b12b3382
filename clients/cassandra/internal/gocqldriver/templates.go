package gocqldriver

import (
	"sync"
	"sync/atomic"

	"github.com/gocql/gocql"
)

// templates keeps one of the driver's queries a statement, never run, from which
// those that run are copied: the driver makes a new one with five pieces of memory
// and what it counts a query with four more. What copies share is the driver's own
// count of attempts, which it locks, and the statement's keyspace and table. Safe
// for concurrent use.
type templates struct {
	queries copyOnWrite[string, *gocql.Query]
	batches copyOnWrite[batchKey, *gocql.Batch]
}

// batchKey: batches that begin with the same statement go to the same table.
type batchKey struct {
	kind  gocql.BatchType
	first string
}

func (t *templates) query(s *gocql.Session, cql string) *gocql.Query {
	if q, ok := t.queries.get(cql); ok {
		return q
	}
	q := s.Query(cql)
	t.queries.put(cql, q)
	return q
}

func (t *templates) batch(s *gocql.Session, kind gocql.BatchType, first string) *gocql.Batch {
	key := batchKey{kind, first}
	if b, ok := t.batches.get(key); ok {
		return b
	}
	b := s.NewBatch(kind)
	t.batches.put(key, b)
	return b
}

// maxRemembered bounds a copyOnWrite: statements that hold their values would
// otherwise fill the memory.
const maxRemembered = 2048

// copyOnWrite is a map that is read without a lock or a piece of memory.
type copyOnWrite[K comparable, V any] struct {
	now atomic.Pointer[map[K]V]
	mu  sync.Mutex // for writers
}

func (c *copyOnWrite[K, V]) get(key K) (v V, ok bool) {
	if m := c.now.Load(); m != nil {
		v, ok = (*m)[key]
	}
	return v, ok
}

// put remembers a value, unless there are too many.
func (c *copyOnWrite[K, V]) put(key K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	after := map[K]V{}
	if before := c.now.Load(); before != nil {
		if _, known := (*before)[key]; !known && len(*before) >= maxRemembered {
			return
		}
		for k, old := range *before {
			after[k] = old
		}
	}
	after[key] = v
	c.now.Store(&after)
}
