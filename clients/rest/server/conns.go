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

// conns knows the connections that the standard server's Shutdown does not handle:
// those that have brought nothing yet, and those that handlers have taken over; and all
// of them, to say goodbye.
// Safe for concurrent use.
type conns struct {
	mu     sync.Mutex
	silent map[net.Conn]time.Time // since when
	over   map[*conn]struct{}
	all    map[*conn]struct{}
}

// hook is for http.Server.ConnState; next is the user's own, or nil.
func (c *conns) hook(next func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	return func(nc net.Conn, state http.ConnState) {
		if own, ok := nc.(*unwrapped); ok {
			nc = own.tls // what it was called with before
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

// talking reports whether every connection has brought something, or had so long to.
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

// closeSilent closes the connections that have brought nothing.
func (c *conns) closeSilent() {
	c.mu.Lock()
	var all []net.Conn
	for nc := range c.silent {
		all = append(all, nc)
	}
	c.mu.Unlock()
	for _, nc := range all {
		_ = nc.Close() // nobody was heard on it
	}
}

// taken is the number of connections that handlers have taken over and not closed.
func (c *conns) taken() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.over)
}

// closeTaken closes them.
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

// conn is a connection that tells when it is closed, and on which goodbye can be said.
type conn struct {
	netconn.Conn
	conns *conns

	// Who reads has these.
	prefaced int  // how much of the preface was seen
	other    bool // it is not HTTP/2
	in       frames

	// http2: it is. leaving: goodbye is to be said. answered: the caller knows.
	http2, leaving, answered atomic.Bool

	writing sync.Mutex // while HTTP/2 is written
	out     frames
	said    time.Time // zero: not yet

	streams       sync.Mutex
	open          map[uint32]struct{} // streams that were begun and not answered
	newest, asked uint32              // stream; that when isIdle was asked
}

// add returns a connection that is known until it is closed.
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
