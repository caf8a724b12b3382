package server

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"
)

// The names under which a standard server keeps who serves HTTP/2 on a connection. The
// second takes what is no *tls.Conn, by a detour that golang.org/x/net/http2 takes too:
// a *tls.Conn whose NetConn has the method UnencryptedNetConn.
const (
	overTLS    = "h2"
	withoutTLS = "unencrypted_http2"
)

// unwrap makes HTTP/2 over TLS be served on connections whose frames are seen, so that
// goodbye can be said between them. A server with an HTTP/2 of its own that does not
// know the detour goes on without, and ends as its Shutdown has it.
func (c *conns) unwrap(protocols map[string]func(*http.Server, *tls.Conn, http.Handler)) {
	serve := protocols[withoutTLS]
	if serve == nil || protocols[overTLS] == nil {
		return
	}
	protocols[overTLS] = func(s *http.Server, tc *tls.Conn, h http.Handler) {
		own := &unwrapped{c.add(tc), tc}
		defer own.Close() // it may be closed already, and says so
		// Who serves it without TLS has seen the preface.
		if limit := s.ReadHeaderTimeout; limit > 0 && own.SetReadDeadline(time.Now().Add(limit)) != nil {
			return
		}
		var begin [len(preface)]byte
		if _, err := io.ReadFull(own, begin[:]); err != nil || string(begin[:]) != preface {
			return
		}
		if own.SetReadDeadline(time.Time{}) != nil {
			return
		}
		serve(s, tls.Client(handedOver{own: own}, nil), h)
	}
}

// unwrapped is a connection of HTTP/2 over TLS, as its frames go.
type unwrapped struct {
	*conn
	tls *tls.Conn
}

// ConnectionState is for the standard server, which holds HTTP/2 to a version of TLS.
func (u *unwrapped) ConnectionState() tls.ConnectionState { return u.tls.ConnectionState() }

// handedOver carries a connection past a signature. Nothing else of it is used.
type handedOver struct {
	net.Conn
	own net.Conn
}

// UnencryptedNetConn is what the other side asks for.
func (h handedOver) UnencryptedNetConn() net.Conn { return h.own }
