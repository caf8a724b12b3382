package cassandra_test

import (
	"errors"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/message"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
)

// degrading is a scripted node that answers at LOCAL_ONE only, and a session whose
// profile "read" declares that reads may degrade to it.
func degrading(t *testing.T) (*cqltest.Cluster, *cassandra.Session) {
	t.Helper()
	c, s := scripted(t, cqltest.Config{}, func(c *cassandra.Config) {
		for name, p := range c.Profiles {
			p.Retry = nil
			if name == "read" || name == "write" {
				p.Degraded = cassandra.LocalOne
			}
			c.Profiles[name] = p
		}
	})
	only := func(cql string) {
		c.On(cql, cqltest.Statement{Columns: []cqltest.Column{{Name: "v", Type: cqltest.Text}}, Answer: func(r *cqltest.Request) {
			if cassandra.Consistency(r.Consistency) != cassandra.LocalOne {
				r.Send(unavailable())
				return
			}
			r.Rows([]any{"v"})
		}})
	}
	only(readOne)
	only("INSERT INTO t (k) VALUES (?)")
	return c, s
}

func TestReadsDegradeAndSaySo(t *testing.T) {
	c, s := degrading(t)
	var v string
	q := s.Query(readOne, "a")
	if err := q.Scan(&v); err != nil || v != "v" {
		t.Fatalf("%q, %v", v, err)
	}
	info := q.Info()
	if !info.Degraded || info.FailedOver || info.Consistency != cassandra.LocalOne || info.Source != resilience.Static || !errors.Is(info.Cause, cassandra.ErrUnavailable) || info.Coordinator == "" {
		t.Errorf("info %+v", info)
	}
	if n := c.Count(readOne); n != 2 {
		t.Errorf("%d requests, want one at each level", n)
	}
	if res, err := cassandra.Get[string](s.Query(readOne, "a")); err != nil || res.Value != "v" || !res.Degraded || res.Consistency != cassandra.LocalOne {
		t.Errorf("Get: %+v, %v", res, err)
	}
	it := s.Query(readOne, "a").Iter()
	if !it.Scan(&v) || !it.Info().Degraded {
		t.Errorf("rows: %+v", it.Info())
	}
	if err := it.Close(); err != nil {
		t.Error(err)
	}
}

// TestOneReplicaIsEnoughForWhatRunsIsolated: the breaker is open for want of a quorum.
// Degraded reads, and profiles that run apart, are answered; when one replica is not to
// be had either, they are refused in their turn.
func TestOneReplicaIsEnoughForWhatRunsApart(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{}, func(c *cassandra.Config) {
		c.Guard = cassandra.DefaultGuard()
		c.Guard.Breaker.OpenFor, c.Guard.Breaker.MaxOpenFor = time.Hour, time.Hour
		low := c.Profiles["read"]
		low.Retry, low.Degraded = nil, cassandra.LocalOne
		show := c.Profiles["read"]
		show.Retry, show.Consistency, show.Isolated = nil, cassandra.LocalOne, true
		plain := low
		plain.Degraded = 0
		c.Profiles = map[string]cassandra.Profile{"plain": plain, "low": low, "show": show}
		c.DefaultProfile = "plain"
	})
	level := func(least cassandra.Consistency) {
		cluster.On(selectV, cqltest.Statement{Columns: selects.Columns, Answer: func(r *cqltest.Request) {
			if cassandra.Consistency(r.Consistency) != least {
				r.Send(unavailable())
				return
			}
			one(r)
		}})
	}
	level(cassandra.LocalOne)
	ask := func(profile string) error { return s.Query(selectV, "a").Profile(profile).Exec() }
	for !errors.Is(ask("plain"), resilience.ErrOpen) {
	}
	cluster.Forget()
	q := s.Query(selectV, "a").Profile("low")
	if err := q.Exec(); err != nil || !q.Info().Degraded || !errors.Is(q.Info().Cause, resilience.ErrOpen) {
		t.Errorf("a degraded read: %v, %+v", err, q.Info())
	}
	if err := ask("show"); err != nil {
		t.Errorf("a profile that runs apart: %v", err)
	}
	if err := ask("plain"); !errors.Is(err, resilience.ErrOpen) || cluster.Count(selectV) != 2 {
		t.Errorf("one that does not: %v after %d requests", err, cluster.Count(selectV))
	}
	level(cassandra.Two) // that nobody asks for
	for !errors.Is(ask("show"), resilience.ErrOpen) {
	}
	cluster.Forget()
	if err := ask("low"); !errors.Is(err, resilience.ErrOpen) || cluster.Count(selectV) != 0 {
		t.Errorf("with no replica at all: %v after %d requests", err, cluster.Count(selectV))
	}
	if a, b := s.Guard().Snapshot().Breaker, s.IsolatedGuard().Snapshot().Breaker; a != resilience.BreakerOpen || b != resilience.BreakerOpen {
		t.Errorf("the breakers are %v and %v", a, b)
	}
}

func TestWhatDoesNotDegrade(t *testing.T) {
	c, s := degrading(t)
	var v string
	for _, w := range []struct {
		name string
		cql  string
		run  func() error
	}{
		{"a profile without it", readOne, func() error { return s.Query(readOne, "a").Profile("once").Scan(&v) }},
		{"a statement marked as a decision", readOne, func() error { return s.Query(readOne, "a").Decision().Scan(&v) }},
		{"a read at a serial level", readOne, func() error { return s.Query(readOne, "a").Consistency(cassandra.LocalSerial).Scan(&v) }},
		{"a write", "INSERT INTO t (k) VALUES (?)", func() error { return s.Query("INSERT INTO t (k) VALUES (?)", "a").Profile("write").Exec() }},
	} {
		c.Forget()
		if err := w.run(); !errors.Is(err, cassandra.ErrUnavailable) {
			t.Errorf("%s: %v", w.name, err)
		}
		for _, r := range c.Received(w.cql) {
			if cassandra.Consistency(r.Consistency) == cassandra.LocalOne {
				t.Errorf("%s was run at LOCAL_ONE", w.name)
			}
		}
	}
	// A read that already asks for no more has nothing to degrade to.
	c.On(readOne, cqltest.Statement{Answer: func(r *cqltest.Request) { r.Send(unavailable()) }})
	c.Forget()
	if err := s.Query(readOne, "a").Consistency(cassandra.LocalOne).Scan(&v); !errors.Is(err, cassandra.ErrUnavailable) || c.Count(readOne) != 1 {
		t.Errorf("%v after %d requests", err, c.Count(readOne))
	}
	// What was wrong at one level is wrong at the other.
	c.On(readOne, cqltest.Statement{Answer: func(r *cqltest.Request) { r.Send(&message.Invalid{ErrorMessage: "no"}) }})
	c.Forget()
	if err := s.Query(readOne, "a").Scan(&v); !errors.Is(err, cassandra.ErrInvalid) || c.Count(readOne) != 1 {
		t.Errorf("%v after %d requests", err, c.Count(readOne))
	}
}
