package driver

import (
	"sync"
	"sync/atomic"
	"time"
)

// Call is what the attempts of one call share.
type Call struct {
	mu    sync.Mutex
	tried []*Node
	// few is what tried needs as a rule.
	few [2]*Node
}

// Tried reports whether an attempt of the call has been sent to the node.
func (c *Call) Tried(n *Node) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.tried {
		if t == n {
			return true
		}
	}
	return false
}

// Any reports whether any attempt of the call was sent.
func (c *Call) Any() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.tried) > 0
}

// Attempt follows one request to its node. The driver tells it what becomes of the
// request, from any goroutine. It must not be copied once it is in use.
type Attempt struct {
	// Call is what the attempt is part of. Required.
	Call *Call
	node atomic.Pointer[Node]
	// streams counts those that are taken; gone: who waited has left.
	mu      sync.Mutex
	streams int
	gone    bool
	start   time.Time
}

// Chosen tells the node that the driver is about to use.
func (a *Attempt) Chosen(n *Node) { a.node.Store(n) }

// Node returns the node that was asked, nil if none was.
func (a *Attempt) Node() *Node { return a.node.Load() }

// Coordinator returns the address of the node that was asked, "" if none was.
func (a *Attempt) Coordinator() string {
	if n := a.node.Load(); n != nil {
		return n.Address
	}
	return ""
}

// Started tells that the request is about to be written to the node.
func (a *Attempt) Started(n *Node) {
	a.node.Store(n)
	n.started()
	a.mu.Lock()
	a.streams++
	a.start = time.Now()
	a.mu.Unlock()
	a.Call.mu.Lock()
	if a.Call.tried == nil {
		a.Call.tried = a.Call.few[:0]
	}
	a.Call.tried = append(a.Call.tried, n)
	a.Call.mu.Unlock()
}

// Ended tells that the stream is free: an answer came, in time or late, or, not
// alive, the connection is gone.
func (a *Attempt) Ended(n *Node, alive bool) {
	n.answered(alive)
	a.mu.Lock()
	a.streams--
	orphan := a.gone
	a.mu.Unlock()
	if orphan {
		n.found()
	}
}

// Left tells that the caller no longer waits, and how it went. Sent reports whether
// the request may have reached a node.
func (a *Attempt) Left(err *Failure) (sent bool) {
	n := a.node.Load()
	a.mu.Lock()
	start, orphans := a.start, a.streams
	a.gone = true
	a.mu.Unlock()
	if n == nil {
		return false
	}
	for range orphans {
		n.left()
	}
	switch {
	case err == nil:
		n.report(true, time.Since(start))
	case err.nodeAtFault():
		n.report(false, 0)
	case err.Code >= 0 && !start.IsZero():
		n.report(true, time.Since(start))
	}
	return !start.IsZero()
}

// nodeAtFault tells a failure of the node asked from a failure elsewhere.
func (f *Failure) nodeAtFault() bool {
	switch f.Cause {
	case TimedOut, Disconnected, NoStreams, Bootstrapping, Overloaded:
		return true
	}
	return false
}
