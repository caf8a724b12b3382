package h1

import (
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/clients/rest/internal/netconn"
)

// Conn is a pool's connection to a host. The request that took it from the pool owns it
// until it calls Give, Close or Detach. Its methods are safe for concurrent use, except
// Begin and Header, which belong to the owner.
type Conn struct {
	pool   *Pool
	host   *host
	client *http.ClientConn
	inner  net.Conn
	until  time.Time // the time from which it takes no more requests; zero: none
	sent   atomic.Bool
	header http.Header

	watch sync.Mutex
	user  User // the request whose deadline the connection watches; nil if none
	timer *time.Timer
	due   time.Time // when the timer fires; zero if it is not set

	// The pool's lock guards these fields.
	used, gone bool
	since      time.Time // when it became idle
}

// Begin prepares the connection for a request: nothing of it has been written yet.
func (c *Conn) Begin() { c.sent.Store(false) }

// RoundTrip sends a request on this connection, and never on another one.
func (c *Conn) RoundTrip(r *http.Request) (*http.Response, error) { return c.client.RoundTrip(r) }

// Sent reports whether anything was written since Begin was called.
func (c *Conn) Sent() bool { return c.sent.Load() }

// Used reports whether the connection has carried a request before.
func (c *Conn) Used() bool { return c.used }

// Info describes the connection for a caller's httptrace.
func (c *Conn) Info() httptrace.GotConnInfo {
	i := httptrace.GotConnInfo{Conn: c.inner, Reused: c.used, WasIdle: c.used}
	if c.used {
		i.IdleTime = time.Since(c.since)
	}
	return i
}

// isGood reports whether the connection can take a request.
func (c *Conn) isGood(now time.Time) bool {
	return c.client.Available() == 1 && (c.until.IsZero() || now.Before(c.until))
}

// maxHeader is the largest number of headers for which a connection keeps space.
const maxHeader = 32

// Header returns an empty map for the header of the request that owns the connection.
// The next owner gets the same map. That is safe because a connection is taken again
// only after its request was written.
func (c *Conn) Header() http.Header {
	if c.header == nil || len(c.header) > maxHeader {
		c.header = make(http.Header, 8)
	}
	clear(c.header)
	return c.header
}

// Watch makes the connection call the user's Expire at the given time or earlier. A
// zero time only sets the user.
func (c *Conn) Watch(u User, due time.Time) {
	c.watch.Lock()
	defer c.watch.Unlock()
	c.user = u
	if !due.IsZero() {
		c.alarmLocked(due)
	}
}

// Alarm makes the connection call its user's Expire at the given time at the latest.
func (c *Conn) Alarm(due time.Time) {
	c.watch.Lock()
	defer c.watch.Unlock()
	c.alarmLocked(due)
}

// Unwatch ends Watch.
func (c *Conn) Unwatch() {
	c.watch.Lock()
	defer c.watch.Unlock()
	c.user = nil
}

// alarmLocked leaves a timer alone that fires early enough; the timer is set again when
// it fires. So most requests touch neither the timer nor the clock.
func (c *Conn) alarmLocked(due time.Time) {
	if !c.due.IsZero() && !due.Before(c.due) {
		return
	}
	in := time.Until(due)
	c.due = due
	if c.timer == nil {
		c.timer = time.AfterFunc(in, c.ring)
		return
	}
	c.timer.Reset(in)
}

// ring asks the user whether its time is over.
func (c *Conn) ring() {
	c.watch.Lock()
	c.due = time.Time{}
	u := c.user
	c.watch.Unlock()
	if u == nil {
		return
	}
	if next := u.Expire(); next > 0 {
		c.Alarm(time.Now().Add(next))
	}
}

// stopTimer is called once the connection is closed or detached.
func (c *Conn) stopTimer() {
	c.watch.Lock()
	defer c.watch.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}

// dialKey is the key of the connection for which a dial is made.
type dialKey struct{}

// socket records whether something was written.
type socket struct {
	netconn.Conn
	of *Conn
}

// Write records that something is sent before it writes. So a request that is being
// sent is never mistaken for one that was not sent.
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
