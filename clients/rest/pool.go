package rest

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

// pool keeps connections of HTTP/1.1 without TLS and without a proxy. The standard
// transport makes them and speaks on them; which request goes on which is decided
// here. So nothing is repeated behind the guard's back, an attempt that ends closes
// its connection itself, without a context that net/http must watch, and a connection's
// age is its own. It is safe for concurrent use.
type pool struct {
	transport   *http.Transport // dials
	limit, keep int             // connections to a host, at all and idle; 0: no limit
	age, idle   time.Duration   // zero: for ever

	mu      sync.Mutex
	hosts   map[string]*host
	sweeper *time.Timer // runs while there are idle connections that may get old
}

// host is what a pool has of a host. The pool's lock guards it.
type host struct {
	name    string        // as it stands in URLs
	open    int           // connections, idle or in use, and those being dialled
	idle    []*connection // the newest last
	waiting []*waiter
}

// waiter is a request that waits for a connection; nil stands for the right to dial.
type waiter struct{ got chan *connection }

// newPool returns a pool whose connections are those of a transport.
func newPool(t *http.Transport) *pool {
	dial := t.Clone()
	dial.Proxy, dial.ResponseHeaderTimeout = nil, 0
	dial.MaxConnsPerHost = 0 // with it, net/http panics when such a connection closes
	inner := t.DialContext
	if inner == nil {
		inner = new(net.Dialer).DialContext
	}
	dial.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := inner(ctx, network, address)
		if c, ok := ctx.Value(dialKey{}).(*connection); ok && err == nil {
			c.inner = nc
			return &socket{netconn.Conn{Conn: nc}, c}, nil
		}
		return nc, err
	}
	return &pool{transport: dial, limit: t.MaxConnsPerHost, keep: t.MaxIdleConnsPerHost, idle: t.IdleConnTimeout, hosts: map[string]*host{}}
}

// take returns a connection that is free, or a new one. It waits for one, in turn, where
// there are as many as may be.
func (p *pool) take(a *attempt, to *url.URL) (*connection, error) {
	p.mu.Lock()
	h := p.hosts[to.Host]
	if h == nil {
		h = &host{name: to.Host}
		p.hosts[to.Host] = h
	}
	if c := p.popLocked(h, a.began); c != nil {
		p.mu.Unlock()
		return c, nil
	}
	if p.limit > 0 && h.open >= p.limit {
		w := &waiter{make(chan *connection, 1)}
		h.waiting = append(h.waiting, w)
		p.mu.Unlock()
		a.arm()
		select {
		case c := <-w.got:
			if c != nil {
				return c, nil
			}
		case <-a.Done():
			p.leave(h, w)
			return nil, a.why()
		}
		return p.dial(a, h, to)
	}
	h.open++
	p.mu.Unlock()
	a.arm()
	return p.dial(a, h, to)
}

// popLocked returns the newest connection that is still good.
func (p *pool) popLocked(h *host, now time.Time) *connection {
	for n := len(h.idle) - 1; n >= 0; n-- {
		c := h.idle[n]
		h.idle[n], h.idle = nil, h.idle[:n]
		if c.good(now) {
			return c
		}
		p.closeLocked(c)
	}
	return nil
}

// dial makes a connection in a place that is counted already.
func (p *pool) dial(ctx context.Context, h *host, to *url.URL) (*connection, error) {
	port := to.Port()
	if port == "" {
		port = "80"
	}
	c := &connection{pool: p, host: h}
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

// give takes a connection back that a request is done with.
func (p *pool) give(c *connection) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	h := c.host
	switch c.used = true; {
	case c.gone:
	case !c.good(now):
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

// lose closes a connection, once.
func (p *pool) lose(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closeLocked(c)
}

// closeLocked closes a connection that is not among the idle ones.
func (p *pool) closeLocked(c *connection) {
	if c.gone {
		return
	}
	_ = c.client.Close() // it never fails
	p.forgetLocked(c)
}

// forget lets go of a connection that somebody else has from here on. It is not closed:
// net/http may not have let it go yet, and would close it for good.
func (p *pool) forget(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.gone {
		p.forgetLocked(c)
	}
}

func (p *pool) forgetLocked(c *connection) {
	c.gone = true
	c.quiet()
	p.freeLocked(c.host)
}

// freeLocked gives a place to who waits for one.
func (p *pool) freeLocked(h *host) {
	if len(h.waiting) > 0 {
		h.next().got <- nil
		return
	}
	if h.open--; h.open == 0 {
		delete(p.hosts, h.name)
	}
}

// next is who waits longest.
func (h *host) next() *waiter {
	w := h.waiting[0]
	h.waiting[0], h.waiting = nil, h.waiting[1:]
	return w
}

// leave ends a wait. What came meanwhile goes on to the next.
func (p *pool) leave(h *host, w *waiter) {
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
		p.give(c)
		return
	}
	p.mu.Lock()
	p.freeLocked(h)
	p.mu.Unlock()
}

// sweep closes the connections that were idle for too long.
func (p *pool) sweep() {
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

// closeIdle closes the connections that no request uses.
func (p *pool) closeIdle() {
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
