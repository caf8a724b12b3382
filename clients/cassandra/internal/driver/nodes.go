package driver

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limits says when a node is steered around and when its connections are
// replaced. The client fills it in.
type Limits struct {
	// Suspect is the number of failures in a row that makes a node suspect.
	Suspect int
	// SuspectFor is how long a suspect node is left alone before one request tries it.
	SuspectFor time.Duration
	// Orphans is the number of requests without an answer, a connection, above which
	// the node's connections are replaced.
	Orphans int
	// Silence is how long a node with orphans may say nothing before its connections
	// are replaced.
	Silence time.Duration
}

// Nodes is what the client knows of the cluster's nodes. It is safe for
// concurrent use. The driver reports to it and closes connections when asked.
type Nodes struct {
	limits Limits
	base   time.Time
	// sick is the number of suspect nodes: while it is zero, nothing is steered.
	sick atomic.Int64

	mu    sync.RWMutex
	nodes map[string]*Node
}

// NewNodes returns an empty registry.
func NewNodes(l Limits) *Nodes {
	return &Nodes{limits: l, base: time.Now(), nodes: map[string]*Node{}}
}

// Node returns the node at an address, made if need be.
func (ns *Nodes) Node(address, dc string) *Node {
	ns.mu.RLock()
	n := ns.nodes[address]
	ns.mu.RUnlock()
	if n != nil {
		return n
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if n = ns.nodes[address]; n == nil {
		n = &Node{Address: address, DC: dc, all: ns, conns: map[Conn]struct{}{}}
		ns.nodes[address] = n
	}
	return n
}

// Forget drops a node that has left the cluster.
func (ns *Nodes) Forget(address string) {
	ns.mu.Lock()
	n := ns.nodes[address]
	delete(ns.nodes, address)
	ns.mu.Unlock()
	if n != nil && n.suspectUntil.Swap(0) != 0 {
		ns.sick.Add(-1)
	}
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

// Steering reports whether any node is suspect.
func (ns *Nodes) Steering() bool { return ns.sick.Load() > 0 }

func (ns *Nodes) now() int64 { return int64(time.Since(ns.base)) + 1 }

// Conn is a connection that can be closed.
type Conn interface{ Close() error }

// Node is one node: what is in flight there, and whether it answers. It is safe
// for concurrent use.
type Node struct {
	Address, DC string
	all         *Nodes

	inFlight, orphans   atomic.Int64
	requests, replaced  atomic.Int64
	failures            atomic.Int64 // in a row
	suspectUntil        atomic.Int64 // offset of the next try; zero: not suspect
	heard, firstUnheard atomic.Int64 // offsets; firstUnheard zero: nothing is waiting
	latency             atomic.Int64 // moving average in nanoseconds
	connMu              sync.Mutex
	conns               map[Conn]struct{}
}

// Opened adds a connection; the returned function takes it out again.
func (n *Node) Opened(c Conn) (closed func()) {
	n.connMu.Lock()
	defer n.connMu.Unlock()
	n.conns[c] = struct{}{}
	return func() {
		n.connMu.Lock()
		defer n.connMu.Unlock()
		delete(n.conns, c)
	}
}

// Usable reports whether a request may go to the node now. Of a suspect node, one
// request in each SuspectFor may try.
func (n *Node) Usable() bool {
	until := n.suspectUntil.Load()
	if until == 0 {
		return true
	}
	now := n.all.now()
	return now >= until && n.suspectUntil.CompareAndSwap(until, now+int64(n.all.limits.SuspectFor))
}

// Suspect reports whether the node is steered around.
func (n *Node) Suspect() bool { return n.suspectUntil.Load() != 0 }

// started counts a request that is about to be written.
func (n *Node) started() {
	n.requests.Add(1)
	n.inFlight.Add(1)
}

// answered counts a stream that is free again: an answer came, or the connection
// is gone.
func (n *Node) answered(alive bool) {
	n.inFlight.Add(-1)
	if alive {
		n.heard.Store(n.all.now())
		n.firstUnheard.Store(0)
	}
}

// left counts a request whose caller went without an answer, and replaces the
// node's connections when there are too many, or it has said nothing for long.
func (n *Node) left() {
	orphans := n.orphans.Add(1)
	now := n.all.now()
	l := n.all.limits
	first := n.firstUnheard.Load()
	if first == 0 {
		n.firstUnheard.CompareAndSwap(0, now)
		first = now
	}
	n.connMu.Lock()
	conns := len(n.conns)
	n.connMu.Unlock()
	silent := l.Silence > 0 && now-first >= int64(l.Silence)
	if silent || l.Orphans > 0 && orphans > int64(l.Orphans)*int64(max(1, conns)) {
		n.Replace()
	}
}

func (n *Node) found() { n.orphans.Add(-1) }

// Replace closes the node's connections; the driver opens new ones.
func (n *Node) Replace() {
	n.connMu.Lock()
	conns := make([]Conn, 0, len(n.conns))
	for c := range n.conns {
		conns = append(conns, c)
	}
	clear(n.conns)
	n.connMu.Unlock()
	n.firstUnheard.Store(0)
	for _, c := range conns {
		n.replaced.Add(1)
		// A connection that does not close cleanly is as gone as one that does.
		_ = c.Close()
	}
}

// report tells how an attempt on the node went.
func (n *Node) report(ok bool, took time.Duration) {
	if ok {
		n.failures.Store(0)
		if n.suspectUntil.Load() != 0 && n.suspectUntil.Swap(0) != 0 {
			n.all.sick.Add(-1)
		}
		before := n.latency.Load()
		if before == 0 {
			before = int64(took)
		}
		// A moving average over about the last eight answers.
		n.latency.Store(before + (int64(took)-before)/8)
		return
	}
	if l := n.all.limits; n.failures.Add(1) >= int64(l.Suspect) && l.Suspect > 0 {
		if n.suspectUntil.Swap(n.all.now()+int64(l.SuspectFor)) == 0 {
			n.all.sick.Add(1)
		}
	}
}

// NodeState is a node at one moment.
type NodeState struct {
	Address     string        `json:"address"`
	DC          string        `json:"dc"`
	Suspect     bool          `json:"suspect"`
	InFlight    int           `json:"in_flight"`
	Orphans     int           `json:"orphans"`
	Requests    int64         `json:"requests"`
	Connections int           `json:"connections"`
	Replaced    int64         `json:"replaced"`
	Latency     time.Duration `json:"latency"`
}

// State returns the node as it is now.
func (n *Node) State() NodeState {
	n.connMu.Lock()
	conns := len(n.conns)
	n.connMu.Unlock()
	return NodeState{Address: n.Address, DC: n.DC, Suspect: n.Suspect(), InFlight: int(n.inFlight.Load()),
		Orphans: int(n.orphans.Load()), Requests: n.requests.Load(), Connections: conns, Replaced: n.replaced.Load(),
		Latency: time.Duration(n.latency.Load())}
}
