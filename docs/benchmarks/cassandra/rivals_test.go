package cassandra

import (
	"context"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/resilience"
)

// The statements that are measured. A batch sets the head of a stream on the
// condition that it has the value that it had, and adds one row.
const (
	createTable = "CREATE TABLE %s.streams (id text, version int, head int static, data blob, PRIMARY KEY (id, version))"
	insertRow   = "INSERT INTO streams (id, version, data) VALUES (?, ?, ?)"
	readRows    = "SELECT version, data FROM streams WHERE id = ? LIMIT 5"
	moveHead    = "UPDATE streams SET head = ? WHERE id = ? IF head = ?"
)

// port is that of real nodes.
const port = 9042

// client is one of the rivals. Its functions return an error only if the request
// failed.
type client struct {
	name   string
	insert func(id string, version int, data []byte) error
	read   func(id string) (rows int, err error)
	append func(id string, head int, data []byte) (applied bool, err error)
	close  func()
}

// bare is gocql as it comes, with the choice of nodes that its documentation
// advises and a timeout.
func bare(tb testing.TB, hosts []string, port int, keyspace string, timeout time.Duration) *client {
	tb.Helper()
	cfg := gocql.NewCluster(hosts...)
	// With the keyspace the driver knows every replica, and not only the first.
	cfg.Keyspace, cfg.Port = keyspace, port
	cfg.Consistency, cfg.SerialConsistency = gocql.LocalQuorum, gocql.LocalSerial
	cfg.Timeout, cfg.ConnectTimeout, cfg.NumConns = timeout, 5*time.Second, 1
	// Without it rows are read wrongly after another client's ALTER TABLE. It costs an
	// allocation for each column and a few more, which ours pays always.
	cfg.DisableSkipMetadata = true
	cfg.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.DCAwareRoundRobinPolicy("dc1"), gocql.ShuffleReplicas())
	s, err := cfg.CreateSession()
	if err != nil {
		tb.Fatal(err)
	}
	ctx := context.Background()
	return &client{name: "gocql", close: s.Close,
		insert: func(id string, version int, data []byte) error {
			return s.Query(insertRow, id, version, data).WithContext(ctx).Exec()
		},
		read: func(id string) (rows int, err error) {
			it := s.Query(readRows, id).WithContext(ctx).Iter()
			var version int
			var data []byte
			for it.Scan(&version, &data) {
				rows++
			}
			return rows, it.Close()
		},
		append: func(id string, head int, data []byte) (bool, error) {
			b := s.NewBatch(gocql.LoggedBatch).WithContext(ctx)
			b.Query(moveHead, head, id, before(head))
			b.Query(insertRow, id, head, data)
			applied, it, err := s.MapExecuteBatchCAS(b, map[string]any{})
			if err != nil {
				return false, err
			}
			return applied, it.Close()
		},
	}
}

// guarded is ours: timeouts, bulkhead, breaker, budget and, for what is idempotent,
// retries and hedges are on.
func guarded(tb testing.TB, hosts []string, port int, keyspace string, timeout time.Duration) *client {
	tb.Helper()
	once := resilience.OperationPolicy{Timeout: timeout}
	idempotent := resilience.OperationPolicy{Timeout: timeout, Idempotent: true, Retry: &resilience.RetryPolicy{}}
	s, err := cassandra.Connect(tb.Context(), cassandra.Config{
		Hosts: hosts, Port: port, Keyspace: keyspace, LocalDC: "dc1", DefaultProfile: "read",
		Profiles: map[string]cassandra.Profile{
			"write":  {OperationPolicy: idempotent, Consistency: cassandra.LocalQuorum},
			"read":   {OperationPolicy: idempotent, Consistency: cassandra.LocalQuorum},
			"append": {OperationPolicy: once, Consistency: cassandra.LocalQuorum, SerialConsistency: cassandra.LocalSerial},
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	ctx := context.Background()
	return &client{name: "backstay",
		close: func() {
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
		},
		insert: func(id string, version int, data []byte) error {
			return s.Query(insertRow, id, version, data).WithContext(ctx).Profile("write").Exec()
		},
		read: func(id string) (rows int, err error) {
			it := s.Query(readRows, id).WithContext(ctx).Profile("read").Iter()
			var version int
			var data []byte
			for it.Scan(&version, &data) {
				rows++
			}
			return rows, it.Close()
		},
		append: func(id string, head int, data []byte) (bool, error) {
			res, err := s.NewBatch(cassandra.LoggedBatch).WithContext(ctx).Profile("append").
				Query(moveHead, head, id, before(head)).Query(insertRow, id, head, data).CAS()
			return res.Applied(), err
		},
	}
}

// firstHead of a stream; Go makes an interface of numbers below 256 without a piece
// of memory, so that the client that comes first would have fewer.
const firstHead = 1000

// before is the head that a stream has before it is moved; nil at the start.
func before(head int) any {
	if head == firstHead {
		return nil
	}
	return head - 1
}
