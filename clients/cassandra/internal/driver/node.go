package driver

import (
	"sync"
	"sync/atomic"
	"time"
)

// streamsPerConnection is the number of streams in the protocol from version 3 on.
const streamsPerConnection = 32768

// heartbeat is the longest time in which the driver asks nothing on a connection.
const heartbeat = 5 * time.Second

// Conn is a connection that can be closed.
type Conn interface {
	Close() error
	// Unanswered returns since when data was written without anything being read since;
	// zero if nothing is unanswered.
	Unanswered() time.Time
}

// Node is the record of one node: which requests are in flight, and whether it answers.
// It is safe for concurrent use.
type Node struct {
	Address string
	all     *Nodes

	inFlight, orphans  atomic.Int64
	driverRequests     atomic.Int64 // the driver's own requests in flight
	requests, replaced atomic.Int64
	failures           atomic.Int64 // in a row
	suspectUntil       atomic.Int64 // offset of the next trial; zero: not suspect
	heardAt            atomic.Int64 // offset of the last answer, or of the first request after an idle time
	pingedAt           atomic.Int64 // offset of the last ping in the current silence; zero: none
	unresponsive       atomic.Bool  // suspect because it answers nothing, not even pings
	drainingAt         atomic.Int64 // offset of when there were too many orphans; zero: not draining
	latency, queued    average
	gone               atomic.Bool // removed from the cluster

	mu    sync.Mutex
	dc    string
	id    string
	conns map[Conn]struct{}
}

// DC is the node's data centre, "" while it is not known.
func (n *Node) DC() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dc
}

// ID is the node's host id, "" while it is not known.
func (n *Node) ID() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.id
}

// Identify stores the node's host id, unless the id is empty.
func (n *Node) Identify(id string) {
	if id == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.id = id
}

// Opened adds a connection. The returned function removes it again.
func (n *Node) Opened(c Conn) (closed func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[c] = struct{}{}
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.conns, c)
	}
}

// Connections returns the number of open connections.
func (n *Node) Connections() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns)
}

// Suspect reports whether requests avoid the node.
func (n *Node) Suspect() bool { return n.suspectUntil.Load() != 0 }

// Try reports whether a request may go to a suspect node now. One request per
// SuspectFor may, and the one that gets true uses that turn. A call that can't be
// repeated lets repeatable calls go first, and goes itself only if none of them has
// come for long. An unresponsive node is tried by pings alone, because a caller would
// only wait there in vain.
func (n *Node) Try(c *Call) bool {
	if n.unresponsive.Load() {
		return false
	}
	until := n.suspectUntil.Load()
	now := n.all.now()
	due := until
	if !c.Repeatable {
		due += 3 * int64(n.all.limits.SuspectFor)
	}
	return until == 0 || now >= due && n.suspectUntil.CompareAndSwap(until, now+int64(n.all.limits.SuspectFor))
}

// Cost estimates how long a request will take at the node, for comparison with another
// node. It is the recent latency times the number of requests that are there, including
// the new one. Old measurements count for less and less, so that a node that was slow
// is tried again in time.
func (n *Node) Cost() int64 {
	return n.latency.fading(n.all.now()) * (n.inFlight.Load() + 1)
}

func (n *Node) started(now int64) {
	n.requests.Add(1)
	if n.inFlight.Add(1)+n.driverRequests.Load() == 1 {
		n.heardAt.Store(now)
	}
}

// Owes records a request of the driver itself, such as one that prepares a statement:
// callers may wait for its answer too. The returned function reports that the stream is
// free; if alive is false, there was no answer.
func (n *Node) Owes() (ended func(alive bool)) {
	if n.driverRequests.Add(1)+n.inFlight.Load() == 1 {
		n.heardAt.Store(n.all.now())
	}
	return func(alive bool) {
		n.driverRequests.Add(-1)
		if alive {
			// This may be an answer on the control connection, which does not end the
			// node's unresponsiveness.
			n.heardAt.Store(n.all.now())
		}
	}
}

// heard records that the node has answered something.
func (n *Node) heard(now int64) {
	n.heardAt.Store(now)
	if n.pingedAt.Load() != 0 {
		n.pingedAt.Store(0)
	}
	if n.unresponsive.Load() {
		n.unresponsive.Store(false)
	}
}

// quiet returns for how long the node has owed an answer and sent nothing.
func (n *Node) quiet(now int64) time.Duration {
	if n.inFlight.Load() == 0 && n.driverRequests.Load() == 0 {
		return 0
	}
	return time.Duration(now - n.heardAt.Load())
}

// doubt reports whether the node must be pinged now. That is so if it has owed answers
// for half of Quiet, or if it is unresponsive and SuspectFor has passed since the last
// ping. A node that does not answer a ping for half of Quiet either becomes
// unresponsive.
func (n *Node) doubt(now int64) (ping bool) {
	half := n.all.limits.Quiet / 2
	pinged := n.pingedAt.Load()
	if n.quiet(now) < half && !n.unresponsive.Load() {
		if pinged != 0 {
			n.pingedAt.CompareAndSwap(pinged, 0)
		}
		return false
	}
	if pinged != 0 && now-pinged >= int64(half) && !n.unresponsive.Load() && !n.gone.Load() {
		n.suspect(now) // first, so that a node is never unresponsive without being suspect
		n.unresponsive.Store(true)
	}
	if pinged == 0 || now-pinged >= int64(n.all.limits.SuspectFor) {
		n.pingedAt.Store(now)
		return true
	}
	return false
}

// left counts requests whose caller left without an answer. A node that has sent
// nothing for long gets new connections at once. If there are only too many orphans,
// requests for which callers wait first get time to be answered, and new requests go to
// other nodes meanwhile.
func (n *Node) left(requests int) {
	orphans, now := n.orphans.Add(int64(requests)), n.all.now()
	l := n.all.limits
	switch {
	case l.Silence > 0 && n.quiet(now) >= l.Silence:
		n.Replace()
	case l.Orphans > 0 && orphans > l.mostOrphans() && n.drainingAt.CompareAndSwap(0, now):
		n.all.draining.Add(1)
	}
}

// Draining reports whether the node's connections will be replaced once the requests
// for which callers wait have been answered.
func (n *Node) Draining() bool { return n.drainingAt.Load() != 0 }

// renew replaces connections. It replaces a single connection on which requests have
// long been unanswered, whatever the node's other connections show. If there are too
// many orphans it replaces all connections, as soon as no caller waits for an answer on
// them, or after Silence.
func (n *Node) renew(now int64) {
	for _, c := range n.silent() {
		n.replaced.Add(1)
		_ = c.Close() // if the close fails, the connection is gone all the same
	}
	since := n.drainingAt.Load()
	if since == 0 {
		return
	}
	l, orphans := n.all.limits, n.orphans.Load()
	switch {
	case orphans <= l.mostOrphans():
		n.endDraining() // the answers came after all
	case n.inFlight.Load() <= orphans, now-since >= int64(l.Silence):
		n.Replace()
	}
}

// silent removes the silent connections from the node's connections and returns them.
func (n *Node) silent() (found []Conn) {
	limit := n.all.limits.Silence
	if limit <= 0 {
		return nil
	}
	if n.all.limits.Connections > 1 {
		// A ping uses only one connection. On the others, only a heartbeat is sure to
		// be answered while another request takes long.
		limit += heartbeat
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		if since := c.Unanswered(); !since.IsZero() && time.Since(since) >= limit {
			found = append(found, c)
			delete(n.conns, c)
		}
	}
	return found
}

func (n *Node) endDraining() {
	if n.drainingAt.Swap(0) != 0 {
		n.all.draining.Add(-1)
	}
}

// Replace closes the node's connections; the driver opens new ones.
func (n *Node) Replace() {
	n.mu.Lock()
	conns := n.conns
	n.conns = map[Conn]struct{}{}
	n.mu.Unlock()
	n.endDraining()
	n.heardAt.Store(n.all.now())
	for c := range conns {
		n.replaced.Add(1)
		// If the close fails, the connection is gone all the same.
		_ = c.Close()
	}
}

// report records how an attempt on the node went.
func (n *Node) report(ok bool, took time.Duration, now int64) {
	if ok {
		if n.failures.Load() != 0 {
			n.failures.Store(0)
		}
		if n.suspectUntil.Load() != 0 && n.suspectUntil.Swap(0) != 0 {
			n.all.suspects.Add(-1)
		}
		n.latency.addAt(now, took)
		return
	}
	if l := n.all.limits; n.failures.Add(1) >= int64(l.Suspect) && l.Suspect > 0 && !n.gone.Load() {
		n.suspect(now)
	}
}

// suspect makes requests avoid the node until its next trial, after SuspectFor.
func (n *Node) suspect(now int64) {
	if n.suspectUntil.Swap(now+int64(n.all.limits.SuspectFor)) == 0 {
		n.all.suspects.Add(1)
	}
}

// NodeState is the state of a node at one moment. It is a value.
type NodeState struct {
	Address string `json:"address"`
	DC      string `json:"dc"`
	// ID is the node's host id, "" while it is not known.
	ID string `json:"id,omitempty"`
	// Suspect says that requests avoid the node.
	Suspect bool `json:"suspect"`
	// InFlight is the number of streams in use, Orphans the number of those for which
	// nobody waits any more, and Available the number that is left on the configured
	// connections.
	InFlight  int `json:"in_flight"`
	Orphans   int `json:"orphans"`
	Available int `json:"available"`
	// Requests is the number of requests sent so far.
	Requests int64 `json:"requests"`
	// Connections is the number of open connections, including the driver's control
	// connection. Replaced is the number of connections closed so far because of
	// orphans or silence.
	Connections int   `json:"connections"`
	Replaced    int64 `json:"replaced"`
	// Latency and QueueDelay are recent averages. QueueDelay is the time from the start
	// of a call until it is first sent, most of which is spent in the guard's queue.
	Latency    time.Duration `json:"latency"`
	QueueDelay time.Duration `json:"queue_delay"`
}

// State returns the node as it is now.
func (n *Node) State() NodeState {
	inFlight := int(n.inFlight.Load())
	return NodeState{Address: n.Address, DC: n.DC(), ID: n.ID(), Suspect: n.Suspect(), InFlight: inFlight, Orphans: int(n.orphans.Load()),
		Available: max(0, streamsPerConnection*max(1, n.all.limits.Connections)-inFlight), Requests: n.requests.Load(),
		Connections: n.Connections(), Replaced: n.replaced.Load(), Latency: n.latency.value(), QueueDelay: n.queued.value()}
}

// average is a moving average over about the last eight values.
type average struct{ nanos, at atomic.Int64 }

func (a *average) value() time.Duration { return time.Duration(a.nanos.Load()) }

func (a *average) add(d time.Duration) {
	before := a.nanos.Load()
	if before == 0 {
		before = int64(d)
	}
	a.nanos.Store(before + (int64(d)-before)/8)
}

func (a *average) addAt(now int64, d time.Duration) {
	a.add(d)
	a.at.Store(now)
}

// fading returns the average, halved for each second since its last value.
func (a *average) fading(now int64) int64 {
	seconds := (now - a.at.Load()) / int64(time.Second)
	return a.nanos.Load() >> min(max(seconds, 0), 62)
}
