package driver

import (
	"sync"
	"sync/atomic"
	"time"
)

// streamsPerConnection is what the protocol offers from version 3 on.
const streamsPerConnection = 32768

// heartbeat is how often, at the latest, the driver asks something on each connection.
const heartbeat = 5 * time.Second

// Conn is a connection that can be closed.
type Conn interface {
	Close() error
	// Unanswered is since when something was written and nothing has been read; zero if
	// something has.
	Unanswered() time.Time
}

// Node is one node: what is in flight there, and whether it answers. It is safe
// for concurrent use.
type Node struct {
	Address string
	all     *Nodes

	inFlight, orphans  atomic.Int64
	driverRequests     atomic.Int64 // in flight, of the driver's own
	requests, replaced atomic.Int64
	failures           atomic.Int64 // in a row
	suspectUntil       atomic.Int64 // offset of the next trial; zero: not suspect
	heardAt            atomic.Int64 // offset of the last answer, or of the asking after a time without
	pingedAt           atomic.Int64 // offset of the last ping in the present silence; zero: none
	unresponsive       atomic.Bool  // suspect because it says nothing, to pings neither
	drainingAt         atomic.Int64 // offset of when there were too many orphans; zero: there are not
	latency, queued    average
	gone               atomic.Bool // from the cluster

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

// Identify notes the node's host id, unless it is empty.
func (n *Node) Identify(id string) {
	if id == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.id = id
}

// Opened adds a connection; the returned function takes it out again.
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

// Connections is the number of open ones.
func (n *Node) Connections() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns)
}

// Suspect reports whether the node is steered around.
func (n *Node) Suspect() bool { return n.suspectUntil.Load() != 0 }

// Try reports whether a request may go to a suspect node now: one in each
// SuspectFor may, and it takes the turn. A call that can't be repeated gives way to
// those that can, and goes only if none of them has come for long. A unresponsive node is
// tried by pings alone: a caller would wait there in vain.
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

// Cost is how long a request may be expected to take at the node, for comparison
// with another: its recent latency, for each request that is there already. What
// was measured long ago counts for less and less, so that a node that was slow is
// asked again in time.
func (n *Node) Cost() int64 {
	return n.latency.fading(n.all.now()) * (n.inFlight.Load() + 1)
}

func (n *Node) started(now int64) {
	n.requests.Add(1)
	if n.inFlight.Add(1)+n.driverRequests.Load() == 1 {
		n.heardAt.Store(now)
	}
}

// Owes notes a request of the driver's own, such as one that prepares a statement: callers
// may wait for its answer, too. The returned function reports that the stream is free; not
// alive means without an answer.
func (n *Node) Owes() (ended func(alive bool)) {
	if n.driverRequests.Add(1)+n.inFlight.Load() == 1 {
		n.heardAt.Store(n.all.now())
	}
	return func(alive bool) {
		n.driverRequests.Add(-1)
		if alive {
			// It may be the control connection that has answered: that ends no
			// unresponsiveness.
			n.heardAt.Store(n.all.now())
		}
	}
}

// heard notes that the node has answered something.
func (n *Node) heard(now int64) {
	n.heardAt.Store(now)
	if n.pingedAt.Load() != 0 {
		n.pingedAt.Store(0)
	}
	if n.unresponsive.Load() {
		n.unresponsive.Store(false)
	}
}

// quiet is for how long the node has owed an answer and said nothing.
func (n *Node) quiet(now int64) time.Duration {
	if n.inFlight.Load() == 0 && n.driverRequests.Load() == 0 {
		return 0
	}
	return time.Duration(now - n.heardAt.Load())
}

// doubt reports whether the node is to be pinged now: it has owed answers for half of
// Quiet, or it is unresponsive, and SuspectFor has gone by since the last ping. A node that has
// left a ping, too, without an answer for half of Quiet is unresponsive.
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
		n.suspect(now) // first: so a node is never unresponsive and not suspect
		n.unresponsive.Store(true)
	}
	if pinged == 0 || now-pinged >= int64(n.all.limits.SuspectFor) {
		n.pingedAt.Store(now)
		return true
	}
	return false
}

// left counts requests whose caller went without an answer. A node that has said nothing
// for long gets new connections at once; where there are too many, what is waited for has
// its time to be answered first, and new requests go elsewhere meanwhile.
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

// Draining reports whether the node's connections are to be replaced once the requests
// that are waited for have their answers.
func (n *Node) Draining() bool { return n.drainingAt.Load() != 0 }

// renew replaces what is to be replaced: a connection that leaves what is written on it
// without an answer for long, whatever others of the node say; and all of them when there
// are too many orphans, as soon as nobody waits for an answer there, or after Silence.
func (n *Node) renew(now int64) {
	for _, c := range n.silent() {
		n.replaced.Add(1)
		_ = c.Close() // it is as gone as one that closes cleanly
	}
	since := n.drainingAt.Load()
	if since == 0 {
		return
	}
	l, orphans := n.all.limits, n.orphans.Load()
	switch {
	case orphans <= l.mostOrphans():
		n.endDraining() // answers came after all
	case n.inFlight.Load() <= orphans, now-since >= int64(l.Silence):
		n.Replace()
	}
}

// silent takes the silent connections out of those that the node has.
func (n *Node) silent() (found []Conn) {
	limit := n.all.limits.Silence
	if limit <= 0 {
		return nil
	}
	if n.all.limits.Connections > 1 {
		// A ping goes to one connection; on the others only a heartbeat is sure to be
		// answered while another request takes long.
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
		// A connection that does not close cleanly is as gone as one that does.
		_ = c.Close()
	}
}

// report notes how an attempt on the node went.
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

// suspect has the node steered around, and its next trial in SuspectFor.
func (n *Node) suspect(now int64) {
	if n.suspectUntil.Swap(now+int64(n.all.limits.SuspectFor)) == 0 {
		n.all.suspects.Add(1)
	}
}

// NodeState is a node at one moment.
type NodeState struct {
	Address string `json:"address"`
	DC      string `json:"dc"`
	// ID is its host id, "" while it is not known.
	ID string `json:"id,omitempty"`
	// Suspect says that the node is steered around.
	Suspect bool `json:"suspect"`
	// InFlight are the streams in use, Orphans those of them that nobody waits for any
	// more, Available those that are left on the configured connections.
	InFlight  int `json:"in_flight"`
	Orphans   int `json:"orphans"`
	Available int `json:"available"`
	// Requests that were sent, ever.
	Requests int64 `json:"requests"`
	// Connections are open, the driver's control connection included; Replaced were
	// closed because of orphans or silence, ever.
	Connections int   `json:"connections"`
	Replaced    int64 `json:"replaced"`
	// Latency of late, and QueueDelay of late: the time from the caller's asking to
	// the first sending, in the guard's queue for the most part.
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

// fading is the average, halved for each second since its last value.
func (a *average) fading(now int64) int64 {
	seconds := (now - a.at.Load()) / int64(time.Second)
	return a.nanos.Load() >> min(max(seconds, 0), 62)
}
