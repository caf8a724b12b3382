package cqlproxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// The defaults, in one place.
const (
	defaultListen        = "127.0.0.1:0"
	defaultDialTimeout   = 5 * time.Second
	defaultMaxFrameBytes = 256 << 20 // the protocol's own limit
)

// Config configures a proxy.
type Config struct {
	// Dependency names the nodes in rules. Required.
	Dependency string
	// Nodes are the nodes to proxy; each gets its own address. At least one is required.
	Nodes []Node
	// Injector decides which faults happen. Nil: none.
	Injector *chaos.Injector
	// DialTimeout bounds the connection to a node. Default: 5 s.
	DialTimeout time.Duration
	// MaxFrameBytes bounds the body of a frame in bytes, both as it comes and after it is
	// decompressed. From 1 KiB to 256 MiB, which is the protocol's limit and the default.
	MaxFrameBytes int
	// OnError is called for nodes that can't be reached and for peers that break the
	// protocol. It is called on the connection's goroutine, with no lock held; calls
	// overlap. A panic in it ends the process. Optional.
	OnError func(error)
	_       struct{}
}

// Node is one Cassandra node.
type Node struct {
	// Name is what rules call the node. Default: Upstream.
	Name string
	// Listen is the address that drivers dial, host:port. Default: a free port of
	// 127.0.0.1. Drivers that learn nodes from system.peers, which has no ports, want
	// the same port for all nodes: then give each node its own IP address.
	Listen string
	// Upstream is the host:port of the node. Required. It need not be there at the
	// start; a connection that cannot reach it is reset.
	Upstream string
	// Advertised is the ip:port under which the cluster announces the node to drivers.
	// Default: Upstream, if its host is an IP address.
	Advertised string
	_          struct{}
}

func (n Node) name() string {
	if n.Name != "" {
		return n.Name
	}
	return n.Upstream
}

// Check returns every problem at once.
func (c Config) Check() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf("cqlproxy: "+format, args...)) }
	if c.Dependency == "" {
		add("Dependency is empty: name the nodes as rules do")
	}
	if len(c.Nodes) == 0 {
		add("Nodes is empty: give at least one")
	}
	names := make(map[string]int)
	for i, n := range c.Nodes {
		if _, port, err := net.SplitHostPort(n.Upstream); err != nil || port == "" {
			add("Nodes[%d].Upstream is %q: give host:port", i, n.Upstream)
		}
		if _, _, err := net.SplitHostPort(n.Listen); n.Listen != "" && err != nil {
			add("Nodes[%d].Listen is %q: give host:port, or nothing for a free port", i, n.Listen)
		}
		if _, err := netip.ParseAddrPort(n.Advertised); n.Advertised != "" && err != nil {
			add("Nodes[%d].Advertised is %q: give ip:port", i, n.Advertised)
		}
		if first, twice := names[n.name()]; twice {
			add("Nodes[%d] has the name of Nodes[%d], %q: rules could not tell them apart", i, first, n.name())
		}
		names[n.name()] = i
	}
	if c.DialTimeout < 0 {
		add("DialTimeout is %s: give a duration above zero, or 0 for %s", c.DialTimeout, defaultDialTimeout)
	}
	if c.MaxFrameBytes != 0 && (c.MaxFrameBytes < 1<<10 || c.MaxFrameBytes > defaultMaxFrameBytes) {
		add("MaxFrameBytes is %d: give 1024 to %d, or 0 for the most", c.MaxFrameBytes, defaultMaxFrameBytes)
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.DialTimeout == 0 {
		c.DialTimeout = defaultDialTimeout
	}
	if c.MaxFrameBytes == 0 {
		c.MaxFrameBytes = defaultMaxFrameBytes
	}
	if c.OnError == nil {
		c.OnError = func(error) {}
	}
	return c
}

// Known returns the names that a plan's rules can use, for chaos.Plan.CheckNames.
func (c Config) Known() chaos.Known {
	known := chaos.Known{Dependencies: []string{c.Dependency}}
	for _, n := range c.Nodes {
		known.Nodes = append(known.Nodes, n.name())
	}
	return known
}
