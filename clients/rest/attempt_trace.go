package rest

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"net/textproto"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/clients/rest/internal/h1"
)

// errRepeated stops repeats by the standard transport, because the budget does not
// count them.
var errRepeated = errors.New("rest: the connection died on use, and the guard decides about repeats")

// errManyInterim ends an attempt whose server sends interim answers endlessly.
var errManyInterim = errors.New("rest: too many 1xx answers")

// maxInterim is how many 1xx answers an attempt accepts. They are counted only if the
// caller's trace listens to them, because that switches off the bound of the standard
// library.
const maxInterim = 64

// listener is the trace of an attempt, and what it counts.
type listener struct {
	httptrace.ClientTrace
	outer   *httptrace.ClientTrace // the caller's, or nil
	interim atomic.Int32
}

// replays is what must be known to understand how net/http repeats a request.
type replays struct {
	// any is set if net/http sends the request again by its own decision, even if the
	// request may have been processed.
	any bool
	// multiplexed is set if connections without TLS also serve several requests at
	// once.
	multiplexed bool
}

// listen makes the attempt's trace. The caller's trace, if there is one, receives
// everything. On the connections of a pool nothing else needs to be observed.
func (a *attempt) listen(pooled bool) {
	outer := httptrace.ContextClientTrace(a.guarded)
	if pooled && outer == nil {
		return
	}
	a.trace = &listener{outer: outer}
	if outer != nil {
		a.trace.ClientTrace = *outer
		if outer.Got1xxResponse != nil {
			a.trace.Got1xxResponse = a.gotInterim
		}
	}
	if !pooled {
		a.trace.GotConn, a.trace.WroteHeaders = a.gotConn, a.wroteHeaders
	}
}

// gotPooled reports to the caller's trace which connection of a pool was found.
func (a *attempt) gotPooled(c *h1.Conn) {
	if a.trace != nil && a.trace.outer.GotConn != nil {
		a.trace.outer.GotConn(c.Info())
	}
}

func (a *attempt) wroteHeaders() {
	a.sent.Store(true)
	if outer := a.trace.outer; outer != nil && outer.WroteHeaders != nil {
		outer.WroteHeaders()
	}
}

// maxUnsent is how often a request may look for another HTTP/1 connection before
// anything of it was written. Such a request has reached no server.
const maxUnsent = 4

// gotConn is called when net/http has found a connection.
func (a *attempt) gotConn(i httptrace.GotConnInfo) {
	two := a.replays.multiplexed || isHTTP2(i.Conn)
	if a.conns.Add(1) > 1 && (a.sent.Load() || !two && a.conns.Load() > maxUnsent) {
		if two && a.wasOnNewConn() && (a.upload.single == nil || a.upload.single.isUnread()) {
			a.sent.Store(false)
		} else {
			a.gotAnother(i.Conn, two)
		}
	}
	if two {
		a.watchSilence(i.Conn)
	}
	if outer := a.trace.outer; outer != nil && outer.GotConn != nil {
		outer.GotConn(i)
	}
}

// A connection of HTTP/2 counts as new for the time newConn. During that time up to
// maxRefused connections may refuse a request. Until the server's settings arrive,
// net/http may send more streams than the server permits at a time. The server refuses
// the surplus, and waiting for a free stream is not a repeat. If a server refuses the
// only stream of a connection, the refusal is meant for the request.
const (
	newConn    = 3 * time.Second
	maxRefused = 32
)

// wasOnNewConn reports whether the connection before this one was new and may still be
// used. If the server has closed it, or has refused the request on it before, the
// refusal is meant for the request.
func (a *attempt) wasOnNewConn() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, before := a.silence.conn, a.refusedBy
	a.refusedBy = c
	return a.conns.Load() <= maxRefused && c != nil && c != before && c.shared.Load() && c.wasNew(a.silence.at) && !c.closed.Load()
}

// gotAnother is called when a request that was written gets another connection, which
// means that net/http is about to send it again. (A request of which nothing was
// written may look for a free stream of HTTP/2 as often as necessary, because that is
// only waiting.)
func (a *attempt) gotAnother(conn net.Conn, two bool) {
	if !a.replays.any || two {
		// net/http then sends it again only because the server can't have processed it.
		a.unprocessed.Store(true)
	}
	a.cancel(errRepeated)
	if !two {
		// HTTP/1 writes before it checks whether the request is still wanted. The
		// connection serves only this request.
		_ = conn.Close()
	}
}

func isHTTP2(conn net.Conn) bool {
	c, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	return ok && c.ConnectionState().NegotiatedProtocol == "h2"
}

func (a *attempt) gotInterim(code int, header textproto.MIMEHeader) error {
	if a.trace.interim.Add(1) > maxInterim {
		return errManyInterim
	}
	return a.trace.outer.Got1xxResponse(code, header)
}
