package cassandra_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/message"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
)

// TestASickNodeIsSteeredAround: after a few failures in a row one node is asked only
// by a trial now and then, until it is well.
func TestASickNodeIsSteeredAround(t *testing.T) {
	for name, fails := range map[string]func(*cqltest.Request){
		"overloaded": func(r *cqltest.Request) { r.Send(&message.Overloaded{ErrorMessage: "full"}) },
		"silent":     func(*cqltest.Request) {},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, s := scripted(t, cqltest.Config{Nodes: 3}, func(c *cassandra.Config) {
				c.SuspectAfter, c.SuspectFor = 2, 200*time.Millisecond
			})
			node := cluster.Node(2)
			cluster.On(selectV, cqltest.Statement{Columns: selects.Columns, Answer: func(r *cqltest.Request) {
				if r.Node == node {
					fails(r)
					return
				}
				one(r)
			}})
			suspect := func() bool { return s.Nodes()[2].Suspect }
			ask := func() {
				if err := s.Query(selectV, "a").Profile("brief").Exec(); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the node is suspect", func() bool { ask(); return suspect() })
			before, start := node.Requests(), time.Now()
			const asked = 300
			for range asked {
				ask()
			}
			trials := int(time.Since(start)/(200*time.Millisecond)) + 1
			if got := node.Requests() - before; got > trials {
				t.Errorf("the suspect node got %d of %d requests, where %d trials were due", got, asked, trials)
			}
			cluster.On(selectV, selects)
			eventually(t, "the node is well again", func() bool { ask(); return !suspect() })
		})
	}
}

// TestANodeThatFallsSilent: calls with a long time to wait keep others from waiting with
// them, also those that wait there for their statement to be prepared. The node is asked by
// pings alone, and again by callers once it answers one.
func TestANodeThatFallsSilent(t *testing.T) {
	for name, known := range map[string]bool{"known statement": true, "new statement": false} {
		t.Run(name, func(t *testing.T) { aNodeFallsSilent(t, known) })
	}
}

func aNodeFallsSilent(t *testing.T, known bool) {
	cluster, s := scripted(t, cqltest.Config{Nodes: 3}, func(c *cassandra.Config) { c.QuietLimit = 100 * time.Millisecond })
	cluster.On(selectV, selects)
	ask := func() {
		if err := s.Query(selectV, "a").Profile("once").Exec(); err != nil {
			t.Error(err)
		}
	}
	prepare(t, s)
	if known {
		eventually(t, "the node has the statement", func() bool {
			ask()
			return cluster.Node(1).Requests() > 0
		})
	}
	node := func() cassandra.NodeState { return s.Nodes()[1] }
	thaw := cluster.Node(1).Freeze()
	defer thaw()
	var waiting sync.WaitGroup
	defer waiting.Wait()
	eventually(t, "the node is suspect", func() bool {
		if s.Guard().Snapshot().InFlight == 0 {
			waiting.Go(ask) // the one before went elsewhere, or was read just before the node froze
		}
		return node().Suspect
	})
	if sent := cluster.Node(1).Requests() > 0; sent != known {
		t.Errorf("the node got a statement before it froze: %v, want %v", sent, known)
	}
	before, start := node().Requests, time.Now()
	for range 300 {
		ask()
	}
	pings := int64(time.Since(start)/(500*time.Millisecond)) + 1
	if got := node().Requests - before; got > pings {
		t.Errorf("the silent node was asked %d times, where %d pings were due", got, pings)
	}
	thaw()
	// A ping's answer ends it, or, if it was the driver's that came first, a caller's trial.
	eventually(t, "the node is well again", func() bool { ask(); return !node().Suspect })
	eventually(t, "callers ask it", func() bool {
		before := node().Requests
		ask()
		return node().Requests > before
	})
}

// TestASlowReplicaIsAskedLess: of two replicas the one that answers sooner is asked.
func TestASlowReplicaIsAskedLess(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{Nodes: 3})
	slow := cluster.Node(0)
	cluster.On(selectV, cqltest.Statement{Columns: selects.Columns, Answer: func(r *cqltest.Request) {
		if r.Node == slow {
			<-time.After(50 * time.Millisecond)
		}
		one(r)
	}})
	const asked = 300
	for range asked {
		if err := s.Query(selectV, "a").Exec(); err != nil {
			t.Fatal(err)
		}
	}
	if got := slow.Requests(); got > asked/6 {
		t.Errorf("the slow one of three replicas got %d of %d requests", got, asked)
	}
	eventually(t, "it is asked again once it is fast", func() bool {
		cluster.On(selectV, selects)
		before := slow.Requests()
		for range 30 {
			if err := s.Query(selectV, "a").Exec(); err != nil {
				t.Fatal(err)
			}
		}
		return slow.Requests() > before
	})
}

// TestTokenAwareness: with one replica per key, each key goes to its node, batches too.
func TestTokenAwareness(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{Nodes: 3, Keyspaces: map[string]int{"ks": 1}})
	cluster.On(selectV, selects)
	cluster.On(insertV, cqltest.Statement{Answer: (*cqltest.Request).Void})
	for _, learn := range []func() error{
		s.Query(selectV, "a").Exec, s.NewBatch(cassandra.LoggedBatch).Query(insertV, "a", "b").Exec,
	} {
		if err := learn(); err != nil {
			t.Fatal(err)
		}
	}
	cluster.Forget()
	owners := map[string]*cqltest.Node{}
	used := map[*cqltest.Node]int{}
	for i := range 300 {
		key := fmt.Sprint("key", i%59) // a prime: no turn that nodes take fits it
		var err error
		if i%2 == 0 {
			err = s.Query(selectV, key).Exec()
		} else {
			err = s.NewBatch(cassandra.UnloggedBatch).Query(insertV, key, "v").Query(insertV, key, "w").Exec()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range append(cluster.Received(selectV), cluster.Received(insertV)...) {
		if r.Batch {
			continue // a batch's values are not kept; its node is checked below
		}
		key := string(r.Values[0])
		if owners[key] == nil {
			owners[key] = r.Node
		}
		if owners[key] != r.Node {
			t.Errorf("%s went to two nodes", key)
		}
	}
	for _, r := range cluster.Received(insertV) {
		used[r.Node]++
	}
	if len(used) != 3 {
		t.Errorf("batches went to %d nodes of 3", len(used))
	}
}
