//go:build linux

package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// network is a bridge, and for each node a namespace with one leg on it. The machine
// itself has the address .254 there. Nil: nodes have no network of their own.
type network struct {
	number, nodes int
	prefix        string // of addresses, with its dot
}

// The places of rules in a node's network: what is looked at first, and what finds the
// node's own address.
const (
	cutRule   = "10"
	localRule = "20"
)

func (w *network) bridge() string          { return fmt.Sprintf("bstay%d", w.number) }
func (w *network) space(node int) string   { return fmt.Sprintf("backstay-%d-%d", w.number, node+1) }
func (w *network) address(node int) string { return fmt.Sprintf("%s%d", w.prefix, node+1) }
func (w *network) machine() string         { return w.prefix + "254" }

// newNetwork builds it. What a dead owner of the same number left is removed first.
func newNetwork(number, nodes int) (*network, error) {
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, fmt.Errorf("%w: the command ip, for networks of the nodes' own: install iproute2, or leave Namespaces off", ErrMissing)
	}
	w := &network{number: number, nodes: nodes, prefix: fmt.Sprintf("10.203.%d.", number)}
	if err := w.remove(); err != nil {
		return nil, err
	}
	if err := w.build(); err != nil {
		err = errors.Join(err, w.remove())
		if os.Getuid() != 0 || strings.Contains(err.Error(), "not permitted") {
			return nil, fmt.Errorf("%w: the right to make network namespaces: run as root, or under unshare -rn, or leave Namespaces off: %w", ErrMissing, err)
		}
		return nil, err
	}
	return w, nil
}

func (w *network) build() error {
	br := w.bridge()
	steps := [][]string{
		{"link", "add", br, "type", "bridge"},
		{"addr", "add", w.machine() + "/24", "dev", br},
		{"link", "set", br, "up"},
	}
	for i := range w.nodes {
		ns, leg := w.space(i), fmt.Sprintf("bs%dn%d", w.number, i+1)
		steps = append(steps,
			[]string{"netns", "add", ns},
			[]string{"link", "add", leg, "type", "veth", "peer", "name", "eth0", "netns", ns},
			[]string{"link", "set", leg, "master", br, "up"},
			[]string{"-n", ns, "addr", "add", w.address(i) + "/24", "dev", "eth0"},
			// Room for a rule before that of the node's own address.
			[]string{"-n", ns, "rule", "add", "pref", localRule, "lookup", "local"},
			[]string{"-n", ns, "rule", "del", "pref", "0"},
			[]string{"-n", ns, "link", "set", "lo", "up"},
			[]string{"-n", ns, "link", "set", "eth0", "up"})
	}
	for _, s := range steps {
		if err := ip(s...); err != nil {
			return err
		}
	}
	return nil
}

// remove takes down whatever is there of it.
func (w *network) remove() error {
	var errs []error
	for i := range maxNodes {
		if _, err := os.Stat("/run/netns/" + w.space(i)); err == nil {
			errs = append(errs, ip("netns", "del", w.space(i)))
		}
	}
	if _, err := os.Stat("/sys/class/net/" + w.bridge()); err == nil {
		errs = append(errs, ip("link", "del", w.bridge()))
	}
	// Legs go with their namespaces, but only once the last process in them has.
	legs, _ := filepath.Glob(fmt.Sprintf("/sys/class/net/bs%dn*", w.number))
	for _, leg := range legs {
		if err := ip("link", "del", filepath.Base(leg)); err != nil && !strings.Contains(err.Error(), "Cannot find") {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// command is a command that runs in a node's network.
func (w *network) command(node int, name string, args ...string) *exec.Cmd {
	if w == nil {
		return exec.Command(name, args...)
	}
	return exec.Command("ip", append([]string{"netns", "exec", w.space(node), name}, args...)...)
}

func ip(args ...string) error {
	cmd := exec.Command("ip", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cluster: ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Cut drops what from sends to to; the other direction stays. As every connection
// needs both, none works, but only one side sees nothing at all. It needs
// Config.Namespaces.
func (c *Cluster) Cut(from, to *Node) error {
	if c.network == nil {
		return fmt.Errorf("%w: cut %s from %s: they share a network; set Config.Namespaces", ErrState, from.name, to.name)
	}
	return ip("-n", c.network.space(from.index), "route", "replace", "blackhole", to.host+"/32")
}

// CutClients drops what a node and this machine, where the clients are, send to each
// other. Their connections stay open, and nothing comes. It needs Config.Namespaces.
func (c *Cluster) CutClients(n *Node) error {
	if err := c.muteToClients(n); err != nil {
		return err
	}
	if deaf, err := c.deafToClients(n); deaf || err != nil {
		return err
	}
	return ip("-n", c.network.space(n.index), "rule", "add", "pref", cutRule, "from", c.network.machine(), "blackhole")
}

// muteToClients drops what a node sends to this machine; what comes from there stays.
func (c *Cluster) muteToClients(n *Node) error {
	if c.network == nil {
		return fmt.Errorf("%w: cut clients from %s: they share a network; set Config.Namespaces", ErrState, n.name)
	}
	return ip("-n", c.network.space(n.index), "route", "replace", "blackhole", c.network.machine()+"/32")
}

// deafToClients says whether what this machine sends to a node is dropped.
func (c *Cluster) deafToClients(n *Node) (bool, error) {
	out, err := exec.Command("ip", "-n", c.network.space(n.index), "rule", "show", "pref", cutRule).Output()
	return len(out) > 0, err
}

// mendClients undoes CutClients and muteToClients.
func (c *Cluster) mendClients(n *Node) error {
	errs := []error{c.unroute(n, c.network.machine())}
	deaf, err := c.deafToClients(n)
	if deaf {
		err = ip("-n", c.network.space(n.index), "rule", "del", "pref", cutRule)
	}
	return errors.Join(append(errs, err)...)
}

// Partition cuts each node of a from each of b, both ways.
func (c *Cluster) Partition(a, b []*Node) error {
	var errs []error
	for _, x := range a {
		for _, y := range b {
			errs = append(errs, c.Cut(x, y), c.Cut(y, x))
		}
	}
	return errors.Join(errs...)
}

// PartitionDataCenters cuts dc1 from dc2, both ways.
func (c *Cluster) PartitionDataCenters() error {
	return c.Partition(c.nodes[:c.cfg.Nodes], c.nodes[c.cfg.Nodes:])
}

// mend undoes one Cut. One that is not there, after Heal for example, is no error.
func (c *Cluster) mend(from, to *Node) error { return c.unroute(from, to.host) }

// unroute lets a node send to an address again.
func (c *Cluster) unroute(from *Node, address string) error {
	space, what := c.network.space(from.index), []string{"route", "blackhole", address + "/32"}
	if out, err := exec.Command("ip", "-n", space, what[0], "show", "type", what[1], what[2]).Output(); err != nil || len(out) == 0 {
		return err
	}
	return ip("-n", space, what[0], "del", what[1], what[2])
}

// Heal undoes every Cut, CutClients and Partition.
func (c *Cluster) Heal() error {
	if c.network == nil {
		return nil
	}
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, ip("-n", c.network.space(n.index), "route", "flush", "type", "blackhole"), c.mendClients(n))
	}
	return errors.Join(errs...)
}
