package cassandra_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/cassandratest"
	"github.com/backstay-go/backstay/licensesvc/eventstore/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore/schema"
)

// TestSchemaOfAKeyspace opens a new keyspace from several instances at once, takes a further step
// in two parts, takes a lock over from an instance that died, and refuses what does not fit.
func TestSchemaOfAKeyspace(t *testing.T) {
	hosts, keyspace := cassandratest.Keyspace(t)
	session := connect(t, hosts, keyspace)
	db := cassandra.WithLease(session, 3*time.Second)
	if _, err := cassandra.Open(t.Context(), cassandra.Config{Session: session, Deadline: time.Minute, KeepSchema: true}); !errors.Is(err, schema.ErrUnfit) || !strings.Contains(err.Error(), "licensesvc schema apply") {
		t.Fatalf("an empty keyspace: %v", err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := cassandra.Open(t.Context(), cassandra.Config{Session: session, Deadline: time.Minute}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := open(t, session, "s", 0)
	h, err := s.Health(t.Context())
	if err != nil || !h.Schema.OK() || h.Schema.Version != len(cassandra.Schema().Steps) {
		t.Fatalf("%+v, %v", h, err)
	}

	newer := cassandra.Schema()
	newer.Steps = append(newer.Steps, schema.Step{Name: "more", Statements: []schema.Statement{
		{Text: "ALTER TABLE snapshots ADD more text", Table: "snapshots", Column: "more"},
		{Text: "ALTER TABLE snapshots ADD most bigint", Table: "snapshots", Column: "most"},
	}})
	newer.Tables["snapshots"]["more"], newer.Tables["snapshots"]["most"] = "text", "bigint"
	// An instance dies after the first statement, before it recorded it.
	dead, err := db.Lock(t.Context())
	if err == nil {
		err = dead.Record(t.Context(), schema.Progress{Number: 2, Name: "more"})
	}
	if err == nil {
		err = dead.Run(t.Context(), newer.Steps[1].Statements[0].Text)
	}
	if err != nil {
		t.Fatal(err)
	}
	st, err := newer.Apply(t.Context(), db)
	if err != nil || st.Version != 2 {
		t.Fatalf("%+v, %v", st, err)
	}
	if err := dead.Record(t.Context(), schema.Progress{Number: 2, Name: "more"}); !errors.Is(err, schema.ErrLockLost) {
		t.Errorf("an instance whose lock was taken over: %v", err)
	}
	if err := dead.Run(t.Context(), "CREATE TABLE IF NOT EXISTS late (a int PRIMARY KEY)"); !errors.Is(err, schema.ErrLockLost) {
		t.Errorf("an instance whose lock was taken over: %v", err)
	}

	// A program that does not know the step works on, unless the step says that it breaks.
	if _, err := cassandra.Open(t.Context(), cassandra.Config{Session: session, Deadline: time.Minute, KeepSchema: true}); err != nil {
		t.Error(err)
	}
	conditional := func(cql string) error {
		_, err := session.Query(cql).WithContext(t.Context()).Profile(cassandra.ProfileAppend).CAS()
		return err
	}
	for n, says := range []string{"run a newer program", "no column trace"} {
		if n == 0 {
			err = conditional("INSERT INTO schema_steps (id, number, name, done, complete, breaks) VALUES ('schema', 3, 'breaks', 1, true, true) IF NOT EXISTS")
		} else {
			err = errors.Join(conditional("DELETE FROM schema_steps WHERE id = 'schema' AND number = 3 IF EXISTS"),
				session.Query("ALTER TABLE streams DROP trace").WithContext(t.Context()).Profile(cassandra.ProfileSchema).Exec())
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cassandra.Open(t.Context(), cassandra.Config{Session: session, Deadline: time.Minute}); !errors.Is(err, schema.ErrUnfit) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
		if h, err := s.Health(t.Context()); err != nil || !strings.Contains(h.Schema.String(), says) {
			t.Errorf("%+v, %v; want %q", h, err, says)
		}
	}
}

// TestFewReplicasAreAWarning.
func TestFewReplicasAreAWarning(t *testing.T) {
	for _, c := range []struct {
		durable     bool
		replication map[string]string
		says        []string
	}{
		{true, map[string]string{"class": "NetworkTopologyStrategy", "dc1": "3", "dc2": "3/1"}, nil},
		{true, map[string]string{"class": "SimpleStrategy", "replication_factor": "1"}, []string{"one replica"}},
		{true, map[string]string{"class": "NetworkTopologyStrategy", "dc1": "1", "dc2": "2"}, []string{"one replica in dc1", "two replicas in dc2"}},
		{false, map[string]string{"class": "NetworkTopologyStrategy", "dc1": "3"}, []string{"durable_writes"}},
	} {
		got := cassandra.Doubts(c.durable, c.replication)
		if len(got) != len(c.says) {
			t.Errorf("%v: %q", c.replication, got)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], c.says[i]) {
				t.Errorf("%v: %q, want %q", c.replication, got[i], c.says[i])
			}
		}
	}
}
