package cassandra_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
)

// Each test here names a defect of gocql v1.7.0, or of what was built on it, and
// holds that a request through this client does not meet it.

// gocql #1803: a retry policy sent a statement that was not idempotent four times
// after a write timeout of type CAS.
func TestNonIdempotentWritesAreSentOnce(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{Nodes: 3})
	for _, kind := range []primitive.WriteType{primitive.WriteTypeCas, primitive.WriteTypeSimple} {
		cluster.Forget()
		answer := func(r *cqltest.Request) {
			r.Send(&message.WriteTimeout{ErrorMessage: "slow", Consistency: 6, Received: 1, BlockFor: 2, WriteType: kind})
		}
		cluster.On(insertV, cqltest.Statement{Answer: answer})
		cluster.On(casV, cqltest.Statement{Answer: answer})
		err := s.Query(insertV, "a", "b").Profile("once").Exec()
		var e *cassandra.Error
		if !errors.Is(err, cassandra.ErrOutcomeUnknown) || !errors.As(err, &e) || e.WriteType != string(kind) || e.Coordinator == "" || e.Received != 1 || e.Required != 2 {
			t.Errorf("%s: %v", kind, err)
		}
		batch := s.NewBatch(cassandra.LoggedBatch).Query(casV, "a", "b", "c").Query(insertV, "a", "b").Profile("cas")
		if res, err := batch.CAS(); res.Outcome != cassandra.Unknown || !errors.Is(err, cassandra.ErrOutcomeUnknown) {
			t.Errorf("%s: a conditional batch: %v, %v", kind, res.Outcome, err)
		}
		if a, b := cluster.Count(insertV), cluster.Count(casV); a != 1 || b != 1 {
			t.Errorf("%s: sent %d and %d times, want once each", kind, a, b)
		}
	}
}

// gocql #1707: with speculative execution the first result won, also an error, and
// with one usable host a good answer was lost to ErrNoConnections.
func TestAHedgesErrorDoesNotWin(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{}, hedging(10*time.Millisecond))
	hedged := make(chan struct{})
	cluster.On(selectV, cqltest.Statement{Columns: selects.Columns, Answer: func(r *cqltest.Request) {
		if r.Nth == 1 {
			<-hedged
			one(r)
			return
		}
		r.Send(&message.Overloaded{ErrorMessage: "full"})
		close(hedged)
	}})
	prepare(t, s)
	var v string
	if err := s.Query(selectV, "a").Profile("hedge").Scan(&v); err != nil || v != "x" {
		t.Errorf("%q, %v", v, err)
	}
}

// hedging adds a profile "hedge".
func hedging(after time.Duration) func(*cassandra.Config) {
	return func(c *cassandra.Config) {
		p := c.Profiles["read"]
		p.Retry, p.Hedge = nil, &resilience.HedgePolicy{Delay: after}
		c.Profiles["hedge"] = p
	}
}

// prepare runs another statement, so that connections are up.
func prepare(t *testing.T, s *cassandra.Session) {
	t.Helper()
	eventually(t, "every node is connected", func() bool {
		for _, n := range s.Nodes() {
			if n.Connections == 0 {
				return false
			}
		}
		return true
	})
}

func TestAHedgeGoesToAnotherNode(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{Nodes: 3}, hedging(10*time.Millisecond))
	cluster.On(selectV, cqltest.Statement{Columns: selects.Columns, Answer: func(r *cqltest.Request) {
		if r.Nth != 1 {
			one(r)
		}
	}})
	q := s.Query(selectV, "a").Profile("hedge")
	if err := q.Exec(); err != nil {
		t.Fatal(err)
	}
	sent := cluster.Received(selectV)
	if len(sent) < 2 || sent[0].Node == sent[1].Node {
		t.Errorf("the hedge went to the same node")
	}
	if info := q.Info(); info.Source != resilience.Hedge || info.Coordinator == sent[0].Node.Address() || info.Attempts != 2 {
		t.Errorf("info %+v", info)
	}
}

// Facts 3 and 4: a caller that leaves frees itself, not its stream; a connection lost
// 32,767 streams so, and the outage lasted half a minute longer than the cluster's.
func TestOrphansAreCountedAndBounded(t *testing.T) {
	const limit = 8
	cluster, s := scripted(t, cqltest.Config{}, func(c *cassandra.Config) {
		c.OrphanLimit, c.SilenceLimit, c.SuspectAfter = limit, time.Hour, 1<<20
		p := c.Profiles["brief"]
		p.Retry, p.AttemptTimeout, p.Timeout = nil, 0, 50*time.Millisecond
		c.Profiles["brief"] = p
	})
	release := make(chan struct{})
	cluster.On(selectV, cqltest.Statement{Columns: selects.Columns, Answer: func(r *cqltest.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		one(r)
	}})
	prepared := s.Query(selectV, "a").Profile("brief")
	if err := prepared.Exec(); !errors.Is(err, cassandra.ErrTimedOut) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	node := func() cassandra.NodeState { return s.Nodes()[0] }
	if n := node(); n.Orphans != 1 || n.InFlight != 1 || n.Available != 32767 {
		t.Errorf("one left: %+v", n)
	}
	close(release)
	eventually(t, "the late answer frees its stream", func() bool { n := node(); return n.Orphans == 0 && n.InFlight == 0 })

	cluster.Silence(true)
	most := 0
	for range limit + 1 {
		if err := s.Query(selectV, "a").Profile("brief").Exec(); err == nil {
			t.Fatal("a silent node answered")
		}
		most = max(most, node().Orphans)
	}
	eventually(t, "the connection is replaced", func() bool { n := node(); return n.Replaced > 0 && n.Orphans == 0 })
	if most > limit+1 {
		t.Errorf("%d orphans, the limit is %d", most, limit)
	}
	cluster.Silence(false)
	eventually(t, "requests succeed", func() bool { return s.Query(selectV, "a").Profile("brief").Exec() == nil })
}

// Fact 5: a pause between retries ended with the pause, not with the context; and a
// retry policy lowered the consistency in silence.
func TestPausesEndWithTheCaller(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{Nodes: 3}, func(c *cassandra.Config) {
		p := c.Profiles["read"]
		p.Timeout = time.Hour
		p.Retry = &resilience.RetryPolicy{MaxAttempts: 3, BaseDelay: 30 * time.Minute, MaxDelay: 30 * time.Minute}
		c.Profiles["patient"] = p
	})
	ctx, cancel := context.WithCancel(t.Context())
	cluster.On(selectV, cqltest.Statement{Columns: selects.Columns, Answer: func(r *cqltest.Request) {
		r.Send(&message.Unavailable{ErrorMessage: "alone", Consistency: 6, Required: 2, Alive: 1})
		time.AfterFunc(50*time.Millisecond, cancel)
	}})
	start := time.Now()
	err := s.Query(selectV, "a").WithContext(ctx).Profile("patient").Exec()
	if !errors.Is(err, context.Canceled) || !errors.Is(err, cassandra.ErrUnavailable) || time.Since(start) > time.Minute {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
	cluster.Forget()
	if err := s.Query(selectV, "a").Exec(); !errors.Is(err, cassandra.ErrUnavailable) {
		t.Error(err)
	}
	for _, r := range cluster.Received(selectV) {
		if r.Consistency != uint16(cassandra.LocalQuorum) {
			t.Errorf("asked at %v", cassandra.Consistency(r.Consistency))
		}
	}
}

// Fact 6: observers did not learn when there was no connection, so that metrics went
// blind in a full outage.
func TestAFullOutageIsSeen(t *testing.T) {
	seen := &verdicts{}
	cluster, s := scripted(t, cqltest.Config{}, func(c *cassandra.Config) {
		c.Options = []resilience.Option{resilience.WithListener(seen)}
		c.Guard.Breaker = &resilience.BreakerPolicy{Window: time.Hour, MinimumCalls: 1 << 20}
	})
	cluster.On(selectV, selects)
	cluster.Stop()
	eventually(t, "nothing is connected", func() bool { return s.Nodes()[0].Connections == 0 })
	before := s.Guard().Snapshot().Failures
	seen.take()
	var e *cassandra.Error
	err := s.Query(selectV, "a").Profile("once").Exec()
	if !errors.Is(err, cassandra.ErrUnavailable) || errors.Is(err, cassandra.ErrOutcomeUnknown) || !errors.As(err, &e) || e.Sent {
		t.Errorf("%v", err)
	}
	all := seen.take()
	if len(all) != 3 || all[0] != (resilience.Verdict{Outcome: resilience.Failure, Repeat: resilience.RepeatAlways}) || s.Guard().Snapshot().Failures != before+3 {
		t.Errorf("attempts %+v, failures %d, then %d", all, before, s.Guard().Snapshot().Failures)
	}
}

// Fact 7: a node that was gone was looked for once a minute.
func TestANodeThatCameBackIsUsedSoon(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{Nodes: 3})
	cluster.On(selectV, selects)
	node := cluster.Node(1)
	node.Stop()
	for range 20 {
		if err := s.Query(selectV, "a").Exec(); err != nil {
			t.Fatal(err)
		}
	}
	if err := node.Restart(); err != nil {
		t.Fatal(err)
	}
	before := node.Requests()
	eventually(t, "the node is asked", func() bool {
		return s.Query(selectV, "a").Exec() == nil && node.Requests() > before
	})
}

// Fact 8: SERIAL as the level of a read.
func TestReadsAtASerialLevel(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{})
	cluster.On(selectV, selects)
	if err := errors.Join(s.Query(selectV, "a").Profile("serial").Exec(), s.Query(selectV, "a").Consistency(cassandra.Serial).Exec()); err != nil {
		t.Fatal(err)
	}
	got := cluster.Received(selectV)
	if got[0].Consistency != uint16(cassandra.LocalSerial) || got[1].Consistency != uint16(cassandra.Serial) {
		t.Errorf("asked at %v and %v", got[0].Consistency, got[1].Consistency)
	}
}

// A statement that a node has forgotten is prepared again at once.
func TestForgottenStatementsHeal(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{Nodes: 3})
	cluster.On(selectV, selects)
	cluster.On(insertV, cqltest.Statement{Answer: (*cqltest.Request).Void})
	for round := range 3 {
		for range 6 {
			if err := s.Query(selectV, "a").Profile("once").Exec(); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if err := s.NewBatch(cassandra.LoggedBatch).Query(insertV, "a", "b").Query(insertV, "a", "c").Profile("once").Exec(); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		for _, n := range cluster.Nodes() {
			n.Unprepare()
		}
	}
	if a, b := cluster.Count(selectV), cluster.Count(insertV); a != 18 || b != 18 {
		t.Errorf("executed %d and %d times, want 18 each", a, b)
	}
}

// TestAStatementThatIsNeverKeptEnds: a node whose cache is too small says "unprepared" for
// ever. gocql prepares and sends for ever, below every budget (scylladb#10440).
func TestAStatementThatIsNeverKeptEnds(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{Nodes: 5})
	never := cqltest.Statement{Answer: func(r *cqltest.Request) {
		r.Send(&message.Unprepared{ErrorMessage: "again", Id: []byte("0123456789abcdef")})
	}}
	for name, run := range map[string]func() error{
		"Exec":  s.Query(insertV, "a", "b").Profile("write").Exec,
		"Scan":  func() error { return s.Query(selectV, "a").Scan(new(string)) },
		"CAS":   func() error { _, err := s.Query(casV, "b", "a", "c").Profile("cas").CAS(); return err },
		"batch": s.NewBatch(cassandra.LoggedBatch).Query(insertV, "a", "b").Query(insertV, "b", "b").Profile("write").Exec,
		"batch CAS": func() error {
			_, err := s.NewBatch(cassandra.LoggedBatch).Query(casV, "b", "a", "c").Profile("cas").CAS()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, cql := range []string{insertV, selectV, casV} {
				cluster.On(cql, never)
			}
			cluster.Forget()
			err := run()
			if !errors.Is(err, cassandra.ErrFailed) || errors.Is(err, cassandra.ErrOutcomeUnknown) || !strings.Contains(err.Error(), "again and again") {
				t.Errorf("%v", err)
			}
			// Two at each of three nodes.
			if n := cluster.Count(insertV) + cluster.Count(selectV) + cluster.Count(casV); n == 0 || n > 6 {
				t.Errorf("sent %d times", n)
			}
		})
	}
}

// A statement is prepared once for all callers that ask for it at the same time. One
// that goes away must not take the others with it.
func TestPreparingOutlivesItsFirstCaller(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{})
	began, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	statement := selects
	statement.Prepare = func(*cqltest.Node) message.Message {
		once.Do(func() { close(began) })
		<-release
		return nil
	}
	cluster.On(selectV, statement)
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error), make(chan error)
	go func() { first <- s.Query(selectV, "a").WithContext(ctx).Exec() }()
	<-began
	go func() { second <- s.Query(selectV, "a").Exec() }()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("first: %v", err)
	}
	close(release)
	if err := <-second; err != nil {
		t.Errorf("second: %v", err)
	}
}

// A statement that nobody has run yet needs an answer from the node that it goes to,
// and from no other: the driver asked any node for it, and waited for that.
func TestANewStatementDoesNotNeedASilentNode(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{Nodes: 3}, func(c *cassandra.Config) { c.SuspectAfter = 1 })
	prepare(t, s)
	cluster.On("SELECT 0", selects)
	cluster.Node(0).Silence(true)
	eventually(t, "the silent node is known", func() bool {
		_ = s.Query("SELECT 0").Profile("brief").Exec() // some of them fail
		return s.Nodes()[0].Suspect
	})
	for i := range 30 {
		cql := fmt.Sprintf("SELECT v FROM t%d WHERE id = ?", i)
		cluster.On(cql, selects)
		if err := s.Query(cql, "a").Profile("brief").Exec(); err != nil {
			t.Errorf("statement %d: %v", i, err)
		}
	}
}
