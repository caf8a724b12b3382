package gocqldriver

import (
	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra/internal/recent"
)

// templates keeps one of the driver's queries for each statement, never run, from which
// those that run are copied: the driver makes a new one with five pieces of memory
// and what it counts for a query with four more. What copies share is the driver's own
// count of attempts, which it locks, and the statement's keyspace and table. Safe
// for concurrent use.
type templates struct {
	queries recent.Map[string, *gocql.Query]
	batches recent.Map[batchKey, *gocql.Batch]
}

// batchKey: batches that begin with the same statement go to the same table.
type batchKey struct {
	kind  gocql.BatchType
	first string
}

func (t *templates) query(s *gocql.Session, cql string) *gocql.Query {
	if q, ok := t.queries.Get(cql); ok {
		return q
	}
	q := s.Query(cql)
	t.queries.Put(cql, q)
	return q
}

func (t *templates) batch(s *gocql.Session, kind gocql.BatchType, first string) *gocql.Batch {
	key := batchKey{kind, first}
	if b, ok := t.batches.Get(key); ok {
		return b
	}
	b := s.NewBatch(kind)
	t.batches.Put(key, b)
	return b
}
