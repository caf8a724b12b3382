package cqltest

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// Node is one node. It is safe for concurrent use.
type Node struct {
	cluster *Cluster
	index   int
	dc      string
	token   int64
	silent  atomic.Bool
	schema  atomic.Int64
	frozen  atomic.Pointer[chan struct{}]
	opened  atomic.Int64
	prepares,
	logins,
	requests,
	swallowed atomic.Int64

	mu       sync.Mutex
	ip       net.IP
	listener net.Listener
	conns    map[*conn]struct{}
	prepared sync.Map // id -> CQL
}

// Host returns the node's address, without the port.
func (n *Node) Host() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ip.String()
}

// Address returns the node's address with the port.
func (n *Node) Address() string { return net.JoinHostPort(n.Host(), fmt.Sprint(n.cluster.port)) }

// ID returns the node's host id.
func (n *Node) ID() [16]byte { return [16]byte{6: 0x40, 8: 0x80, 15: byte(n.index + 1)} }

// Silence makes the node read without answering, or ends that. Requests that it read in
// silence are never answered.
func (n *Node) Silence(on bool) { n.silent.Store(on) }

// Freeze stops the node completely until thaw is called.
func (n *Node) Freeze() (thaw func()) {
	gate := make(chan struct{})
	n.frozen.Store(&gate)
	return sync.OnceFunc(func() {
		n.frozen.Store(nil)
		close(gate)
	})
}

// Deafen makes those connections silent that have carried requests for scripted statements,
// and returns their number. Later connections, and the client's control connection, still
// work.
func (n *Node) Deafen() (connections int) {
	n.each(func(c *conn) {
		if c.carried.Load() && !c.deaf.Swap(true) {
			connections++
		}
	})
	return connections
}

// Alter gives the node a newer schema.
func (n *Node) Alter() { n.schema.Add(1) }

// Logins returns how often credentials were presented so far.
func (n *Node) Logins() int { return int(n.logins.Load()) }

// Stop closes the node's connections and refuses new ones.
func (n *Node) Stop() {
	n.mu.Lock()
	l := n.listener
	n.listener = nil
	n.mu.Unlock()
	if l != nil {
		_ = l.Close() // An error means that it is closed already.
	}
	n.Drop()
}

// Drop closes the node's connections. New ones are accepted.
func (n *Node) Drop() { n.each(func(c *conn) { c.close() }) }

// Restart listens again, at the same address. It does nothing if the node runs.
func (n *Node) Restart() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(n.ip.String(), fmt.Sprint(n.cluster.port)))
	if err != nil {
		return err
	}
	n.listener = l
	if n.cluster.port == 0 {
		n.cluster.port = l.Addr().(*net.TCPAddr).Port
	}
	n.cluster.work.Go(func() { n.accept(l) })
	return nil
}

// Move starts a stopped node under an address that no node had.
func (n *Node) Move() error {
	n.cluster.mu.Lock()
	ip := n.cluster.nextIP()
	n.cluster.mu.Unlock()
	n.mu.Lock()
	n.ip = ip
	n.mu.Unlock()
	return n.Restart()
}

// Unprepare forgets the statements that were prepared.
func (n *Node) Unprepare() { n.prepared.Clear() }

// Connections returns the number of open connections.
func (n *Node) Connections() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns)
}

// Opened returns the number of connections that were accepted so far.
func (n *Node) Opened() int { return int(n.opened.Load()) }

// Requests returns the number of requests for scripted statements so far.
func (n *Node) Requests() int { return int(n.requests.Load()) }

// Prepares returns the number of PREPARE requests so far.
func (n *Node) Prepares() int { return int(n.prepares.Load()) }

// Swallowed returns the number of frames of any kind that were read in silence so far.
func (n *Node) Swallowed() int { return int(n.swallowed.Load()) }

func (n *Node) each(do func(*conn)) {
	n.mu.Lock()
	var all []*conn
	for c := range n.conns {
		all = append(all, c)
	}
	n.mu.Unlock()
	for _, c := range all {
		do(c)
	}
}

func (n *Node) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		n.opened.Add(1)
		if cfg := n.cluster.config.TLS; cfg != nil {
			nc = tls.Server(nc, cfg)
		}
		c := &conn{node: n, net: nc}
		n.mu.Lock()
		if n.listener != l {
			n.mu.Unlock()
			c.close()
			return
		}
		n.conns[c] = struct{}{}
		n.mu.Unlock()
		n.cluster.work.Go(func() {
			c.serve()
			n.mu.Lock()
			delete(n.conns, c)
			n.mu.Unlock()
		})
	}
}
