//go:build linux

package cluster_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
)

func TestPartitionsOfTwoDataCenters(t *testing.T) {
	c := start(t, cluster.Config{Nodes: 1, DataCenters: 2, Namespaces: true})
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	one, two := c.Node(1), c.Node(2)
	if one.DataCenter() != "dc1" || two.DataCenter() != "dc2" {
		t.Fatalf("data centres %s and %s", one.DataCenter(), two.DataCenter())
	}
	t.Run("between data centres", func(t *testing.T) {
		if err := c.PartitionDataCenters(); err != nil {
			t.Fatal(err)
		}
		// Both are alive, and neither is seen: what node2 sends is lost, and what node1
		// sends is not answered.
		if err := c.WaitSeen(ctx, two, false); err != nil {
			t.Error(err)
		}
		for _, n := range c.Nodes() {
			if err := n.WaitReady(ctx); err != nil {
				t.Error(err)
			}
		}
		if err := c.Heal(); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitUp(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Run("one way, by a plan", func(t *testing.T) {
		plan(t, ctx, c, chaos.What{Kind: chaos.Partition, Peers: []string{"node1"}, OneWay: true}, "node2", func() {
			if err := c.WaitSeen(ctx, two, false); err != nil {
				t.Error(err)
			}
		})
		if err := c.WaitUp(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Run("from clients, both ways", func(t *testing.T) { cutFromClients(t, ctx, one, two, c) })
}

// cutFromClients cuts a node from clients that are connected: they get no answer, and
// what they send does not arrive, or the node would write it and tell the other one.
func cutFromClients(t *testing.T, ctx context.Context, one, two *cluster.Node, c *cluster.Cluster) {
	near, far := sessionAt(t, one), sessionAt(t, two)
	for _, cql := range []string{
		"CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 1, 'dc2': 1}", "CREATE TABLE k.t (id int PRIMARY KEY)",
		"INSERT INTO k.t (id) VALUES (1)",
	} {
		if err := near.Query(cql).Exec(); err != nil {
			t.Fatal(err)
		}
	}
	rows := func() int {
		all, err := far.Query("SELECT id FROM k.t").Iter().SliceMap()
		if err != nil {
			t.Error(err)
		}
		return len(all)
	}
	eventually(t, "the other node has what was written", func() bool { return rows() == 1 })
	plan(t, ctx, c, chaos.What{Kind: chaos.Partition, Peers: []string{chaos.Clients}}, "node1", func() {
		deaf, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if err := near.Query("INSERT INTO k.t (id) VALUES (2)").WithContext(deaf).Exec(); err == nil {
			t.Error("a node that is cut from clients answered one that was connected")
		}
		if n := rows(); n != 1 {
			t.Errorf("what clients sent arrived: %d rows", n)
		}
		again, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := one.WaitReady(again); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a node that is cut from clients answered a new one: %v", err)
		}
	})
	if err := one.WaitReady(ctx); err != nil {
		t.Error(err)
	}
}
