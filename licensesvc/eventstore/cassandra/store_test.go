package cassandra_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cassandratest"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore/eventstoretest"
)

// TestMain looks for leaks. The driver's own wait for schema agreement goes on after
// Close, for a bounded time.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/gocql/gocql.(*Conn).awaitSchemaAgreement"))
}

// connect uses the store's own profiles, with the time that a busy machine needs.
func connect(t *testing.T, hosts []string, keyspace string) *client.Session {
	t.Helper()
	profiles := cassandra.Profiles()
	for name, p := range profiles {
		p.Timeout, p.Hedge = 30*time.Second, nil
		if p.AttemptTimeout > 0 {
			p.AttemptTimeout = 12 * time.Second
		}
		profiles[name] = p
	}
	s, err := client.Connect(t.Context(), client.Config{Hosts: hosts, Keyspace: keyspace, LocalDC: "dc1", Profiles: profiles})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func open(t *testing.T, session *client.Session, name string, bucket int) eventstore.Store {
	t.Helper()
	s, err := cassandra.Open(t.Context(), cassandra.Config{Session: session, Name: name, BucketEvents: bucket})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestConformance runs the suite on three nodes: with streams in one bucket, and with
// buckets so small that every test crosses their borders.
func TestConformance(t *testing.T) {
	hosts, keyspace := cassandratest.Keyspace(t)
	session := connect(t, hosts, keyspace)
	var stores atomic.Int64
	for _, bucket := range []int{0, 3} {
		t.Run(fmt.Sprintf("buckets of %d", bucket), func(t *testing.T) {
			last := ""
			eventstoretest.Run(t, eventstoretest.Harness{
				Scale: 20,
				Open: func(t *testing.T) eventstore.Store {
					name := fmt.Sprintf("s%d", stores.Add(1))
					if t.Name() != last {
						last = name
					}
					return open(t, session, name, bucket)
				},
				Reopen: func(t *testing.T) eventstore.Store { return open(t, session, last, bucket) },
			})
		})
	}
}
