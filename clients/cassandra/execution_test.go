package cassandra_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
)

// partition answers with the key that was asked for, on five pages of one row.
func partition(r *cqltest.Request) {
	page := len(r.PageState)
	row := []any{string(r.Values[0])}
	if page == 4 {
		r.Rows(row)
		return
	}
	r.Page(slices.Repeat([]byte{1}, page+1), row)
}

// TestAnIterKeepsItsQuery: a query that is bound again, given another context, or whose
// values change while pages are read, is another one; the pages are of the one that was
// run (gocql#1364, #1445).
func TestAnIterKeepsItsQuery(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{})
	cluster.On(selectV, cqltest.Statement{Columns: selects.Columns, Answer: partition})
	type key struct{ P0 string }
	for name, change := range map[string]func(q *cassandra.Query, arg *string, from *key){
		"bound again":        func(q *cassandra.Query, _ *string, _ *key) { q.Bind("b") },
		"by a struct":        func(q *cassandra.Query, _ *string, _ *key) { q.BindStruct(key{"b"}) },
		"a value's pointer":  func(_ *cassandra.Query, arg *string, _ *key) { *arg = "b" },
		"a struct's pointer": func(_ *cassandra.Query, _ *string, from *key) { from.P0 = "b" },
		"another context": func(q *cassandra.Query, _ *string, _ *key) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			q.WithContext(ctx)
		},
		"another level and profile": func(q *cassandra.Query, _ *string, _ *key) { q.Consistency(cassandra.One).Profile("nobody") },
		"run again":                 func(q *cassandra.Query, _ *string, _ *key) { _ = q.Bind("b").Exec() },
		"iterated again":            func(q *cassandra.Query, _ *string, _ *key) { q.Bind("b").Iter() },
	} {
		for _, by := range []string{"pointer", "slice", "struct"} {
			arg, from := "a", key{"a"}
			args := []any{"a"}
			q := s.Query(selectV, &arg)
			switch by {
			case "slice":
				q = s.Query(selectV, args...)
			case "struct":
				q = s.Query(selectV).BindStruct(&from)
			}
			it := q.Iter()
			var v string
			var got []string
			for it.Scan(&v) {
				got = append(got, v)
				change(q, &arg, &from)
				args[0] = "b"
			}
			if err := it.Close(); err != nil || !slices.Equal(got, []string{"a", "a", "a", "a", "a"}) {
				t.Errorf("%s, values by %s: %v, %v", name, by, got, err)
			}
		}
	}
}

// TestAWriteHasOneTimestamp: it is the same however often the write is sent, so that a late
// attempt does not win over what others wrote meanwhile (JAVA-724, NODEJS-691). Writes of
// one session have different ones, in their order.
func TestAWriteHasOneTimestamp(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{Nodes: 3}, func(c *cassandra.Config) {
		p := c.Profiles["write"]
		p.AttemptTimeout = 100 * time.Millisecond
		p.Hedge = &resilience.HedgePolicy{Delay: 10 * time.Millisecond}
		c.Profiles["write"] = p
	})
	lost := cqltest.Statement{Answer: func(r *cqltest.Request) {
		if r.Nth%3 == 0 {
			r.Void()
		}
	}}
	for name, run := range map[string]func() error{
		"statement": func() error { return s.Query(insertV, "a", "b").Profile("write").Exec() },
		"batch": func() error {
			return s.NewBatch(cassandra.LoggedBatch).Query(insertV, "a", "b").Query(insertV, "b", "b").Profile("write").Exec()
		},
	} {
		cluster.On(insertV, lost)
		cluster.Forget()
		before := time.Now().UnixMicro()
		if err := run(); err != nil {
			t.Fatal(err)
		}
		got := cluster.Received(insertV)
		if len(got) < 2 {
			t.Fatalf("%s: sent %d times", name, len(got))
		}
		for _, r := range got {
			if r.Timestamp != got[0].Timestamp || r.Timestamp < before || r.Timestamp > time.Now().UnixMicro()+int64(len(got)) {
				t.Errorf("%s: timestamps %d and %d", name, got[0].Timestamp, r.Timestamp)
			}
		}
	}
	cluster.On(insertV, cqltest.Statement{Answer: (*cqltest.Request).Void})
	cluster.Forget()
	for range 100 { // a hedge would be the same write once more
		if err := s.Query(insertV, "a", "b").Profile("once").Exec(); err != nil {
			t.Fatal(err)
		}
	}
	all := cluster.Received(insertV)
	for i := 1; i < len(all); i++ {
		if all[i].Timestamp <= all[i-1].Timestamp {
			t.Fatalf("write %d has timestamp %d after %d", i, all[i].Timestamp, all[i-1].Timestamp)
		}
	}
	if err := s.Query(insertV, "a", "b").WithTimestamp(42).Profile("once").Exec(); err != nil || cluster.Received(insertV)[len(all)].Timestamp != 42 {
		t.Errorf("the caller's own timestamp: %v", err)
	}
	cluster.On(casV, cqltest.Statement{Columns: cqltest.Columns("v text"), Answer: (*cqltest.Request).Applied})
	if _, err := s.Query(casV, "b", "a", "c").WithTimestamp(42).Profile("cas").CAS(); !errors.Is(err, cassandra.ErrInvalid) {
		t.Errorf("a conditional write with a timestamp: %v", err)
	}
}

// TestOrphansLetOthersFinish: requests whose callers went do not cost those that are in
// flight at the same time their answers. Once nobody waits, the connection is replaced.
func TestOrphansLetOthersFinish(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{}, func(c *cassandra.Config) {
		c.OrphanLimit = 50
		c.QuietLimit = time.Minute // no pings
	})
	release := make(chan struct{})
	slow := func(r *cqltest.Request) {
		select {
		case <-release:
			r.Void()
		case <-r.Context().Done():
		}
	}
	var asked atomic.Int64
	cluster.On(insertV, cqltest.Statement{Answer: slow})
	cluster.On(selectV, cqltest.Statement{Columns: selects.Columns, Answer: func(*cqltest.Request) { asked.Add(1) }})
	var writes sync.WaitGroup
	var failed atomic.Int64
	for range 20 {
		writes.Go(func() {
			if err := s.Query(insertV, "a", "b").Profile("once").Exec(); err != nil {
				failed.Add(1)
			}
		})
	}
	eventually(t, "the writes are in flight", func() bool { return cluster.Count(insertV) == 20 })
	ctx, cancel := context.WithCancel(t.Context())
	var reads sync.WaitGroup
	for range 100 {
		reads.Go(func() { _ = s.Query(selectV, "a").Profile("once").WithContext(ctx).Exec() })
	}
	eventually(t, "the reads are in flight", func() bool { return asked.Load() == 100 })
	cancel()
	reads.Wait()
	close(release)
	writes.Wait()
	if n := failed.Load(); n != 0 {
		t.Errorf("%d of 20 writes failed", n)
	}
	eventually(t, "the connection is replaced", func() bool { n := s.Nodes()[0]; return n.Replaced > 0 && n.Orphans == 0 })
	cluster.On(selectV, selects)
	eventually(t, "reads succeed", func() bool { return s.Query(selectV, "a").Profile("brief").Exec() == nil })
}

// TestOneSilentConnection: a firewall swallows the answers of the connection that carries
// the requests, while the control connection lives (gocql#1102).
func TestOneSilentConnection(t *testing.T) {
	for _, connections := range []int{1, 2} {
		t.Run(fmt.Sprint(connections), func(t *testing.T) {
			cluster, s := scripted(t, cqltest.Config{}, func(c *cassandra.Config) {
				c.SilenceLimit, c.Connections = 300*time.Millisecond, connections
			})
			cluster.On(selectV, selects)
			eventually(t, "requests are carried", func() bool { return s.Query(selectV, "a").Exec() == nil })
			if cluster.Node(0).Deafen() == 0 {
				t.Fatal("no connection carried requests")
			}
			ask := func() bool { return s.Query(selectV, "a").Profile("brief").Exec() == nil }
			in := 0
			eventually(t, "requests succeed again", func() bool {
				if in++; !ask() {
					in = 0
				}
				return in > 20
			})
			// Of two connections the one that answers carries the requests meanwhile.
			eventually(t, "the connection is replaced", func() bool { return !ask() || s.Nodes()[0].Replaced > 0 })
		})
	}
}
