package rest

import (
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/clients/rest/internal/netconn"
)

// connection is a pool's connection to a host. Who took it from the pool owns it, until
// it gives it back or loses it.
type connection struct {
	pool   *pool
	host   *host
	client *http.ClientConn
	inner  net.Conn
	until  time.Time // zero: no age
	// sent: something was written since the request began.
	sent atomic.Bool

	// header is where the headers of its requests are put together: it is only taken again
	// once they are written.
	header http.Header
	// user is the attempt that goes on it, whose deadline it watches.
	user    atomic.Pointer[attempt]
	alarmed sync.Mutex
	timer   *time.Timer
	due     time.Time // when the timer rings; zero: it does not

	// The pool's lock guards these.
	used, gone bool
	since      time.Time // when it became idle
}

// good says whether a request can go on it.
func (c *connection) good(now time.Time) bool {
	return c.client.Available() == 1 && (c.until.IsZero() || now.Before(c.until))
}

// maxSpace is how many headers a connection keeps space for.
const maxSpace = 32

// space is an empty header.
func (c *connection) space() http.Header {
	if c.header == nil || len(c.header) > maxSpace {
		c.header = make(http.Header, 8)
	}
	clear(c.header)
	return c.header
}

// alarm makes the connection look at its user not later than this. A timer that rings
// earlier does: then it is set anew, and most requests touch neither it nor the clock.
func (c *connection) alarm(due time.Time) {
	c.alarmed.Lock()
	defer c.alarmed.Unlock()
	if !c.due.IsZero() && !due.Before(c.due) {
		return
	}
	in := time.Until(due)
	if c.due = due; c.timer == nil {
		c.timer = time.AfterFunc(in, c.ring)
	} else {
		c.timer.Reset(in)
	}
}

// ring looks whether the user's time is over.
func (c *connection) ring() {
	c.alarmed.Lock()
	c.due = time.Time{}
	c.alarmed.Unlock()
	if a := c.user.Load(); a != nil {
		if next := a.expires(); next > 0 {
			c.alarm(time.Now().Add(next))
		}
	}
}

// quiet stops the timer of a connection that was closed.
func (c *connection) quiet() {
	c.alarmed.Lock()
	defer c.alarmed.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}

// dialKey finds the connection that a dial is for.
type dialKey struct{}

// socket notes that something was written.
type socket struct {
	netconn.Conn
	of *connection
}

// Write notes before it writes: who looks meanwhile must not take the request for one
// that was never sent.
func (w *socket) Write(p []byte) (int, error) {
	before := w.of.sent.Swap(true)
	n, err := w.Conn.Write(p)
	if n == 0 && !before {
		w.of.sent.Store(false)
	}
	return n, err
}

// ReadFrom implements io.ReaderFrom.
func (w *socket) ReadFrom(src io.Reader) (int64, error) {
	w.of.sent.Store(true)
	return w.Conn.ReadFrom(src)
}

// carries reports whether requests like this one go over the pool. It must be asked
// before anything of the request is used up.
func (b *Base) carries(r *http.Request, a *attempt) bool {
	t := b.template
	if b.pool == nil || r.URL.Scheme != "http" || !isASCII(r.URL.Host) {
		return false
	}
	//lint:ignore SA1019 http.Client sets it for its Timeout
	if r.Cancel != nil {
		return false // a ClientConn leaves a goroutine behind that waits for it
	}
	if limit := t.ResponseHeaderTimeout; limit > 0 && (a.left == 0 || a.left > limit) {
		return false // the attempt's own deadline does not bound it
	}
	if t.Proxy != nil {
		if proxy, err := t.Proxy(r); err != nil || proxy != nil {
			return false
		}
	}
	return true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// carry sends a request of an attempt on a connection of the pool. A connection that
// has died while it was idle is replaced, as long as nothing was written.
func (b *Base) carry(r *http.Request, a *attempt) (*http.Response, error) {
	for tries := 1; ; tries++ {
		c, err := b.pool.take(a, r.URL)
		if err != nil {
			closeBody(r)
			return nil, a.causeOf(err)
		}
		c.sent.Store(false)
		if !a.hold(c) {
			closeBody(r)
			b.pool.give(c)
			return nil, a.why()
		}
		a.tellConn(c)
		a.mark(r, c.space())
		// A connection before this one may have had the same header to fill.
		a.unzips = b.asksForGzip(r) || a.unzips
		resp, err := c.client.RoundTrip(r)
		if err == nil {
			return a.carried(resp, c), nil
		}
		sent := c.sent.Load()
		a.sent.Store(sent)
		if a.drop() {
			b.pool.lose(c)
		}
		if why := a.why(); why != nil {
			closeBody(r)
			return nil, why
		}
		if sent || !c.used || tries == maxUnsent || !again(r) {
			closeBody(r)
			return nil, err
		}
	}
}

// carried is an answer whose connection goes back to the pool at the body's end.
func (a *attempt) carried(resp *http.Response, c *connection) *http.Response {
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
		// Who changed the protocol has it from here on.
		if a.drop() {
			c.pool.forget(c)
		}
	case resp.Body == http.NoBody:
		a.finish(c)
	default:
		a.body.ReadCloser, a.body.attempt, a.body.conn = resp.Body, a, c
		if resp.Body = &a.body; a.unzips {
			unzip(resp)
		}
	}
	return resp
}

// finish gives a connection back, unless the attempt's end has closed it.
func (a *attempt) finish(c *connection) {
	if a.drop() {
		c.pool.give(c)
	}
}

// carriedBody is a body whose end frees its connection.
type carriedBody struct {
	io.ReadCloser
	attempt *attempt
	conn    *connection
	over    atomic.Bool
}

// Read reads.
func (b *carriedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	if err != io.EOF {
		err = b.attempt.causeOf(err)
	}
	b.finish()
	return n, err
}

// Close closes the body. If it was not read to its end, so is its connection.
func (b *carriedBody) Close() error {
	err := b.ReadCloser.Close()
	b.finish()
	return err
}

func (b *carriedBody) finish() {
	if !b.over.Swap(true) {
		b.attempt.finish(b.conn)
	}
}
