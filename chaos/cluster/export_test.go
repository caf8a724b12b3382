//go:build linux

package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
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

// Patience is the context of a start.
func (c *Cluster) Patience(ctx context.Context) (context.Context, func()) {
	return c.patience(ctx, c.nodes...)
}
