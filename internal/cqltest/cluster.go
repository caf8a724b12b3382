package cqltest

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"
)

// Config says what a cluster looks like. A zero field has its default.
type Config struct {
	// Nodes is the number of nodes. More than one need a system whose loopback has all of
	// 127.0.0.0/8, as Linux has. Default: 0, which means 1.
	Nodes int
	// DCs are the nodes' data centres. Default: dc1 for each.
	DCs []string
	// Keyspaces are the keyspaces that exist, with their replication factor. Default: ks, with
	// 3 or, if there are fewer nodes, their number.
	Keyspaces map[string]int
	// Username and Password are required of every connection. Default: empty, no login.
	Username, Password string
	// Authenticator is the class that nodes name. Default: that of passwords.
	Authenticator string
	// Version is the newest protocol version that nodes speak, 3 or 4. If it is 3, a
	// connection that begins with a newer one is closed, as old nodes do. Default: 0, which
	// means 4.
	Version int
	// TLS is the configuration of every connection. Nil: no TLS.
	TLS *tls.Config
}

// Cluster is a scripted cluster. It is safe for concurrent use.
type Cluster struct {
	config Config
	port   int
	ctx    context.Context
	end    context.CancelFunc
	work   sync.WaitGroup

	mu         sync.Mutex
	nodes      []*Node
	lastIP     int
	refuses    string
	statements map[string]*Statement
	received   map[string][]Received
}

func (c *Config) authenticator() string {
	return cmp.Or(c.Authenticator, "org.apache.cassandra.auth.PasswordAuthenticator")
}

func (c *Cluster) newest() primitive.ProtocolVersion {
	return primitive.ProtocolVersion(cmp.Or(c.config.Version, int(primitive.ProtocolVersion4)))
}

// Login changes the credentials that are required of later connections.
func (c *Cluster) Login(username, password string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config.Username, c.config.Password = username, password
}

func (c *Cluster) credentials() Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.config
}

// Refuse refuses every login with this text. The text "" ends that.
func (c *Cluster) Refuse(words string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuses = words
}

func (c *Cluster) refusal() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refuses
}

// Start starts a cluster that ends with the test.
func Start(t testing.TB, c Config) *Cluster {
	t.Helper()
	c.Nodes = max(c.Nodes, 1)
	if c.Keyspaces == nil {
		c.Keyspaces = map[string]int{"ks": min(3, c.Nodes)}
	}
	cl := &Cluster{config: c, statements: map[string]*Statement{}, received: map[string][]Received{}}
	cl.ctx, cl.end = context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cl.close)
	var err error
	// The port that is free on the first address may be taken on another.
	for range 20 {
		if err = cl.listen(); err == nil {
			return cl
		}
	}
	t.Fatalf("cqltest: start %d nodes: %v", c.Nodes, err)
	return nil
}

func (c *Cluster) listen() error {
	c.port, c.lastIP = 0, 0
	for i := range c.config.Nodes {
		dc := "dc1"
		if i < len(c.config.DCs) {
			dc = c.config.DCs[i]
		}
		n := &Node{cluster: c, index: i, dc: dc, token: token(i, c.config.Nodes), ip: c.nextIP(), conns: map[*conn]struct{}{}}
		if err := n.Restart(); err != nil {
			for _, n := range c.nodes {
				n.Stop()
			}
			c.nodes = nil
			return err
		}
		c.nodes = append(c.nodes, n)
	}
	return nil
}

// token spreads the nodes evenly over the ring.
func token(i, nodes int) int64 {
	return math.MinInt64 + int64(float64(i)*(math.MaxUint64/float64(nodes))/2)*2
}

func (c *Cluster) nextIP() net.IP {
	c.lastIP++
	return net.IPv4(127, 0, 0, byte(c.lastIP)).To4()
}

func (c *Cluster) close() {
	c.end()
	for _, n := range c.Nodes() {
		n.Stop()
	}
	c.work.Wait()
}

// Hosts returns the nodes' addresses, without the port.
func (c *Cluster) Hosts() []string {
	var hosts []string
	for _, n := range c.Nodes() {
		hosts = append(hosts, n.Host())
	}
	return hosts
}

// Port returns the port of all nodes.
func (c *Cluster) Port() int { return c.port }

// Nodes returns the cluster's nodes, in order.
func (c *Cluster) Nodes() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.nodes)
}

// Node returns one node.
func (c *Cluster) Node(i int) *Node { return c.Nodes()[i] }

// On says how all nodes answer a statement. A batch is answered as its first statement. It
// replaces an earlier answer.
func (c *Cluster) On(cql string, s Statement) {
	st := s
	if st.Params == nil {
		for i := range strings.Count(cql, "?") {
			st.Params = append(st.Params, Column{Name: fmt.Sprintf("p%d", i), Type: Text})
		}
	}
	if st.Key == nil && len(st.Params) > 0 {
		st.Key = []uint16{0}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.statements[cql] = &st
}

// Received returns the requests for a statement so far, in order and without PREPARE.
func (c *Cluster) Received(cql string) []Received {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.received[cql])
}

// Count returns the number of requests for a statement so far, without PREPARE.
func (c *Cluster) Count(cql string) int { return len(c.Received(cql)) }

// Forget forgets what was received.
func (c *Cluster) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.received)
}

func (c *Cluster) statement(cql string) *Statement {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.statements[cql]
}

// receive records a request and returns its number for the statement, from 1.
func (c *Cluster) receive(r Received) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received[r.CQL] = append(c.received[r.CQL], r)
	return len(c.received[r.CQL])
}

// Announce sends an event to every connection that has registered, and returns the number of
// these connections.
func (c *Cluster) Announce(e message.Message) (reported int) {
	for _, n := range c.Nodes() {
		n.each(func(cn *conn) {
			if cn.registered.Load() {
				reported++
				cn.send(-1, e)
			}
		})
	}
	return reported
}

// Silence makes all nodes silent, or ends it.
func (c *Cluster) Silence(on bool) {
	for _, n := range c.Nodes() {
		n.Silence(on)
	}
}

// Stop stops all nodes.
func (c *Cluster) Stop() {
	for _, n := range c.Nodes() {
		n.Stop()
	}
}

// Restart starts all stopped nodes.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	for _, n := range c.Nodes() {
		if err := n.Restart(); err != nil {
			t.Fatalf("cqltest: restart %s: %v", n.Host(), err)
		}
	}
}
