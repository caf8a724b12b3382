package rest

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// maxAge is how long a Base opens requests on the same connections.
const maxAge = 5 * time.Minute

// Base is a transport that suits a guard: NewBase says what it bounds. It is safe for
// concurrent use. Who made it closes its idle connections in the end.
type Base struct {
	template *http.Transport
	age      time.Duration // zero: connections have no age
	pool     *pool         // of HTTP/1.1 without TLS, for attempts; nil: none

	mu      sync.Mutex
	current *http.Transport
	until   time.Time
}

// NewBase returns a transport that suits a guard that admits limit calls at once:
//
//   - as many connections to a host, idle ones too, so that a burst neither dials
//     beside connections that are about to be free nor closes what the next one needs;
//   - connections take new requests for five minutes and some seconds, so that
//     addresses that a name got meanwhile are found, however busy a connection is;
//   - of the addresses of a name the next is tried a quarter of a second after the last,
//     or sooner where little time is left, so that a dead one costs no more than that;
//   - HTTP/2 pings, so that a connection into nowhere is noticed within a second;
//   - bounds on dials, handshakes, header bytes, and 10 s from a request to its
//     answer's headers.
//
// Timeouts of calls are the guard's. A proxy's refusal of a CONNECT is a *ProxyError.
// Change adjusts the standard transport underneath before it is used, for example its
// TLSClientConfig.
func NewBase(limit int, change ...func(*http.Transport)) *Base {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            newDialer().dial,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           0, // bound by host
		MaxIdleConnsPerHost:    max(2, limit),
		MaxConnsPerHost:        max(2, limit),
		IdleConnTimeout:        time.Minute,
		TLSHandshakeTimeout:    3 * time.Second,
		ResponseHeaderTimeout:  10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		OnProxyConnectResponse: refusedByProxy,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 300 * time.Millisecond, PingTimeout: 500 * time.Millisecond},
	}
	for _, f := range change {
		f(t)
	}
	b := &Base{template: t}
	if !t.DisableKeepAlives && t.MaxIdleConnsPerHost >= 0 && (t.Protocols == nil || t.Protocols.HTTP1() && !t.Protocols.UnencryptedHTTP2()) {
		b.pool = newPool(t)
	}
	return b.WithAge(0)
}

// WithAge sets how long connections take new requests, before the first use. Zero: 5
// minutes; a negative value means for ever. Each round is up to a tenth longer, so that
// many instances don't all dial at once.
func (b *Base) WithAge(age time.Duration) *Base {
	switch {
	case age == 0:
		age = maxAge
	case age < 0:
		age = 0
	}
	b.age = age
	if b.pool != nil {
		b.pool.age = age
	}
	return b
}

// RoundTrip sends a request on connections that are not too old.
func (b *Base) RoundTrip(r *http.Request) (*http.Response, error) {
	if p, ok := r.Context().(*pooled); ok {
		a := (*attempt)(p)
		if b.carries(r, a) {
			a.listen(true)
			return b.carry(r, a)
		}
		a.listen(false)
		a.arm()
		a.mark(r, nil)
		r = r.WithContext(a)
	}
	return b.transport().RoundTrip(r)
}

// pools says whether a base has connections of its own for attempts.
func pools(rt http.RoundTripper) bool {
	b, ok := rt.(*Base)
	return ok && b.pool != nil
}

// context is the attempt as the context of its request.
func (a *attempt) context(pools bool) context.Context {
	if pools {
		return (*pooled)(a)
	}
	a.listen(false)
	return a
}

// transport is the one whose connections are young enough. Requests on older ones end
// in peace: a connection of the former transport is closed when its request is done.
func (b *Base) transport() *http.Transport {
	now := time.Now()
	b.mu.Lock()
	before := b.current
	if before != nil && (b.age == 0 || now.Before(b.until)) {
		b.mu.Unlock()
		return before
	}
	b.until = now.Add(b.age + rand.N(b.age/10+1))
	if b.current = b.template; before != nil {
		b.current = before.Clone()
	}
	t := b.current
	b.mu.Unlock()
	if before != nil {
		before.CloseIdleConnections()
	}
	return t
}

// CloseIdleConnections closes those that no request uses.
func (b *Base) CloseIdleConnections() {
	b.mu.Lock()
	t := b.current
	b.mu.Unlock()
	if t != nil {
		t.CloseIdleConnections()
	}
	if b.pool != nil {
		b.pool.closeIdle()
	}
}

// multiplexes says whether connections without TLS carry several requests at once.
func multiplexes(rt http.RoundTripper) bool {
	switch t := rt.(type) {
	case *Base:
		return multiplexes(t.template)
	case *http.Transport:
		return t.Protocols != nil && t.Protocols.UnencryptedHTTP2()
	}
	return false
}
