//go:build linux

package cluster

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// Token is a node's place on the ring.
var Token = token

// OurFolder makes the list of clusters.
var OurFolder = ourFolder

// AddressBlock is a cluster's entry in the list, without its nodes.
type AddressBlock struct{ *addressBlock }

// Lease takes the block that a start begins with.
func Lease(cfg Config) (*AddressBlock, error) {
	left, err := cfg.leftovers()
	if err != nil {
		return nil, err
	}
	c, err := lease(left)
	return &AddressBlock{c}, err
}

func (b *AddressBlock) Number() int    { return b.number }
func (b *AddressBlock) Prefix() string { return b.prefix() }
func (b *AddressBlock) Dir() string    { return b.left.Dir }
func (b *AddressBlock) Release() error { return b.release() }

// Die ends the lease as the end of its process does.
func (b *AddressBlock) Die() error { return b.file.Close() }

// Quiet is a cluster of nodes that do nothing but have a log, below a folder.
func Quiet(dir string, nodes int, still time.Duration) *Cluster {
	c := &Cluster{cfg: Config{Nodes: nodes, StartTimeout: still}.withDefaults()}
	for i := range nodes {
		n := &Node{index: i, name: nodeName(i), host: fmt.Sprintf("127.0.10.%d", i+1), dc: dataCenter(0), dir: filepath.Join(dir, nodeName(i)), state: Running}
		n.heard.begin(0)
		c.nodes = append(c.nodes, n)
	}
	return c
}

// Sleepers is a cluster whose nodes are processes that sleep: they can be paused. Nothing
// else is theirs.
func Sleepers(dir string, nodes int) (*Cluster, error) {
	c := Quiet(dir, nodes, 0)
	for _, n := range c.nodes {
		n.state = Down
		n.launch = func() (*exec.Cmd, error) {
			cmd := exec.Command("sleep", "600")
			return cmd, cmd.Start()
		}
		if err := n.spawn(); err != nil {
			return c, err
		}
	}
	return c, nil
}

// Patience is the context of a start.
func (c *Cluster) Patience(ctx context.Context) (context.Context, func()) {
	return c.patience(ctx, c.nodes...)
}

// Parted is a cluster of nodes that have networks and no processes. The block is the caller's.
func Parted(b *AddressBlock, nodes int) (*Cluster, error) {
	made := Quiet(b.Dir(), nodes, 0)
	made.block, made.network = b.addressBlock, networkOf(b.number)
	return made, made.network.make(nodes)
}

// ByRule cuts what a rule's partition of a node would cut, and returns what undoes it.
func (c *Cluster) ByRule(n *Node, what chaos.What) (restore func() error, err error) {
	ways := c.cfg.ways(n.index, what)
	return func() error { return c.network.restore(ways...) }, c.cut("by a rule", ways...)
}

// Dropped is what the kernel drops of what a node sends, and of what comes to it.
func (c *Cluster) Dropped(n *Node) (string, error) {
	routes, err := exec.Command("ip", "-n", c.network.space(n.index), "route", "show", "type", "blackhole").Output()
	if err != nil {
		return "", err
	}
	rules, err := exec.Command("ip", "-n", c.network.space(n.index), "rule", "show", "pref", cutRule).Output()
	return strings.NewReplacer("blackhole ", "", " \n", " ", c.network.prefix, ".").Replace(string(routes)) + word(len(rules) > 0, "deaf", ""), err
}
