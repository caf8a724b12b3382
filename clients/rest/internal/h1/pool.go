package h1

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/backstay-go/backstay/clients/rest/internal/netconn"
)

// User is the request that uses a connection, as far as a pool has to know it. It is
// also the context under which a connection is dialled or waited for.
type User interface {
	context.Context
	// Began is when the request began.
	Began() time.Time
	// Arm starts a timer for the user's deadline, which no connection watches yet.
	Arm()
	// Cause returns why the user has ended; nil if it has not.
	Cause() error
	// Expire ends a user whose time is over. Otherwise it returns the duration after
	// which to call it again; zero means never.
	Expire() time.Duration
}

// WaitError is the error of a user that ended while it waited for a connection, because
// other requests used all that the limit allows. Nothing was sent to the host.
type WaitError struct{ Err error }

// Error says that no connection was free.
func (e *WaitError) Error() string {
	return "no connection came free, all are used by other requests: " + e.Err.Error()
}

// Unwrap returns the reason why the wait ended.
func (e *WaitError) Unwrap() error { return e.Err }

// Pool keeps connections. A user that ends closes its connection itself, so that
// net/http has no context to watch. Safe for concurrent use. The caller that made it
// must call CloseIdle.
type Pool struct {
	transport   *http.Transport // dials
	limit, keep int             // connections to a host: all, and idle ones; 0: no limit
	age, idle   time.Duration   // zero: no limit

	mu      sync.Mutex
	hosts   map[string]*host
	sweeper *time.Timer // runs while there are idle connections that may get old
}

// host holds the connections of one host and its waiters. The pool's lock guards it.
type host struct {
	name    string  // as it is written in URLs
	open    int     // connections that are idle, in use or being dialled
	idle    []*Conn // the newest is the last
	waiting []*waiter
}

// waiter is a request that waits for a connection. If it receives nil, it may dial one.
type waiter struct{ got chan *Conn }

// New returns a pool that dials as the transport does and has the transport's limits.
func New(t *http.Transport) *Pool {
	dial := t.Clone()
	dial.Proxy, dial.ResponseHeaderTimeout = nil, 0
	dial.MaxConnsPerHost = 0 // otherwise net/http panics when such a connection closes
	inner := t.DialContext
	if inner == nil {
		inner = new(net.Dialer).DialContext
	}
	dial.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := inner(ctx, network, address)
		if c, ok := ctx.Value(dialKey{}).(*Conn); ok && err == nil {
			c.inner = nc
			return &socket{netconn.Conn{Conn: nc}, c}, nil
		}
		return nc, err
	}
	return &Pool{transport: dial, limit: t.MaxConnsPerHost, keep: t.MaxIdleConnsPerHost, idle: t.IdleConnTimeout, hosts: map[string]*host{}}
}

// SetAge sets for how long a connection takes new requests; up to a tenth is added at
// random. Zero: without limit. It must be called before the pool is used.
func (p *Pool) SetAge(age time.Duration) { p.age = age }

// Take returns a free connection or a new one. If the host already has as many as the
// limit allows, users wait in the order in which they came. If a user ends during such
// a wait, the error is a *WaitError.
func (p *Pool) Take(u User, to *url.URL) (*Conn, error) {
	p.mu.Lock()
	h := p.hosts[to.Host]
	if h == nil {
		h = &host{name: to.Host}
		p.hosts[to.Host] = h
	}
	if c := p.popLocked(h, u.Began()); c != nil {
		p.mu.Unlock()
		return c, nil
	}
	if p.limit > 0 && h.open >= p.limit {
		w := &waiter{make(chan *Conn, 1)}
		h.waiting = append(h.waiting, w)
		p.mu.Unlock()
		u.Arm()
		select {
		case c := <-w.got:
			if c != nil {
				return c, nil
			}
		case <-u.Done():
			p.leave(h, w)
			return nil, &WaitError{u.Cause()}
		}
		return p.dial(u, h, to)
	}
	h.open++
	p.mu.Unlock()
	u.Arm()
	return p.dial(u, h, to)
}

// popLocked returns the newest connection that is still good.
func (p *Pool) popLocked(h *host, now time.Time) *Conn {
	for n := len(h.idle) - 1; n >= 0; n-- {
		c := h.idle[n]
		h.idle[n], h.idle = nil, h.idle[:n]
		if c.isGood(now) {
			return c
		}
		p.closeLocked(c)
	}
	return nil
}

// dial makes a connection. Its place has been counted before.
func (p *Pool) dial(ctx context.Context, h *host, to *url.URL) (*Conn, error) {
	port := to.Port()
	if port == "" {
		port = "80"
	}
	c := &Conn{pool: p, host: h}
	if p.age > 0 {
		c.until = time.Now().Add(p.age + rand.N(p.age/10+1))
	}
	var err error
	c.client, err = p.transport.NewClientConn(context.WithValue(ctx, dialKey{}, c), "http", net.JoinHostPort(to.Hostname(), port))
	if err != nil {
		p.mu.Lock()
		p.freeLocked(h)
		p.mu.Unlock()
		return nil, err
	}
	return c, nil
}

// Give returns the connection to its pool after a request.
func (c *Conn) Give() {
	p, h := c.pool, c.host
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	c.used = true
	switch {
	case c.gone:
	case !c.isGood(now):
		p.closeLocked(c)
	case len(h.waiting) > 0:
		h.next().got <- c
	case p.keep > 0 && len(h.idle) >= p.keep:
		p.closeLocked(c)
	default:
		c.since = now
		h.idle = append(h.idle, c)
		if p.sweeper == nil && p.idle > 0 {
			p.sweeper = time.AfterFunc(p.idle, p.sweep)
		}
	}
}

// Close closes the connection. Only the first call counts.
func (c *Conn) Close() {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.pool.closeLocked(c)
}

// closeLocked closes a connection that is not among the idle ones.
func (p *Pool) closeLocked(c *Conn) {
	if c.gone {
		return
	}
	_ = c.client.Close() // it never fails
	p.forgetLocked(c)
}

// Detach removes the connection from its pool, because it has changed its protocol and
// now belongs to the caller. It is not closed, because net/http may not have released
// it yet.
func (c *Conn) Detach() {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	if !c.gone {
		c.pool.forgetLocked(c)
	}
}

func (p *Pool) forgetLocked(c *Conn) {
	c.gone = true
	c.stopTimer()
	p.freeLocked(c.host)
}

// freeLocked gives the place of a connection to the user that has waited longest.
func (p *Pool) freeLocked(h *host) {
	if len(h.waiting) > 0 {
		h.next().got <- nil
		return
	}
	h.open--
	if h.open == 0 {
		delete(p.hosts, h.name)
	}
}

// next removes and returns the waiter that has waited longest.
func (h *host) next() *waiter {
	w := h.waiting[0]
	h.waiting[0], h.waiting = nil, h.waiting[1:]
	return w
}

// leave ends a wait. A connection that came meanwhile is passed on to the next waiter.
func (p *Pool) leave(h *host, w *waiter) {
	p.mu.Lock()
	for i, one := range h.waiting {
		if one == w {
			h.waiting = append(h.waiting[:i], h.waiting[i+1:]...)
			p.mu.Unlock()
			return
		}
	}
	p.mu.Unlock()
	if c := <-w.got; c != nil {
		c.Give()
		return
	}
	p.mu.Lock()
	p.freeLocked(h)
	p.mu.Unlock()
}

// sweep closes the connections that have been idle for too long.
func (p *Pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sweeper == nil {
		return // all were closed meanwhile
	}
	now, next := time.Now(), time.Duration(0)
	for _, h := range p.hosts {
		n := 0
		for n < len(h.idle) && now.Sub(h.idle[n].since) >= p.idle {
			p.closeLocked(h.idle[n])
			n++
		}
		if h.idle = h.idle[n:]; len(h.idle) > 0 {
			next = max(next, p.idle-now.Sub(h.idle[0].since))
		}
	}
	if next > 0 {
		p.sweeper.Reset(next)
	} else {
		p.sweeper = nil
	}
}

// CloseIdle closes the connections that no request uses.
func (p *Pool) CloseIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.hosts {
		for _, c := range h.idle {
			p.closeLocked(c)
		}
		h.idle = nil
	}
	if p.sweeper != nil {
		p.sweeper.Stop()
		p.sweeper = nil
	}
}
