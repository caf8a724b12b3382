package rest

import (
	"context"
	"net"
	"net/http"
	"time"
)

// NewBase returns a transport that suits a guard that admits limit calls at once: as
// many connections to a host, idle ones too, so that a burst neither dials beside
// connections that are about to be free nor closes what the next one needs; HTTP/2 pings,
// so that a connection into nowhere is noticed within a second; bounds on header
// bytes, dials and handshakes. Timeouts of calls are the guard's. Who made it may
// change it before its first use, and closes its idle connections in the end.
func NewBase(limit int) *http.Transport {
	dialer := &net.Dialer{Timeout: 3 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           0, // bound by host
		MaxIdleConnsPerHost:    max(2, limit),
		MaxConnsPerHost:        max(2, limit),
		IdleConnTimeout:        time.Minute,
		TLSHandshakeTimeout:    3 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 300 * time.Millisecond, PingTimeout: 300 * time.Millisecond},
	}
}

// KeepToOrigin is an http.Client's CheckRedirect that follows redirects within the
// origin (scheme, host and port) only, at most ten; another one is handed over as the
// response that it is. net/http sends API keys, idempotency keys and bodies on to
// other hosts.
func KeepToOrigin(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) >= 10 || req.URL.Scheme != first.Scheme || req.URL.Host != first.Host {
		return http.ErrUseLastResponse
	}
	return nil
}
