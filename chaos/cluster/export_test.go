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

// Claim is a cluster's entry in the list, without its nodes.
type Claim struct{ *claim }

// Take makes the claim that a start begins with.
func Take(cfg Config) (*Claim, error) {
	left, err := cfg.leftovers()
	if err != nil {
		return nil, err
	}
	c, err := take(left)
	return &Claim{c}, err
}

func (c *Claim) Number() int    { return c.number }
func (c *Claim) Prefix() string { return c.prefix() }
func (c *Claim) Dir() string    { return c.left.Dir }
func (c *Claim) Release() error { return c.release() }

// Die ends the claim as the end of its process does.
func (c *Claim) Die() error { return c.file.Close() }

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

// Parted is a cluster of nodes that have networks and no processes. The claim is its own.
func Parted(c *Claim, nodes int) (*Cluster, error) {
	made := Quiet(c.Dir(), nodes, 0)
	made.claim, made.network = c.claim, networkOf(c.number)
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
