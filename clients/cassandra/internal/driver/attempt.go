package driver

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Call is what the attempts of one call share.
type Call struct {
	// Repeatable says that the call may be sent to a suspect node: if it fails there,
	// it can go to another node.
	Repeatable bool
	// Caller is the caller's own context. A failure that comes from its end says
	// nothing about the node. Nil: there is none.
	Caller context.Context
	// Begun is when the caller made the call. The time that requests wait to be sent is
	// measured from it.
	Begun time.Time
	// DC is the data centre whose nodes may be asked. "" means the local one, or all if
	// no data centre is local.
	DC string
	// Anywhere says that the nodes of all data centres may be asked.
	Anywhere bool
	// Only, if not nil, is the node that must be asked.
	Only *Node

	mu    sync.Mutex
	tried []*Node
	// few is space for tried that usually suffices.
	few  [2]*Node
	sent bool
}

// Tried reports whether an attempt of the call has chosen the node.
func (c *Call) Tried(n *Node) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.tried, n)
}

// Nodes returns the number of nodes that attempts of the call have chosen.
func (c *Call) Nodes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.tried)
}

// Sent reports whether any attempt of the call was sent.
func (c *Call) Sent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

// left reports whether the caller has gone, by cancellation or by its own deadline.
func (c *Call) left() bool {
	if c.Caller == nil {
		return false
	}
	if c.Caller.Err() != nil {
		return true
	}
	// An attempt has the caller's deadline, and may see its end first.
	deadline, ok := c.Caller.Deadline()
	return ok && !time.Now().Before(deadline)
}

// tries records a node. first says that it is the first node to which the call is sent.
func (c *Call) tries(n *Node, sent bool) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tried == nil {
		c.tried = c.few[:0]
	}
	if !slices.Contains(c.tried, n) {
		c.tried = append(c.tried, n)
	}
	first = sent && !c.sent
	c.sent = c.sent || sent
	return first
}

// Attempt follows one request to its node. The driver reports the progress of the
// request to it, from any goroutine. It must not be copied after its first use.
type Attempt struct {
	// Call is the call to which the attempt belongs. Required.
	Call *Call
	node atomic.Pointer[Node]
	// streams counts the streams in use. gone is set once the caller that waited has
	// left.
	mu      sync.Mutex
	streams int
	sent    int
	gone    bool
	start   int64 // an offset; zero: nothing was sent
}

// Chosen reports the node for which the request was meant, if it was not sent.
func (a *Attempt) Chosen(n *Node) {
	a.node.Store(n)
	a.Call.tries(n, false)
}

// Node returns the node that was asked, nil if none was.
func (a *Attempt) Node() *Node { return a.node.Load() }

// Coordinator returns the address of the node that was asked, "" if none was.
func (a *Attempt) Coordinator() string {
	if n := a.node.Load(); n != nil {
		return n.Address
	}
	return ""
}

// Started reports that the request is about to be written to the node.
func (a *Attempt) Started(n *Node) {
	a.node.Store(n)
	now := n.all.now()
	n.started(now)
	a.mu.Lock()
	a.streams++
	a.sent++
	a.start = now
	a.mu.Unlock()
	if a.Call.tries(n, true) && !a.Call.Begun.IsZero() {
		n.queued.add(time.Duration(now - n.all.offset(a.Call.Begun)))
	}
}

// Ended reports that the stream is free. Either an answer came, in time or late, or the
// request was not written after all. If alive is false, the connection is gone.
func (a *Attempt) Ended(n *Node, alive bool) {
	n.inFlight.Add(-1)
	a.mu.Lock()
	a.streams--
	orphan := a.gone
	a.mu.Unlock()
	if !orphan {
		return // Left reports what the node did
	}
	n.orphans.Add(-1)
	if alive {
		n.heard(n.all.now())
	}
}

// Sent reports whether the request may have reached a node.
func (a *Attempt) Sent() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.start != 0
}

// Streams returns how often the attempt was sent. It is more than one if the node asked
// for the statement to be prepared again.
func (a *Attempt) Streams() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sent
}

// Left reports that the caller no longer waits, and how the request went.
func (a *Attempt) Left(err *Failure) {
	n := a.node.Load()
	a.mu.Lock()
	start, orphans := a.start, a.streams
	a.gone = true
	a.mu.Unlock()
	if n == nil {
		return
	}
	if orphans > 0 {
		n.left(orphans)
	}
	now := n.all.now()
	switch answered := start != 0 && (err == nil || err.Code >= 0); {
	case err != nil && err.Cause == TimedOut && err.Code < 0 && a.Call.left():
		// The caller had less time than the node was meant to have. Other checks detect
		// silence.
	case err != nil && err.nodeAtFault():
		n.report(false, 0, now)
		if answered {
			n.heard(now)
		}
	case answered:
		if a.Call.Only == nil || n.unresponsive.Load() { // a ping says nothing about what callers ask
			n.report(true, time.Duration(now-start), now)
		}
		n.heard(now)
	}
}

// nodeAtFault distinguishes failures of the node that was asked from failures elsewhere.
func (f *Failure) nodeAtFault() bool {
	switch f.Cause {
	case TimedOut, Disconnected, NoStreams, Bootstrapping, Overloaded:
		return true
	case Protocol:
		return f.Code < 0 // its answer can't be read
	}
	return false
}
