package rest

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/backstay-go/backstay/clients/rest/internal/h1"
	"github.com/backstay-go/backstay/clients/rest/internal/netconn"
)

// maxAge is how long a Base opens requests on the same connections.
const maxAge = 5 * time.Minute

// endlessAge replaces longer ages, so that no sum of times overflows.
const endlessAge = 100 * 365 * 24 * time.Hour

// Base is a base transport for use behind a guard; NewBase describes its limits. It is safe
// for concurrent use. The caller that made it must call CloseIdleConnections in the end.
type Base struct {
	template *http.Transport
	age      time.Duration // zero: connections have no age
	pool     *h1.Pool      // for attempts over HTTP/1.1 without TLS; nil if there is none

	mu      sync.Mutex
	current *http.Transport
	since   time.Time // when current was made
	until   time.Time // when the next one is made
	suspect silence   // the connection that may lead nowhere
	// silentAt is when connections were last changed for a silent one.
	silentAt time.Time
}

// NewBase returns a transport for a guard that admits limit calls at a time:
//
//   - It keeps up to limit connections per host, idle ones included. So a burst does not
//     dial while connections are about to become free, and does not close connections that
//     the next burst needs.
//   - A connection takes new requests for five minutes and a little more, so that new
//     addresses of a name are found, however busy a connection is.
//   - If a name has several addresses, the next one is tried a quarter of a second after the
//     last, or sooner if little time is left. A dead address costs no more than that.
//   - It sends no HTTP/2 pings, because many servers close connections that ping. Instead,
//     after an attempt that timed out while its HTTP/2 connection brought nothing, new
//     requests use a new connection. Requests on the old one go on, so a server that only
//     pauses loses no request.
//   - It limits the time of dials and handshakes, the bytes of headers, and the time from a
//     request to the headers of its answer (10 s).
//
// The guard sets the timeouts of calls. If a proxy refuses a CONNECT, the error is a
// *ProxyError. Change adjusts the standard transport underneath before it is used, for
// example its TLSClientConfig, or its HTTP2.SendPingTimeout if the server allows pings.
func NewBase(limit int, change ...func(*http.Transport)) *Base {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            newDialer().dial,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           0, // bounded per host
		MaxIdleConnsPerHost:    max(2, limit),
		MaxConnsPerHost:        max(2, limit),
		IdleConnTimeout:        time.Minute,
		TLSHandshakeTimeout:    3 * time.Second,
		ResponseHeaderTimeout:  10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		OnProxyConnectResponse: refusedByProxy,
		HTTP2:                  &http.HTTP2Config{},
	}
	for _, f := range change {
		f(t)
	}
	b := &Base{template: t}
	if !t.DisableKeepAlives && t.MaxIdleConnsPerHost >= 0 && (t.Protocols == nil || t.Protocols.HTTP1() && !t.Protocols.UnencryptedHTTP2()) {
		b.pool = h1.New(t)
	}
	b.countDials()
	return b.WithAge(0)
}

// countDials makes the connections of the standard transport count their reads, and
// makes attempts know whether a connection was dialled for them.
func (b *Base) countDials() {
	dial := b.template.DialContext
	if dial == nil {
		return // it has only a Dial, which has no context
	}
	b.template.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if a := attemptOf(ctx); a != nil {
			a.dialled.Store(true)
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &countedConn{Conn: netconn.Conn{Conn: conn}, base: b, made: time.Now()}, nil
	}
}

// WithAge sets for how long a connection takes new requests, and returns the base. Zero
// means 5 minutes; a negative value means without limit. Up to a tenth is added at random,
// so that many instances do not all dial at the same time. It must be called before the
// first use.
func (b *Base) WithAge(age time.Duration) *Base {
	switch {
	case age == 0:
		age = maxAge
	case age < 0:
		age = 0
	}
	b.age = min(age, endlessAge)
	if b.pool != nil {
		b.pool.SetAge(b.age)
	}
	return b
}

// RoundTrip sends a request on connections that are not too old.
func (b *Base) RoundTrip(r *http.Request) (*http.Response, error) {
	if a := attemptOf(r.Context()); a != nil && b.template.DialContext != nil && b.template.DialTLSContext == nil {
		a.seesDials.Store(true)
	}
	return b.transport().RoundTrip(r)
}

// send sends an attempt's request over base. A Base with a pool sends what it can over the
// pool's connections.
func (a *attempt) send(base http.RoundTripper, out *http.Request) (*http.Response, error) {
	if b, ok := base.(*Base); ok && b.pool != nil {
		if b.carries(out, a) {
			a.listen(true)
			return b.carry(out, a)
		}
		a.Arm()
		out = out.WithContext(a)
	}
	a.listen(false)
	a.mark(out, nil)
	return base.RoundTrip(out)
}

// context returns the attempt in the form of a context for its request. For a base with
// a pool this context is never done, until the base passes the request on to net/http.
func (a *attempt) context(pools bool) context.Context {
	if pools {
		return (*undone)(a)
	}
	return a
}

// pools reports whether a base keeps its own connections for attempts.
func pools(rt http.RoundTripper) bool {
	b, ok := rt.(*Base)
	return ok && b.pool != nil
}

// transport returns the transport whose connections are young enough. Requests on older
// connections are not disturbed: a connection of the former transport is closed when its
// requests are done.
func (b *Base) transport() *http.Transport {
	now := time.Now()
	b.mu.Lock()
	before := b.current
	if before != nil && (b.age == 0 || now.Before(b.until)) && !b.isSilentLocked(now) {
		b.mu.Unlock()
		return before
	}
	b.since, b.until, b.suspect = now, now.Add(b.age+rand.N(b.age/10+1)), silence{}
	b.current = b.template
	if before != nil {
		b.current = before.Clone()
	}
	t := b.current
	b.mu.Unlock()
	if before != nil {
		before.CloseIdleConnections()
	}
	return t
}

// CloseIdleConnections closes the connections that no request uses.
func (b *Base) CloseIdleConnections() {
	b.mu.Lock()
	t := b.current
	b.mu.Unlock()
	if t != nil {
		t.CloseIdleConnections()
	}
	if b.pool != nil {
		b.pool.CloseIdle()
	}
}

// multiplexes reports whether connections without TLS carry several requests at once.
func multiplexes(rt http.RoundTripper) bool {
	switch t := rt.(type) {
	case *Base:
		return multiplexes(t.template)
	case *http.Transport:
		return t.Protocols != nil && t.Protocols.UnencryptedHTTP2()
	}
	return false
}
