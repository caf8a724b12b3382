package server

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/clients/rest/internal/netconn"
)

// conns tracks the connections that the standard server's Shutdown does not handle: those
// that have sent nothing yet, and those that handlers have hijacked. It also tracks all
// connections, for their GOAWAY. It is safe for concurrent use.
type conns struct {
	mu     sync.Mutex
	silent map[net.Conn]time.Time // and since when
	over   map[*conn]struct{}
	all    map[*conn]struct{}
}

// hook returns a function for http.Server.ConnState. next is the user's, or nil.
func (c *conns) hook(next func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	return func(nc net.Conn, state http.ConnState) {
		if own, ok := nc.(*unwrapped); ok {
			nc = own.tls // the connection of the earlier calls
		}
		c.changed(nc, state)
		if next != nil {
			next(nc, state)
		}
	}
}

func (c *conns) changed(nc net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.silent, nc)
	switch state {
	case http.StateNew:
		if c.silent == nil {
			c.silent = map[net.Conn]time.Time{}
		}
		c.silent[nc] = time.Now()
	case http.StateHijacked:
		if t, ok := nc.(*tls.Conn); ok {
			nc = t.NetConn()
		}
		if own, ok := nc.(*conn); ok {
			if c.over == nil {
				c.over = map[*conn]struct{}{}
			}
			c.over[own] = struct{}{}
		}
	}
}

// talking reports whether every connection has sent something, or has had d to do so.
func (c *conns) talking(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for _, since := range c.silent {
		if now.Sub(since) < d {
			return false
		}
	}
	return true
}

// closeSilent closes the connections that have sent nothing.
func (c *conns) closeSilent() {
	c.mu.Lock()
	var all []net.Conn
	for nc := range c.silent {
		all = append(all, nc)
	}
	c.mu.Unlock()
	for _, nc := range all {
		_ = nc.Close() // nothing was received on it
	}
}

// taken returns the number of hijacked connections that are open.
func (c *conns) taken() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.over)
}

// closeTaken closes the hijacked connections.
func (c *conns) closeTaken() error {
	c.mu.Lock()
	var all []*conn
	for own := range c.over {
		all = append(all, own)
	}
	c.mu.Unlock()
	var errs []error
	for _, own := range all {
		errs = append(errs, ignoreClosed(own.Close()))
	}
	return errors.Join(errs...)
}

// conn is a connection that is tracked until it is closed, and on which a GOAWAY can be sent.
type conn struct {
	netconn.Conn
	conns *conns

	// The reading goroutine owns these.
	prefaced int  // bytes of the preface that were received
	other    bool // it is not HTTP/2
	in       frames

	// http2: it uses HTTP/2. leaving: a GOAWAY is due. answered: the caller has acknowledged it.
	http2, leaving, answered atomic.Bool

	writing sync.Mutex // while HTTP/2 is written
	out     frames
	said    time.Time // zero: not yet

	streams       sync.Mutex
	open          map[uint32]struct{} // streams that have no complete response
	newest, asked uint32              // the newest stream, now and at the last call of isIdle
}

// add returns a connection that is tracked until it is closed.
func (c *conns) add(nc net.Conn) *conn {
	own := &conn{Conn: netconn.Conn{Conn: nc}, conns: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[*conn]struct{}{}
	}
	c.all[own] = struct{}{}
	return own
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.conns.mu.Lock()
	delete(c.conns.over, c)
	delete(c.conns.all, c)
	c.conns.mu.Unlock()
	return c.Conn.Close()
}
