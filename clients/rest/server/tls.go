package server

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"
)

// The keys in http.Server.TLSNextProto for the functions that serve HTTP/2 on a connection.
// The second one accepts connections without TLS, in the way that golang.org/x/net/http2
// uses too: wrapped in a *tls.Conn whose NetConn has the method UnencryptedNetConn.
const (
	overTLS    = "h2"
	withoutTLS = "unencrypted_http2"
)

// unwrap makes HTTP/2 over TLS run on connections whose frames are visible, so that GOAWAY
// can be sent between them. A server with another HTTP/2 implementation that lacks the
// second function is left as it is, and shuts down as its own Shutdown does.
func (c *conns) unwrap(protocols map[string]func(*http.Server, *tls.Conn, http.Handler)) {
	serve := protocols[withoutTLS]
	if serve == nil || protocols[overTLS] == nil {
		return
	}
	protocols[overTLS] = func(s *http.Server, tc *tls.Conn, h http.Handler) {
		own := &unwrapped{c.add(tc), tc}
		defer own.Close() // an error means that it is closed already
		// The function for connections without TLS expects that the preface has been read.
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

// unwrapped is an HTTP/2 connection over TLS, after decryption.
type unwrapped struct {
	*conn
	tls *tls.Conn
}

// ConnectionState is for the standard server, which checks the TLS version for HTTP/2.
func (u *unwrapped) ConnectionState() tls.ConnectionState { return u.tls.ConnectionState() }

// handedOver passes a connection through a function that takes a *tls.Conn. Only its method
// UnencryptedNetConn is used.
type handedOver struct {
	net.Conn
	own net.Conn
}

// UnencryptedNetConn returns the connection.
func (h handedOver) UnencryptedNetConn() net.Conn { return h.own }
