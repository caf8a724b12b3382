package rest

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/clients/rest/internal/netconn"
)

// An HTTP/2 connection is shared, so the end of one attempt must not close it. But a
// connection whose peer has vanished must not be used by attempt after attempt. So a base
// counts the reads on its connections. If an attempt times out and its connection has
// brought nothing since the attempt began, new requests use new connections; requests on
// the old one go on. (Pings would detect this as well, but many servers close connections
// that ping often, or while they are idle.)

const (
	// silenceGrace is how long a suspected connection has to prove that it is alive: when it
	// cancels a request, net/http asks the server for an answer.
	silenceGrace = 100 * time.Millisecond
	// silencePause is the time between two changes of connections for silence.
	silencePause = time.Second
)

// countedConn is a connection of net/http that counts its reads.
type countedConn struct {
	netconn.Conn
	base  *Base
	made  time.Time
	reads atomic.Uint64
	// users is how many attempts use the connection. shared says that several have used it at
	// the same time; closed, that it is closed.
	users          atomic.Int32
	shared, closed atomic.Bool
	// firstUse is when the first attempt got it, as an offset from epoch.
	firstUse atomic.Int64
}

// wasNew reports whether the connection was new at a time.
func (c *countedConn) wasNew(at time.Time) bool {
	return at.Sub(epoch)-time.Duration(c.firstUse.Load()) < newConn
}

// join and leave count an attempt as a user.
func (c *countedConn) join() {
	c.firstUse.CompareAndSwap(0, max(1, int64(time.Since(epoch))))
	if c.users.Add(1) > 1 {
		c.shared.Store(true)
	}
}

func (c *countedConn) leave() {
	if c != nil {
		c.users.Add(-1)
	}
}

// Close closes the connection.
func (c *countedConn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

// Read reads.
func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.reads.Add(1)
	}
	return n, err
}

// silence is what an attempt knows about its shared connection.
type silence struct {
	conn  *countedConn // nil if it has none
	reads uint64       // when the attempt began to use it
	at    time.Time    // when the attempt began to use it; then: when it was suspected
}

// watchSilence is called when an attempt gets a shared connection.
func (a *attempt) watchSilence(conn net.Conn) {
	for {
		switch c := conn.(type) {
		case *countedConn:
			a.mu.Lock()
			if a.err == nil {
				a.silence.conn.leave()
				c.join()
				a.silence = silence{conn: c, reads: c.reads.Load(), at: time.Now()}
			}
			a.mu.Unlock()
			return
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return
		}
	}
}

// report suspects the connection of an attempt that has timed out, if it brought nothing.
func (s silence) report() {
	if s.conn == nil || s.conn.reads.Load() != s.reads {
		return
	}
	s.at = time.Now()
	b := s.conn.base
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.suspect.conn != s.conn && s.conn.made.After(b.since) {
		b.suspect = s
	}
}

// isSilentLocked reports whether a suspected connection has brought nothing in its grace.
func (b *Base) isSilentLocked(now time.Time) bool {
	s := b.suspect
	if s.conn == nil || now.Sub(s.at) < silenceGrace {
		return false
	}
	if s.conn.reads.Load() != s.reads {
		b.suspect = silence{}
		return false
	}
	if now.Sub(b.silentAt) < silencePause {
		return false
	}
	b.silentAt = now
	return true
}
