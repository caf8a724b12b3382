package driver

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limits says when requests avoid a node and when its connections are replaced. The
// client sets all fields.
type Limits struct {
	// Suspect is the number of failures in a row that makes a node suspect.
	Suspect int
	// SuspectFor is how long a suspect node is left alone before one request tries it.
	SuspectFor time.Duration
	// Quiet is how long a node may leave requests, and then a ping, unanswered before
	// it counts as unresponsive.
	Quiet time.Duration
	// Connections is the configured number of connections to each node.
	Connections int
	// Orphans is the number of unanswered requests, per connection, above which the
	// node's connections are replaced.
	Orphans int
	// Silence is how long a node with orphans, or a connection, may send nothing before
	// it is replaced. It is also how long a node with too many orphans may drain.
	Silence time.Duration
}

func (l Limits) mostOrphans() int64 { return int64(l.Orphans) * int64(max(1, l.Connections)) }

// Nodes is what the client knows about the cluster's nodes. It is safe for concurrent
// use. The driver reports to it and closes connections on request.
type Nodes struct {
	limits Limits
	base   time.Time
	// suspects is the number of suspect nodes. While it is zero, no node is avoided.
	suspects atomic.Int64
	// draining is the number of nodes that are draining.
	draining atomic.Int64

	mu    sync.RWMutex
	nodes map[string]*Node
}

// NewNodes returns an empty registry.
func NewNodes(l Limits) *Nodes {
	return &Nodes{limits: l, base: time.Now(), nodes: map[string]*Node{}}
}

// Node returns the node at an address, and adds it if necessary. dc may be empty,
// because the data centre of a contact point is not known at first.
func (ns *Nodes) Node(address, dc string) *Node {
	ns.mu.RLock()
	n := ns.nodes[address]
	ns.mu.RUnlock()
	if n == nil {
		ns.mu.Lock()
		if n = ns.nodes[address]; n == nil {
			n = &Node{Address: address, all: ns, conns: map[Conn]struct{}{}}
			ns.nodes[address] = n
		}
		ns.mu.Unlock()
	}
	if dc != "" {
		n.mu.Lock()
		n.dc = dc
		n.mu.Unlock()
	}
	return n
}

// Forget drops a node that has left the cluster.
func (ns *Nodes) Forget(address string) {
	ns.mu.Lock()
	n := ns.nodes[address]
	delete(ns.nodes, address)
	ns.mu.Unlock()
	if n == nil {
		return
	}
	n.gone.Store(true)
	n.endDraining()
	if n.suspectUntil.Swap(0) != 0 {
		ns.suspects.Add(-1)
	}
}

// Find returns the node at an address, nil if there is none.
func (ns *Nodes) Find(address string) *Node {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	return ns.nodes[address]
}

// All returns the nodes by address.
func (ns *Nodes) All() []*Node {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	all := make([]*Node, 0, len(ns.nodes))
	for _, n := range ns.nodes {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *Node) int { return strings.Compare(a.Address, b.Address) })
	return all
}

// CloseConnections closes the connections of all nodes.
func (ns *Nodes) CloseConnections() {
	for _, n := range ns.All() {
		n.mu.Lock()
		conns := slices.Collect(maps.Keys(n.conns))
		n.mu.Unlock()
		for _, c := range conns {
			_ = c.Close() // nobody needs it any more
		}
	}
}

// Connected reports whether any node has a connection.
func (ns *Nodes) Connected() bool {
	return slices.ContainsFunc(ns.All(), func(n *Node) bool { return n.Connections() > 0 })
}

// Doubtful returns the nodes that must be pinged now; usually nil. It detects silence,
// so call it a few times per Limits.Quiet. If Quiet is zero, it returns none.
func (ns *Nodes) Doubtful() (ping []*Node) {
	if ns.limits.Quiet <= 0 {
		return nil
	}
	now := ns.now()
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	for _, n := range ns.nodes {
		if n.doubt(now) {
			ping = append(ping, n)
		}
	}
	return ping
}

// Renew replaces the connections that must be replaced. Call it as often as Doubtful.
func (ns *Nodes) Renew() {
	now := ns.now()
	for _, n := range ns.All() {
		n.renew(now)
	}
}

// Steering reports whether any node is suspect or draining.
func (ns *Nodes) Steering() bool { return ns.suspects.Load() > 0 || ns.draining.Load() > 0 }

// now returns the time as an offset, never zero.
func (ns *Nodes) now() int64 { return ns.offset(time.Now()) }

func (ns *Nodes) offset(t time.Time) int64 { return int64(t.Sub(ns.base)) + 1 }
