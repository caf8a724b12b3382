//go:build linux

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/testenv"
)

// TestTwoDataCenters has three nodes in each with CI=true, so that a quorum can lose one,
// and two elsewhere: six take the most part of a minute to start on two cores.
func TestTwoDataCenters(t *testing.T) {
	if _, err := exec.LookPath("nsenter"); err != nil {
		testenv.Missing(t, "nsenter of util-linux, to send from a node's network")
	}
	size := 2
	if testenv.CI() {
		size = 3
	}
	// Half the heap is enough for nodes that hold a few rows.
	c := start(t, cluster.Config{Nodes: size, DataCenters: 2, Namespaces: true, HeapMB: 256})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	all := c.Nodes()
	first, last := all[0], all[2*size-1]
	near, far := sessionAt(t, first), sessionAt(t, last)
	for _, cql := range []string{
		fmt.Sprintf("CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': %d, 'dc2': %[1]d}", size),
		"CREATE TABLE k.t (id int PRIMARY KEY)",
	} {
		if err := near.Query(cql).Exec(); err != nil {
			t.Fatal(err)
		}
	}
	quorum := func(s *cassandra.Session) error {
		return s.Query("INSERT INTO k.t (id) VALUES (0)").Consistency(cassandra.LocalQuorum).Exec()
	}
	quorums := func() bool { return quorum(near) == nil && quorum(far) == nil }

	t.Run("all are there", func(t *testing.T) {
		for i, n := range all {
			if name, dc := fmt.Sprintf("node%d", i+1), fmt.Sprintf("dc%d", 1+i/size); n.Name() != name || n.DataCenter() != dc {
				t.Errorf("%s of %s; want %s of %s", n.Name(), n.DataCenter(), name, dc)
			}
			for _, other := range all {
				if n != other && !n.Sees(other) {
					t.Errorf("%s does not see %s up", n.Name(), other.Name())
				}
			}
		}
		eventually(t, "a quorum in each data centre", quorums)
		reach(t, c, func(_, _ *cluster.Node) bool { return true })
	})

	t.Run("one is killed in each", func(t *testing.T) {
		gone := []*cluster.Node{all[size-1], last}
		var rules []chaos.Rule
		for _, n := range gone {
			rules = append(rules, chaos.Rule{Name: n.Name(), Where: chaos.Where{Node: n.Name()}, What: chaos.What{Kind: chaos.Kill}})
		}
		follow(t, ctx, c, len(gone), rules, func(*chaos.Injector) {
			for _, n := range gone {
				if err := c.WaitSeen(ctx, n, false); err != nil {
					t.Error(err)
				}
			}
			if size == 3 {
				eventually(t, "a quorum in each data centre without one node", quorums)
				return
			}
			for _, s := range []*cassandra.Session{near, far} {
				eventually(t, "no quorum of two nodes without one", func() bool { return errors.Is(quorum(s), cassandra.ErrUnavailable) })
			}
		})
		if err := c.WaitUp(ctx); err != nil {
			t.Error(err)
		}
		eventually(t, "a quorum in each data centre", quorums)
	})

	t.Run("a pair by hand, and by rules that share a way", func(t *testing.T) {
		a, b, x, y := all[0], all[1], all[2], all[3]
		byHand := func(from, to *cluster.Node) bool { return from == a && to == b || from == b && to == a }
		if err := c.Partition([]*cluster.Node{a}, []*cluster.Node{a, b}); err != nil {
			t.Fatal(err)
		}
		rules := []chaos.Rule{
			{Name: "one way", Where: chaos.Where{Node: x.Name()}, What: chaos.What{Kind: chaos.Partition, Peers: []string{y.Name()}, OneWay: true}},
			{Name: "both ways", Where: chaos.Where{Node: y.Name()}, What: chaos.What{Kind: chaos.Partition, Peers: []string{x.Name()}}},
		}
		follow(t, ctx, c, len(rules), rules, func(injector *chaos.Injector) {
			reach(t, c, func(from, to *cluster.Node) bool {
				return !byHand(from, to) && !(from == x && to == y) && !(from == y && to == x)
			})
			// What the other rule cut too stays cut.
			if err := injector.Update(chaos.Plan{Rules: rules[:1]}); err != nil {
				t.Fatal(err)
			}
			reach(t, c, func(from, to *cluster.Node) bool { return !byHand(from, to) && !(from == x && to == y) })
		})
		// The end of a plan undoes what the plan cut.
		reach(t, c, func(from, to *cluster.Node) bool { return !byHand(from, to) })
		healed(t, ctx, c)
	})

	t.Run("nodes from all others by a plan, both ways and one way", func(t *testing.T) {
		follow(t, ctx, c, 2, []chaos.Rule{
			{Name: "both ways", Where: chaos.Where{Node: first.Name()}, What: chaos.What{Kind: chaos.Partition, Peers: []string{"*"}}},
			{Name: "one way", Where: chaos.Where{Node: last.Name()}, What: chaos.What{Kind: chaos.Partition, Peers: []string{"*"}, OneWay: true}},
		}, func(*chaos.Injector) {
			for _, n := range []*cluster.Node{first, last} {
				if err := c.WaitSeen(ctx, n, false); err != nil {
					t.Error(err)
				}
			}
			for _, n := range all[1:] {
				eventually(t, first.Name()+" sees "+n.Name()+" down", func() bool { return !first.Sees(n) })
			}
			reach(t, c, func(from, to *cluster.Node) bool { return from != first && to != first && from != last })
			// They are cut off from nodes, not from clients.
			for _, n := range all {
				if err := n.WaitReady(ctx); err != nil {
					t.Error(err)
				}
			}
		})
		healed(t, ctx, c)
	})

	t.Run("data centres from each other, by hand and by a plan", func(t *testing.T) {
		together := func(from, to *cluster.Node) bool { return from.DataCenter() == to.DataCenter() }
		if err := c.PartitionDataCenters(); err != nil {
			t.Fatal(err)
		}
		reach(t, c, together)
		if err := c.Heal(); err != nil {
			t.Fatal(err)
		}
		follow(t, ctx, c, size, []chaos.Rule{{Where: chaos.Where{Node: "dc2"}, What: chaos.What{Kind: chaos.Partition, Peers: []string{"dc1"}}}}, func(*chaos.Injector) {
			for _, n := range all {
				for _, other := range all {
					if !together(n, other) {
						eventually(t, n.Name()+" sees "+other.Name()+" down", func() bool { return !n.Sees(other) })
					} else if n != other && !n.Sees(other) {
						t.Errorf("%s does not see %s, which is in its data centre", n.Name(), other.Name())
					}
				}
			}
			reach(t, c, together)
			eventually(t, "a quorum in each data centre", quorums)
		})
		healed(t, ctx, c)
	})

	t.Run("from clients, both ways", func(t *testing.T) { cutFromClients(t, ctx, c, near, far) })
}

// named is the node of a name.
func named(c *cluster.Cluster, name string) *cluster.Node {
	return c.Nodes()[slices.IndexFunc(c.Nodes(), func(n *cluster.Node) bool { return n.Name() == name })]
}

// healed undoes all cuts, and waits until everybody sees everybody.
func healed(t *testing.T, ctx context.Context, c *cluster.Cluster) {
	t.Helper()
	if err := c.Heal(); err != nil {
		t.Error(err)
	}
	reach(t, c, func(_, _ *cluster.Node) bool { return true })
	if err := c.WaitUp(ctx); err != nil {
		t.Error(err)
	}
}

// cutFromClients cuts the first node from clients that are connected: they get no answer,
// and what they send does not arrive, or the node would write it and tell the other ones.
func cutFromClients(t *testing.T, ctx context.Context, c *cluster.Cluster, near, far *cassandra.Session) {
	write := func(ctx context.Context, id int) error {
		return near.Query("INSERT INTO k.t (id) VALUES (?)", id).WithContext(ctx).Consistency(cassandra.All).Exec()
	}
	there := func(id int) bool {
		rows, err := far.Query("SELECT id FROM k.t WHERE id = ?", id).Consistency(cassandra.LocalQuorum).Iter().SliceMap()
		if err != nil {
			t.Error(err)
		}
		return len(rows) == 1
	}
	eventually(t, "a write to all", func() bool { return write(ctx, 1) == nil })
	if !there(1) {
		t.Error("the other data centre has not what was written to all")
	}
	var rules []chaos.Rule
	for _, n := range c.Nodes() {
		if n.DataCenter() == "dc1" {
			rules = append(rules, chaos.Rule{Name: n.Name(), Where: chaos.Where{Node: n.Name()}, What: chaos.What{Kind: chaos.Partition, Peers: []string{chaos.Clients}}})
		}
	}
	follow(t, ctx, c, len(rules), rules, func(*chaos.Injector) {
		for _, r := range rules {
			eventually(t, r.Name+" hears no client", func() bool { return !hears(t, named(c, r.Name)) })
		}
		deaf, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if err := write(deaf, 2); err == nil {
			t.Error("nodes that are cut from clients answered one that was connected")
		}
		if there(2) {
			t.Error("what clients sent arrived")
		}
		again, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := c.Node(1).WaitReady(again); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a node that is cut from clients answered a new one: %v", err)
		}
	})
	if err := c.WaitUp(ctx); err != nil {
		t.Error(err)
	}
}
