package gocqldriver

import (
	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra/internal/recent"
)

// templates keeps one of the driver's queries for each statement. These are never run;
// the queries that run are copies of them. A new query of the driver costs five
// allocations, and its counters cost four more. Copies share the driver's count of
// attempts, which has a lock, and the statement's keyspace and table. Safe for
// concurrent use.
type templates struct {
	queries recent.Map[string, *gocql.Query]
	batches recent.Map[batchKey, *gocql.Batch]
}

// batchKey is the key of batches: those that begin with the same statement go to the
// same table.
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
