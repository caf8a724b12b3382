//go:build linux

package cluster

import "fmt"

// Cut drops what from sends to to; the other direction stays. As every connection
// needs both, none works, but only one side sees nothing at all. It needs
// Config.Namespaces, as all partitions do; Heal undoes it.
func (c *Cluster) Cut(from, to *Node) error {
	return c.cut(fmt.Sprintf("%s from %s", from.name, to.name), way{from.index, to.index})
}

// CutClients drops what a node and this machine, where the clients are, send to each
// other. Their connections stay open, and nothing comes.
func (c *Cluster) CutClients(n *Node) error {
	return c.cut("clients from "+n.name, bothWays(n.index, machine)...)
}

// Partition cuts each node of a from each of b, both ways. A node that is in both stays
// whole.
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

// PartitionDataCenters cuts dc1 from dc2, both ways.
func (c *Cluster) PartitionDataCenters() error {
	if c.cfg.DataCenters < 2 {
		return fmt.Errorf("%w: cut dc1 from dc2: there is one data centre; set Config.DataCenters", ErrState)
	}
	return c.Partition(c.nodes[:c.cfg.Nodes], c.nodes[c.cfg.Nodes:])
}

// Heal undoes every Cut, CutClients and Partition, and what a plan has cut.
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
