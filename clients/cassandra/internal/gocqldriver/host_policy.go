package gocqldriver

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/gocql/gocql"
)

// hostPolicy is the driver's token-aware choice of nodes, in another order where that
// helps. Of two replicas, the one that is expected to answer first comes first. An
// attempt does not go again to a node where its call has been. Suspect nodes come last.
// It also keeps a call in its data centre: the driver alone would go to another one
// when the local one does not answer, even if the client has not declared that.
type hostPolicy struct {
	gocql.HostSelectionPolicy
	hosts *hosts
	local string
}

func newHostPolicy(c driver.Config, hs *hosts) *hostPolicy {
	under := gocql.RoundRobinHostPolicy()
	if c.LocalDC != "" {
		under = gocql.DCAwareRoundRobinPolicy(c.LocalDC)
	}
	shuffled, remote := gocql.ShuffleReplicas(), gocql.NonLocalReplicasFallback()
	aware := gocql.TokenAwareHostPolicy(beyond{under}, shuffled)
	if c.RemoteDCs {
		aware = gocql.TokenAwareHostPolicy(beyond{under}, shuffled, remote)
	}
	return &hostPolicy{HostSelectionPolicy: aware, hosts: hs, local: c.LocalDC}
}

// Pick implements gocql.HostSelectionPolicy.
func (s *hostPolicy) Pick(q gocql.ExecutableQuery) gocql.NextHost {
	a := attemptOf(q.Context())
	if a == nil {
		return s.HostSelectionPolicy.Pick(q)
	}
	a.routed.ExecutableQuery = q
	c := choices.Get().(*choice)
	*c = choice{hosts: s.hosts, attempt: a, next: s.HostSelectionPolicy.Pick(&a.routed), yield: c.yield,
		steer: s.hosts.nodes.Steering() || a.Call.Nodes() > 0, dc: s.dcOf(a.Call)}
	a.choice = c
	return c.yield
}

// choices are reused, because their functions take memory too. The driver does not call
// a choice after it has returned, since it does not speculate.
var choices = sync.Pool{New: func() any {
	c := new(choice)
	c.yield = c.pick
	return c
}}

// chosen returns the attempt's choice for reuse, once the driver has returned.
func (a *attempt) chosen() {
	if c := a.choice; c != nil {
		a.choice = nil
		*c = choice{yield: c.yield}
		choices.Put(c)
	}
}

// dcOf returns the data centre in which a call must stay, "" if it may go anywhere.
func (s *hostPolicy) dcOf(c *driver.Call) string {
	switch {
	case c.Anywhere, c.Only != nil:
		return ""
	case c.DC != "":
		return c.DC
	}
	return s.local
}

// AddHost implements gocql.HostSelectionPolicy. A node that comes back is a new node.
func (s *hostPolicy) AddHost(h *gocql.HostInfo) {
	s.hosts.known.Delete(h)
	s.HostSelectionPolicy.AddHost(h)
}

// RemoveHost implements gocql.HostSelectionPolicy.
func (s *hostPolicy) RemoveHost(h *gocql.HostInfo) {
	s.HostSelectionPolicy.RemoveHost(h)
	s.hosts.forget(h)
}

// beyond is the policy for nodes that are not replicas. It marks the request when the
// driver has come to the end of its replicas.
type beyond struct{ gocql.HostSelectionPolicy }

// Pick implements gocql.HostSelectionPolicy.
func (b beyond) Pick(q gocql.ExecutableQuery) gocql.NextHost {
	if r, ok := q.(*routed); ok {
		r.beyond = true
	}
	return b.HostSelectionPolicy.Pick(q)
}

// routed is a query whose routing key we know. The driver's own way to find the key may
// ask a node that does not answer, waits for it without regard to the context, and
// never tries again after there was no connection.
type routed struct {
	gocql.ExecutableQuery
	key      []byte
	keyspace string
	beyond   bool
}

func (r *routed) GetRoutingKey() ([]byte, error) { return r.key, nil }
func (r *routed) Keyspace() string               { return r.keyspace }

// choice is the order in which one attempt tries nodes. The attempt goes to the first
// that has a connection.
type choice struct {
	hosts   *hosts
	attempt *attempt
	next    gocql.NextHost
	yield   gocql.NextHost // pick
	dc      string
	// steer is set if some nodes are suspect or were tried.
	steer  bool
	begun  bool
	second gocql.SelectedHost
	last   *gocql.HostInfo // the host that was yielded last
	// tried and suspects are kept for the end of the order.
	tried, suspects []gocql.SelectedHost
}

// pick implements gocql.NextHost.
func (c *choice) pick() gocql.SelectedHost {
	var h gocql.SelectedHost
	switch {
	case c.attempt.Call.Only != nil:
		h = c.only(c.attempt.Call.Only)
	case c.steer:
		h = c.around()
	default:
		h = c.faster()
	}
	if h != nil {
		c.last = h.Info()
	}
	return h
}

// faster yields the driver's order with the better of its first two replicas first. The
// driver has shuffled them, so this is the better of two random replicas.
func (c *choice) faster() gocql.SelectedHost {
	if h := c.second; h != nil {
		c.second = nil
		return h
	}
	first := c.near()
	if c.begun || first == nil || c.attempt.routed.beyond {
		return first
	}
	c.begun = true
	second := c.near()
	if second == nil {
		return first
	}
	if !c.attempt.routed.beyond && c.node(second).Cost() < c.node(first).Cost() {
		first, second = second, first
	}
	c.second = second
	return first
}

// near yields the nodes of the driver's order that are in the call's data centre.
func (c *choice) near() gocql.SelectedHost {
	for h := c.next(); h != nil; h = c.next() {
		if c.dc == "" || h.Info() == nil || h.Info().DataCenter() == c.dc {
			return h
		}
	}
	return nil
}

// only yields one node, or none.
func (c *choice) only(n *driver.Node) gocql.SelectedHost {
	h := c.near()
	for h != nil && (h.Info() == nil || c.node(h) != n) {
		h = c.near()
	}
	return h
}

// around yields first the nodes that are healthy and new to the call, then the other
// healthy nodes, then the rest. A suspect node counts as healthy if it is due for a
// trial. Its turn is used only if the node comes first, so that no turn is lost on a
// request that goes to another node.
func (c *choice) around() gocql.SelectedHost {
	for h := c.faster(); h != nil; h = c.faster() {
		if h.Info() == nil {
			continue
		}
		n := c.node(h)
		switch {
		case c.attempt.Call.Tried(n):
			c.tried = append(c.tried, h)
		case n.Draining(), n.Suspect() && !n.Try(c.attempt.Call):
			c.suspects = append(c.suspects, h)
		default:
			return h
		}
	}
	for _, rest := range []*[]gocql.SelectedHost{&c.tried, &c.suspects} {
		if len(*rest) > 0 {
			h := (*rest)[0]
			*rest = (*rest)[1:]
			return h
		}
	}
	return nil
}

func (c *choice) node(h gocql.SelectedHost) *driver.Node { return c.hosts.node(h.Info()) }

// hosts maps the driver's records to nodes.
type hosts struct {
	nodes *driver.Nodes
	known sync.Map // *gocql.HostInfo -> *driver.Node
}

func (hs *hosts) node(h *gocql.HostInfo) *driver.Node {
	if n, ok := hs.known.Load(h); ok {
		return n.(*driver.Node)
	}
	n := hs.nodes.Node(addressOf(h), h.DataCenter())
	n.Identify(h.HostID())
	hs.known.Store(h, n)
	return n
}

// forget drops a node that has left the cluster, or has changed its address. The
// driver's record stays known, so that a request that is choosing at this moment does
// not bring the node back. That costs little, because a cluster has few addresses
// during its life.
func (hs *hosts) forget(h *gocql.HostInfo) {
	hs.node(h)
	hs.nodes.Forget(addressOf(h))
}

func addressOf(h *gocql.HostInfo) string {
	return net.JoinHostPort(h.ConnectAddress().String(), strconv.Itoa(h.Port()))
}

// attemptKey is the context key of a request's attempt.
type attemptKey struct{}

// attempt is a request's context. It carries the attempt to the point where the driver
// picks a node, and follows its stream. The driver sends an attempt to only one node.
type attempt struct {
	context.Context
	driver.Attempt
	session *session
	request *driver.Request
	routed  routed
	choice  *choice // nil if no choice was made
}

// Value implements context.Context.
func (a *attempt) Value(key any) any {
	if _, ok := key.(attemptKey); ok {
		return a
	}
	return a.Context.Value(key)
}

// errUnprepared means that the node does not know the statement although it has just
// prepared it.
var errUnprepared = errors.New("the node says again and again that the statement is not prepared; its cache of prepared statements is too small, or a proxy keeps one of its own")

// Err implements context.Context. The driver calls it before it sends. Without this
// check the driver would endlessly prepare and send the statement to a node that
// forgets it each time.
func (a *attempt) Err() error {
	if err := a.Context.Err(); err != nil {
		return err
	}
	if sent := a.Streams(); sent > 1 && sent > a.texts() {
		return errUnprepared
	}
	return nil
}

// texts returns how many statements of the request a node may report as unknown. For a
// batch, a node reports one at a time.
func (a *attempt) texts() int {
	texts := map[string]bool{}
	for i := range a.request.Statements {
		texts[a.request.Statements[i].CQL] = true
	}
	return len(texts)
}

// StreamStarted implements gocql.StreamObserverContext.
func (a *attempt) StreamStarted(o gocql.ObservedStream) { a.Started(a.session.hosts.node(o.Host)) }

// StreamFinished implements gocql.StreamObserverContext.
func (a *attempt) StreamFinished(gocql.ObservedStream) { a.Ended(a.Node(), true) }

// StreamAbandoned implements gocql.StreamObserverContext.
func (a *attempt) StreamAbandoned(gocql.ObservedStream) { a.Ended(a.Node(), false) }

func attemptOf(ctx context.Context) *attempt {
	if ctx == nil {
		return nil
	}
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// observer finds the attempt of a request that the driver is about to send.
type observer struct{ hosts *hosts }

// StreamContext implements gocql.StreamObserver.
func (o observer) StreamContext(ctx context.Context) gocql.StreamObserverContext {
	if a := attemptOf(ctx); a != nil {
		return a
	}
	return &driverRequest{hosts: o.hosts}
}

// driverRequest is a request of the driver itself, for example one that prepares a
// statement. A caller waits for such a preparation, and its own request was not sent
// before.
type driverRequest struct {
	hosts *hosts
	ended func(alive bool) // nil if the node is not known, or not any more
}

// StreamStarted implements gocql.StreamObserverContext.
func (e *driverRequest) StreamStarted(o gocql.ObservedStream) {
	if n := e.hosts.nodes.Find(addressOf(o.Host)); n != nil {
		e.ended = n.Owes()
	}
}

// StreamFinished implements gocql.StreamObserverContext.
func (e *driverRequest) StreamFinished(gocql.ObservedStream) { e.end(true) }

// StreamAbandoned implements gocql.StreamObserverContext.
func (e *driverRequest) StreamAbandoned(gocql.ObservedStream) { e.end(false) }

func (e *driverRequest) end(alive bool) {
	if e.ended != nil {
		e.ended(alive)
	}
}
