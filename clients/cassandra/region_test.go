package cassandra_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
)

// twoRegions is a scripted cluster of two nodes in dc1 and one in dc2, and a session in
// dc1 of which all profiles but "cas" and "home" may fail over.
func twoRegions(t *testing.T, change ...func(*cassandra.Config)) (*cqltest.Cluster, *cassandra.Session) {
	t.Helper()
	declare := func(c *cassandra.Config) {
		c.Failover = &cassandra.Failover{DataCenter: "dc2"}
		c.Profiles["home"] = c.Profiles["read"]
		for name, p := range c.Profiles {
			p.Failover = name == "read" || name == "write" || name == "once"
			p.Retry = nil
			c.Profiles[name] = p
		}
	}
	return scripted(t, cqltest.Config{Nodes: 3, DCs: []string{"dc1", "dc1", "dc2"}}, append([]func(*cassandra.Config){declare}, change...)...)
}

const readOne = "SELECT v FROM t WHERE k = ?"

// answers makes a statement answer with the data centre that was asked, after fail has
// said what goes wrong there.
func answers(c *cqltest.Cluster, cql string, fail func(dc string) message.Message) {
	far := c.Node(2)
	c.On(cql, cqltest.Statement{Columns: []cqltest.Column{{Name: "v", Type: cqltest.Text}}, Answer: func(r *cqltest.Request) {
		dc := "dc1"
		if r.Node == far {
			dc = "dc2"
		}
		if m := fail(dc); m != nil {
			r.Send(m)
			return
		}
		r.Rows([]any{dc})
	}})
}

func unavailable() message.Message {
	return &message.Unavailable{ErrorMessage: "too few", Consistency: primitive.ConsistencyLevelLocalQuorum, Required: 2, Alive: 1}
}

func well(string) message.Message { return nil }

func localOut(dc string) message.Message {
	if dc == "dc1" {
		return unavailable()
	}
	return nil
}

func TestTheLocalDataCenterIsAsked(t *testing.T) {
	c, s := twoRegions(t)
	answers(c, readOne, well)
	for i := range 50 {
		var dc string
		q := s.Query(readOne, fmt.Sprint(i))
		if err := q.Scan(&dc); err != nil || dc != "dc1" || q.Info().FailedOver {
			t.Fatalf("%d: %q, %+v, %v", i, dc, q.Info(), err)
		}
	}
}

func TestTheRemoteDataCenterStandsIn(t *testing.T) {
	c, s := twoRegions(t)
	answers(c, readOne, localOut)
	var dc string
	q := s.Query(readOne, "a")
	if err := q.Scan(&dc); err != nil || dc != "dc2" {
		t.Fatalf("%q, %v", dc, err)
	}
	if info := q.Info(); !info.FailedOver || info.Degraded || info.Source != resilience.Static || info.Consistency != cassandra.LocalQuorum || !errors.Is(info.Cause, cassandra.ErrUnavailable) {
		t.Errorf("info %+v", info)
	}
	if res, err := cassandra.Get[string](s.Query(readOne, "a")); err != nil || res.Value != "dc2" || !res.FailedOver || res.Coordinator != c.Node(2).Address() {
		t.Errorf("Get: %+v, %v", res, err)
	}
	if got := s.RemoteGuard().Snapshot().Calls; got != 2 {
		t.Errorf("%d calls passed the remote guard, want 2", got)
	}
	for _, why := range []struct {
		name string
		run  func() error
	}{
		{"a profile that does not declare it", func() error { return s.Query(readOne, "a").Profile("home").Scan(&dc) }},
		{"a decision", func() error { return s.Query(readOne, "a").Decision().Scan(&dc) }},
	} {
		c.Forget()
		if err := why.run(); !errors.Is(err, cassandra.ErrUnavailable) {
			t.Errorf("%s: %v", why.name, err)
		}
		for _, r := range c.Received(readOne) {
			if r.Node == c.Node(2) {
				t.Errorf("%s went to dc2", why.name)
			}
		}
	}
	c.Node(0).Stop()
	c.Node(1).Stop()
	eventually(t, "the local data centre is gone and the remote one answers", func() bool {
		q := s.Query(readOne, "a")
		return q.Scan(&dc) == nil && dc == "dc2" && q.Info().FailedOver
	})
	answers(c, readOne, well)
	for _, n := range []int{0, 1} {
		if err := c.Node(n).Restart(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "traffic comes back", func() bool {
		q := s.Query(readOne, "a")
		return q.Scan(&dc) == nil && dc == "dc1" && !q.Info().FailedOver
	})
}

func TestWritesFailOverIfTheyMayBeRepeated(t *testing.T) {
	const write = "INSERT INTO t (k, v) VALUES (?, 1)"
	c, s := twoRegions(t)
	answers(c, write, func(dc string) message.Message {
		if dc == "dc2" {
			return &message.VoidResult{}
		}
		return &message.WriteTimeout{ErrorMessage: "late", Consistency: primitive.ConsistencyLevelLocalQuorum, Received: 1, BlockFor: 2, WriteType: primitive.WriteTypeSimple}
	})
	if err := s.Query(write, "a").Profile("once").Exec(); !errors.Is(err, cassandra.ErrOutcomeUnknown) {
		t.Errorf("a write that may have been done: %v", err)
	}
	if n := c.Count(write); n != 1 {
		t.Errorf("it was sent %d times", n)
	}
	q := s.Query(write, "a").Profile("write")
	if err := q.Exec(); err != nil || !q.Info().FailedOver {
		t.Errorf("an idempotent write: %+v, %v", q.Info(), err)
	}
}

func TestTheRemoteDataCenterHasItsOwnBudget(t *testing.T) {
	c, s := twoRegions(t, func(c *cassandra.Config) {
		g := cassandra.DefaultFailoverGuard()
		g.RateLimit = &resilience.RateLimitPolicy{PerSecond: 0.001, Burst: 5}
		c.Failover.Guard = g
	})
	answers(c, readOne, localOut)
	served := 0
	for range 20 {
		var dc string
		switch err := s.Query(readOne, "a").Scan(&dc); {
		case err == nil:
			served++
		case !errors.Is(err, cassandra.ErrUnavailable) || !errors.Is(err, resilience.ErrRateLimited):
			t.Fatalf("beyond the budget: %v", err)
		}
	}
	if served != 5 {
		t.Errorf("the remote data centre served %d of 20, want its budget of 5", served)
	}
}

func TestWhatFailoverMustDeclare(t *testing.T) {
	op := resilience.OperationPolicy{Timeout: time.Second}
	config := func(p cassandra.Profile, f *cassandra.Failover) cassandra.Config {
		p.OperationPolicy = op
		return cassandra.Config{Hosts: []string{"a"}, LocalDC: "dc1", Failover: f, Profiles: map[string]cassandra.Profile{"p": p}}
	}
	quorum := cassandra.Profile{Consistency: cassandra.LocalQuorum, Failover: true}
	to := &cassandra.Failover{DataCenter: "dc2"}
	for _, c := range []struct {
		name string
		cfg  cassandra.Config
		says string // "": it is right
	}{
		{"right", config(quorum, to), ""},
		{"decisions at SERIAL", config(cassandra.Profile{Consistency: cassandra.Serial, Failover: true, Decision: true}, to), ""},
		{"no data centre", config(quorum, nil), "names no data centre"},
		{"the local one", config(quorum, &cassandra.Failover{DataCenter: "dc1"}), "it is LocalDC"},
		{"empty", config(quorum, &cassandra.Failover{}), "Failover.DataCenter is empty"},
		{"no profile", config(cassandra.Profile{Consistency: cassandra.LocalQuorum}, to), "no profile has Failover"},
		{"LOCAL_SERIAL writes", config(cassandra.Profile{Consistency: cassandra.LocalQuorum, SerialConsistency: cassandra.LocalSerial, Failover: true}, to), "another order of writes"},
		{"LOCAL_SERIAL reads", config(cassandra.Profile{Consistency: cassandra.LocalSerial, Failover: true}, to), "another order of writes"},
		{"decisions at LOCAL_QUORUM", config(cassandra.Profile{Consistency: cassandra.LocalQuorum, Failover: true, Decision: true}, to), "what was just written here"},
		{"a guard with operations", config(quorum, &cassandra.Failover{DataCenter: "dc2", Guard: resilience.Policy{Operations: map[string]resilience.OperationPolicy{"x": op}}}), "Failover.Guard.Operations"},
		{"a guard that is wrong", config(quorum, &cassandra.Failover{DataCenter: "dc2", Guard: resilience.Policy{Bulkhead: resilience.BulkheadPolicy{Limit: 1, Queue: -1}}}), "Failover.Guard: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.cfg.Check()
			if c.says == "" && err != nil || c.says != "" && (!errors.Is(err, cassandra.ErrConfig) || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v; want it to say %q", err, c.says)
			}
		})
	}
}

func TestTheRemoteDataCenterMustExist(t *testing.T) {
	cluster := cqltest.Start(t, cqltest.Config{Nodes: 2, DCs: []string{"dc1", "dc2"}})
	p := scriptedProfiles()["read"]
	p.Failover = true
	s, err := cassandra.Connect(t.Context(), cassandra.Config{Hosts: cluster.Hosts(), Port: cluster.Port(), LocalDC: "dc1",
		Failover: &cassandra.Failover{DataCenter: "dc9"}, Profiles: map[string]cassandra.Profile{"read": p}})
	if err == nil {
		_ = s.Close()
	}
	if !errors.Is(err, cassandra.ErrConfig) || !strings.Contains(err.Error(), "dc1, dc2") {
		t.Errorf("got %v", err)
	}
}

// TestAPeerThatIsNotPlacedYet: right after its start a node may not know where another
// stands. Connect asks again before it says that a data centre is not there.
func TestAPeerThatIsNotPlacedYet(t *testing.T) {
	cluster := cqltest.Start(t, cqltest.Config{Nodes: 2})
	const peers = "SELECT data_center FROM system.peers"
	var asked atomic.Int64
	cluster.On(peers, cqltest.Statement{Columns: cqltest.Columns("data_center text"), Answer: func(r *cqltest.Request) {
		if asked.Add(1) < 3 {
			r.Rows([]any{nil})
			return
		}
		r.Rows([]any{"dc2"})
	}})
	scriptedSession(t, cluster, func(c *cassandra.Config) {
		c.Failover = &cassandra.Failover{DataCenter: "dc2"}
		p := c.Profiles["read"]
		p.Failover = true
		c.Profiles["read"] = p
	})
	if got := asked.Load(); got != 3 {
		t.Errorf("asked %d times, want until it was known", got)
	}
}
