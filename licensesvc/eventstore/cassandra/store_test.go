package cassandra_test

import (
	"fmt"
	"strings"
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
func connect(t *testing.T, hosts []string, keyspace string, observers ...client.Observer) *client.Session {
	t.Helper()
	profiles := cassandra.Profiles()
	for name, p := range profiles {
		p.Timeout, p.Hedge = 30*time.Second, nil
		if p.AttemptTimeout > 0 {
			p.AttemptTimeout = 12 * time.Second
		}
		profiles[name] = p
	}
	s, err := client.Connect(t.Context(), client.Config{Hosts: hosts, Keyspace: keyspace, LocalDC: "dc1", Profiles: profiles, Observers: observers})
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

// open opens a store with buckets of a size, feed buckets too; 0: as by default.
func open(t *testing.T, session *client.Session, name string, bucket int) *cassandra.Store {
	t.Helper()
	s, err := cassandra.Open(t.Context(), cassandra.Config{Session: session, Name: name, BucketEvents: bucket, Deadline: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if bucket > 0 {
		cassandra.SetIntentsPerBucket(s, bucket)
	}
	return s
}

// TestConformance runs the suite on three nodes: with streams in one bucket, and with
// buckets, of streams and of the feed, so small that every test crosses their borders.
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
				Copy: func(t *testing.T) func() eventstore.Store {
					restore := dump(t, session, last)
					return func() eventstore.Store {
						restore()
						return open(t, session, last, bucket)
					}
				},
			})
		})
	}
}

// dump reads the rows of a store from all tables. The returned function puts them in the place of
// what the tables hold then, as the restore of a snapshot does.
func dump(t *testing.T, session *client.Session, name string) (restore func()) {
	t.Helper()
	rows := map[string][]string{}
	for table := range cassandra.Schema().Tables {
		it := session.Query("SELECT JSON * FROM " + table).WithContext(t.Context()).Profile(cassandra.ProfileRead).Iter()
		for {
			var row string
			if !it.Scan(&row) {
				break
			}
			if strings.Contains(row, fmt.Sprintf("%q: %q", "store", name)) {
				rows[table] = append(rows[table], row)
			}
		}
		if err := it.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		t.Helper()
		for table := range cassandra.Schema().Tables {
			if err := session.Query("TRUNCATE " + table).WithContext(t.Context()).Profile(cassandra.ProfileSchema).Exec(); err != nil {
				t.Fatal(err)
			}
			for _, row := range rows[table] {
				q := session.Query("INSERT INTO "+table+" JSON ? DEFAULT UNSET", row).WithContext(t.Context()).Profile(cassandra.ProfileWrite)
				if err := q.Exec(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// TestFeedBucketsAreDroppedWhole appends while feed buckets are closed all the time,
// loses races, and lets a writer die between its intent and its batch. In the end
// everything was delivered, and no intent is left but the dead writer's, in the open
// bucket.
func TestFeedBucketsAreDroppedWhole(t *testing.T) {
	hosts, keyspace := cassandratest.Keyspace(t)
	session := connect(t, hosts, keyspace)
	s := open(t, session, "drop", 7)
	const stream = "m-1"
	slice := eventstore.SliceOf(stream)
	if err := cassandra.Intend(t.Context(), s, commit("dead", 100)); err != nil {
		t.Fatal(err)
	}
	var cursor eventstore.Cursor
	seen := int64(0)
	read := func() {
		t.Helper()
		for {
			page, err := s.Feed(t.Context(), slice, cursor, 0)
			if err != nil {
				t.Fatal(err)
			}
			cursor = page.Next
			for _, e := range page.Events {
				if e.Version > seen+1 {
					t.Fatalf("version %d after %d", e.Version, seen)
				}
				seen = max(seen, e.Version)
			}
			if len(page.Events) == 0 {
				return
			}
		}
	}
	for v := range int64(40) {
		a, err := s.Append(t.Context(), commit(fmt.Sprint("c", v), v))
		if err != nil || a.Outcome != eventstore.Applied {
			t.Fatalf("append %d: %v, %v", v, a.Outcome, err)
		}
		if a, err = s.Append(t.Context(), commit(fmt.Sprint("lost", v), v)); err != nil || a.Outcome != eventstore.Conflict {
			t.Fatalf("append %d again: %v, %v", v, a.Outcome, err)
		}
		if v%15 == 14 {
			read()
		}
	}
	read()
	if seen != 40 {
		t.Fatalf("the feed ends at %d of 40", seen)
	}
	settled, open, err := cassandra.Intake(t.Context(), s, slice)
	if err != nil || open < 5 || settled != open {
		t.Fatalf("settled %d, open %d, %v: everything before the open bucket should be gone", settled, open, err)
	}
	left := map[int64][]string{}
	it := session.Query("SELECT bucket, commit_id FROM intents").WithContext(t.Context()).Profile(cassandra.ProfileRead).Iter()
	for {
		var bucket int64
		var id string
		if !it.Scan(&bucket, &id) {
			break
		}
		left[bucket] = append(left[bucket], id)
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || len(left[open]) != 1 || left[open][0] != "dead" {
		t.Errorf("intents left, by bucket: %v; want the dead writer's in %d", left, open)
	}
}

func commit(id string, expected int64) eventstore.Commit {
	now := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	return eventstore.Commit{ID: id, Stream: "m-1", Expected: expected, Events: []eventstore.Event{{
		Type: "test.happened", Schema: 1, Occurred: now, Recorded: now, Cause: "c", Correlation: "c", Trace: "t", Actor: "a", Data: []byte("{}"),
	}}}
}
