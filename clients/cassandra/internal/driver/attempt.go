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
	// Repeatable says that the call is worth risking on a suspect node: if it fails
	// there it can go elsewhere.
	Repeatable bool
	// Caller is the caller's own context: what ends with it says nothing of the node. Nil:
	// there is none.
	Caller context.Context
	// Begun is when the caller asked, for the time that requests wait to be sent.
	Begun time.Time
	// DC is the data centre whose nodes may be asked. "": the local one, or all if none
	// is local.
	DC string
	// Anywhere says that any node may be asked.
	Anywhere bool
	// Only, if not nil, is the node that must be asked.
	Only *Node

	mu    sync.Mutex
	tried []*Node
	// few is what tried needs as a rule.
	few  [2]*Node
	sent bool
}

// Tried reports whether an attempt of the call has chosen the node.
func (c *Call) Tried(n *Node) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.tried, n)
}

// Nodes is the number of nodes that attempts of the call have chosen.
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

// left reports whether the caller has gone, by cancelling or by its own deadline.
func (c *Call) left() bool {
	if c.Caller == nil {
		return false
	}
	if c.Caller.Err() != nil {
		return true
	}
	// An attempt has the caller's deadline, and may see it first.
	deadline, ok := c.Caller.Deadline()
	return ok && !time.Now().Before(deadline)
}

// tries notes a node; first says that it is the call's first to be sent.
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

// Attempt follows one request to its node. The driver reports to it what becomes of the
// request, from any goroutine. It must not be copied once it is in use.
type Attempt struct {
	// Call is what the attempt is part of. Required.
	Call *Call
	node atomic.Pointer[Node]
	// streams counts those that are taken; gone: who waited has left.
	mu      sync.Mutex
	streams int
	sent    int
	gone    bool
	start   int64 // offset; zero: nothing was sent
}

// Chosen reports the node that the request was meant for, if it was not sent.
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

// Ended reports that the stream is free: an answer came, in time or late, or the
// request was not written after all, or, not alive, the connection is gone.
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

// Streams is how often the attempt was sent: more than once if the node asked for it to
// be prepared anew.
func (a *Attempt) Streams() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sent
}

// Left reports that the caller no longer waits, and how it went.
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
		// The caller had less time than the node was to have; silence shows elsewhere.
	case err != nil && err.nodeAtFault():
		n.report(false, 0, now)
		if answered {
			n.heard(now)
		}
	case answered:
		if a.Call.Only == nil || n.unresponsive.Load() { // a ping says nothing of what callers ask
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
		return f.Code < 0 // what it answered can't be read
	}
	return false
}
