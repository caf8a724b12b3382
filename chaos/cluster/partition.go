//go:build linux

package cluster

import "fmt"

// Cut drops everything that from sends to to. The other direction stays open, but no
// connection works, because each needs both directions. Only one side receives nothing at all.
// Cut needs Config.Namespaces, as all partitions do. Heal undoes it.
func (c *Cluster) Cut(from, to *Node) error {
	return c.cut(fmt.Sprintf("%s from %s", from.name, to.name), way{from.index, to.index})
}

// CutClients drops everything that a node and this machine, where the clients run, send to
// each other. Their connections stay open, and nothing arrives on them.
func (c *Cluster) CutClients(n *Node) error {
	return c.cut("clients from "+n.name, bothWays(n.index, machine)...)
}

// Partition cuts each node of a from each node of b, in both directions. A node that is in
// both is not cut from either.
func (c *Cluster) Partition(a, b []*Node) error {
	var ways []way
	for _, x := range a {
		for _, y := range b {
			if x != y {
				ways = append(ways, bothWays(x.index, y.index)...)
			}
		}
	}
	return c.cut("nodes from others", ways...)
}

// PartitionDataCenters cuts dc1 from dc2, in both directions.
func (c *Cluster) PartitionDataCenters() error {
	if c.cfg.DataCenters < 2 {
		return fmt.Errorf("%w: cut dc1 from dc2: there is one data centre; set Config.DataCenters", ErrState)
	}
	return c.Partition(c.nodes[:c.cfg.Nodes], c.nodes[c.cfg.Nodes:])
}

// Heal undoes every Cut, CutClients and Partition, and everything that a plan has cut.
func (c *Cluster) Heal() error {
	if c.network == nil {
		return nil
	}
	return c.network.heal()
}

func (c *Cluster) cut(what string, ways ...way) error {
	if c.network == nil {
		return fmt.Errorf("%w: cut %s: they share a network; set Config.Namespaces", ErrState, what)
	}
	return c.network.cut(ways...)
}
