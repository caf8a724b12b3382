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

// errRepeated stops the standard transport's own repeats: they are not in the budget.
var errRepeated = errors.New("rest: the connection died on use, and the guard decides about repeats")

// errManyInterim ends an attempt whose server sends interim answers without end.
var errManyInterim = errors.New("rest: too many 1xx answers")

// maxInterim is how many 1xx answers an attempt takes. It counts only where the
// caller's trace listens to them, because that switches the standard bound off.
const maxInterim = 64

// listener is an attempt's trace and what it counts.
type listener struct {
	httptrace.ClientTrace
	outer   *httptrace.ClientTrace // the caller's, or nil
	interim atomic.Int32
}

// replays is what has to be known to understand how net/http repeats a request.
type replays struct {
	// any: it takes it on itself to send the request again, also if it may have been
	// processed.
	any bool
	// multiplexed: also a connection without TLS serves several requests at once.
	multiplexed bool
}

// listen makes the attempt's trace. The caller's, if there is one, hears all of it. On
// the connections of a pool there is nothing else to hear.
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

// gotPooled tells the caller's trace which connection of a pool was found.
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

// maxUnsent is how often a request looks for another HTTP/1 connection before anything of
// it was written: nobody has seen the request.
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

// newConn is how long a connection of HTTP/2 counts as new, and maxRefused how many
// connections may refuse a request for that. Until the server's settings arrive, net/http
// sends more streams than there may be at a time: they are refused, and to wait for one is
// no repeat. A server that refuses the only stream of a connection means the request.
const (
	newConn    = 3 * time.Second
	maxRefused = 32
)

// wasOnNewConn reports whether the connection before this one was new, and may still be
// used. A server that has ended it, or has refused the request on it before, means the
// request.
func (a *attempt) wasOnNewConn() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, before := a.silence.conn, a.refusedBy
	a.refusedBy = c
	return a.conns.Load() <= maxRefused && c != nil && c != before && c.shared.Load() && c.wasNew(a.silence.at) && !c.closed.Load()
}

// gotAnother is called when a request that was written gets another connection: net/http
// is about to send it again. (A request of which nothing was written may look for a free
// stream of HTTP/2 as often as it must: that is waiting.)
func (a *attempt) gotAnother(conn net.Conn, two bool) {
	if !a.replays.any || two {
		// Then it does so only because the server can't have processed it.
		a.unprocessed.Store(true)
	}
	a.cancel(errRepeated)
	if !two {
		// HTTP/1 writes before it looks whether the request is still wanted. The
		// connection serves this request only.
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
