package rest

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// errRepeated stops the standard transport's own repeats: they are not in the budget.
var errRepeated = errors.New("rest: the connection died on use, and the guard decides about repeats")

// errInformed ends an attempt whose server sends interim answers without end.
var errInformed = errors.New("rest: too many 1xx answers")

// maxInterim is how many 1xx answers an attempt takes. It counts only where the
// caller's trace listens to them, because that switches the standard bound off.
const maxInterim = 64

// attempt is one request on its way: the context that it runs under, and what was
// seen of it. The context has the values and the deadline of the guard's attempt. It
// ends with it, or with the caller's own, or by cancel; after leave only the caller
// ends it. It is a context of its own, and not three of the standard library's,
// because it is made for every request. Safe for concurrent use.
type attempt struct {
	guarded, caller context.Context
	trace           *heard // nil: nothing is to be heard
	wired           wired
	balancer        *Balancer // nil: there is one address
	backend         *backend
	timeout         [1]string // the value of a header
	end1            [1]byte   // where the end of a body is read into
	number          int32     // from 1, hedges included
	hedged, raced   bool
	quiet           bool // nothing of ours is sent
	unzips          bool // a compressed answer was asked for here
	retried         bool // the request around is itself a repeat
	class           resilience.Criticality

	conns atomic.Int32
	// sent: the headers were written. unprocessed: and yet the server did nothing.
	sent, unprocessed atomic.Bool
	// reading is when the Read began that is under way, as an offset from epoch; 0: none.
	reading atomic.Int64

	mu   sync.Mutex
	done chan struct{} // nil: nobody has asked for it
	// err and cause are set before done is closed.
	err, cause error
	conn       *connection // of a pool; the attempt's end closes it
	body       carriedBody
	small      whole
	first      ending
	more       []*ending
	timer      *time.Timer
	began      time.Time
	deadline   time.Time // zero: none
	left       time.Duration
	stall      time.Duration
	stopCaller func() bool
	stopGuard  func() bool
}

// heard is a trace and what it counts.
type heard struct {
	httptrace.ClientTrace
	outer   *httptrace.ClientTrace // the caller's, or nil
	interim atomic.Int32
}

// epoch is what offsets count from.
var epoch = time.Now()

// begin makes an attempt from the guard's context, and the caller's, which a
// response's body may live under. If the base pools, its connections watch the
// deadline, and arm does until there is one.
func (a *attempt) begin(guarded, caller context.Context, of wired, pools bool) {
	a.guarded, a.caller, a.wired = guarded, caller, of
	info, _ := resilience.AttemptFrom(guarded)
	a.number, a.hedged, a.raced, a.retried, a.class = int32(info.Number), info.Hedged, info.Raced, info.Retried, info.Criticality
	// What is started here may end the attempt at once: it waits for the lock.
	a.mu.Lock()
	defer a.mu.Unlock()
	a.began = time.Now()
	if deadline, ok := guarded.Deadline(); ok {
		a.deadline, a.left = deadline, max(1, deadline.Sub(a.began))
		if !pools {
			a.timer = time.AfterFunc(a.left, a.expire)
		}
	}
	if caller.Done() != nil {
		a.stopCaller = context.AfterFunc(caller, func() { a.end(caller.Err(), context.Cause(caller)) })
	}
	if a.raced {
		a.stopGuard = context.AfterFunc(guarded, func() { a.end(guarded.Err(), context.Cause(guarded)) })
	}
}

// wired is what has to be known to understand what net/http does.
type wired struct {
	// replayed: it takes it on itself to send the request again, also if it may have
	// been processed.
	replayed bool
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
	a.trace = &heard{outer: outer}
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

// tellConn tells the caller's trace which connection of a pool was found.
func (a *attempt) tellConn(c *connection) {
	if a.trace != nil && a.trace.outer.GotConn != nil {
		i := httptrace.GotConnInfo{Conn: c.inner, Reused: c.used, WasIdle: c.used}
		if c.used {
			i.IdleTime = time.Since(c.since)
		}
		a.trace.outer.GotConn(i)
	}
}

func (a *attempt) wroteHeaders() {
	a.sent.Store(true)
	if outer := a.trace.outer; outer != nil && outer.WroteHeaders != nil {
		outer.WroteHeaders()
	}
}

// maxUnsent is how often the standard transport may look for another connection before
// anything was written: nobody has seen the request.
const maxUnsent = 4

// gotConn is called when a connection was found.
func (a *attempt) gotConn(i httptrace.GotConnInfo) {
	if a.conns.Add(1) > 1 {
		a.gotAnother(i.Conn)
	}
	if outer := a.trace.outer; outer != nil && outer.GotConn != nil {
		outer.GotConn(i)
	}
}

// gotAnother: another connection after the request was written means that net/http is
// about to send it again.
func (a *attempt) gotAnother(conn net.Conn) {
	if !a.sent.Load() && a.conns.Load() <= maxUnsent {
		return
	}
	two := a.wired.multiplexed || isHTTP2(conn)
	if !a.wired.replayed || two {
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
		return errInformed
	}
	return a.trace.outer.Got1xxResponse(code, header)
}
