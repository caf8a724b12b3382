package server

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// HTTP/2 has a shutdown that loses no stream (RFC 9113, section 6.8). The server first sends
// a GOAWAY with the highest possible stream id, after which the caller starts no more
// streams, and a PING, whose acknowledgement says that the caller has read the GOAWAY. When
// the running streams have ended, it sends a GOAWAY with the id of the last stream. The
// standard server sends only the second one, and drops streams that cross it. So this file
// inserts the first one between its frames.

// preface is what a caller sends first on an HTTP/2 connection.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// The types and flags of frames.
const (
	frameData    = 0
	frameHeaders = 1
	frameReset   = 3
	framePing    = 6
	frameGoAway  = 7
	flagEnd      = 1 // END_STREAM, of DATA and HEADERS
	flagAck      = 1 // of PING
)

// farewell is the first GOAWAY and the PING. pingData is the payload that comes back.
var pingData, farewell = func() (ping, all []byte) {
	ping = []byte("backstay")
	frame := func(kind byte, payload []byte) {
		all = append(all, 0, 0, byte(len(payload)), kind, 0, 0, 0, 0, 0)
		all = append(all, payload...)
	}
	frame(frameGoAway, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 1<<31-1), 0))
	frame(framePing, ping)
	return ping, all
}()

// frames follows one direction of an HTTP/2 connection from frame to frame. The zero value
// is positioned before the first frame.
type frames struct {
	head    [9]byte
	have    int // of the head
	left    int // of the payload
	begin   [8]byte
	began   int // of its beginning
	started bool
}

// between reports whether the position is between two frames.
func (f *frames) between() bool { return f.started && f.have == 0 }

func (f *frames) kind() byte     { return f.head[3] }
func (f *frames) flags() byte    { return f.head[4] }
func (f *frames) stream() uint32 { return binary.BigEndian.Uint32(f.head[5:]) &^ (1 << 31) }

// follow advances over p. It calls seen at the end of each frame.
func (f *frames) follow(p []byte, seen func()) {
	for len(p) > 0 || f.have == len(f.head) && f.left == 0 {
		if f.have < len(f.head) {
			f.started = true
			n := copy(f.head[f.have:], p)
			f.have += n
			p = p[n:]
			if f.have == len(f.head) {
				f.left, f.began = int(f.head[0])<<16|int(f.head[1])<<8|int(f.head[2]), 0
			}
			continue
		}
		n := min(len(p), f.left)
		f.began += copy(f.begin[f.began:], p[:n])
		f.left -= n
		p = p[n:]
		if f.left == 0 {
			f.have = 0
			seen()
		}
	}
}

// heard observes what the caller sent: whether it uses HTTP/2, and whether it has
// acknowledged the GOAWAY. Only the reading goroutine calls it.
func (c *conn) heard(p []byte) {
	if c.other {
		return
	}
	if c.prefaced < len(preface) {
		n := min(len(p), len(preface)-c.prefaced)
		if string(p[:n]) != preface[c.prefaced:c.prefaced+n] {
			c.other = true
			return
		}
		c.prefaced += n
		p = p[n:]
		c.http2.Store(c.prefaced == len(preface))
	}
	c.in.follow(p, c.sawIn)
}

// sawIn is called for each frame from the caller.
func (c *conn) sawIn() {
	switch f := &c.in; {
	case f.kind() == framePing && f.flags()&flagAck != 0 && bytes.Equal(f.begin[:f.began], pingData):
		c.answered.Store(true)
	case f.kind() == frameHeaders:
		c.streams.Lock()
		defer c.streams.Unlock()
		if f.stream() <= c.newest {
			return // trailers
		}
		c.newest = f.stream()
		if c.open == nil {
			c.open = map[uint32]struct{}{}
		}
		c.open[f.stream()] = struct{}{}
	case f.kind() == frameReset:
		c.ended(f.stream())
	}
}

// sawOut is called for each frame from the server.
func (c *conn) sawOut() {
	switch f := &c.out; f.kind() {
	case frameData, frameHeaders:
		if f.flags()&flagEnd != 0 {
			c.ended(f.stream())
		}
	case frameReset:
		c.ended(f.stream())
	}
}

func (c *conn) ended(stream uint32) {
	c.streams.Lock()
	defer c.streams.Unlock()
	delete(c.open, stream)
}

// isQuiet reports whether no stream is open.
func (c *conn) isQuiet() bool {
	c.streams.Lock()
	defer c.streams.Unlock()
	return len(c.open) == 0
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.heard(p[:n])
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if !c.http2.Load() {
		return c.Conn.Write(p)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	n, err := c.Conn.Write(p)
	c.out.follow(p[:n], c.sawOut)
	if err == nil {
		c.sayLocked()
	}
	return n, err
}

// isIdle reports whether no stream is open, and none was started since the last call.
func (c *conn) isIdle() bool {
	c.streams.Lock()
	defer c.streams.Unlock()
	idle := len(c.open) == 0 && c.newest == c.asked
	c.asked = c.newest
	return idle
}

// leave sends the GOAWAY to a caller that uses HTTP/2, as soon as possible. It reports
// whether the connection may be closed: no stream is open, and the caller has acknowledged
// the GOAWAY or has had enough time to.
func (c *conn) leave(now time.Time) bool {
	if !c.http2.Load() {
		return true
	}
	c.leaving.Store(true)
	var said time.Time
	if c.writing.TryLock() { // otherwise the writing goroutine sends it
		c.sayLocked()
		said = c.said
		c.writing.Unlock()
	}
	return (c.answered.Load() || !said.IsZero() && now.Sub(said) > reply) && c.isQuiet()
}

// sayLocked sends the GOAWAY if it is due, and if no frame is being written.
func (c *conn) sayLocked() {
	if !c.said.IsZero() || !c.leaving.Load() || !c.out.between() {
		return
	}
	c.said = time.Now()
	// The standard server sets no write deadline on an HTTP/2 connection.
	_ = c.SetWriteDeadline(c.said.Add(sayTime))
	if _, err := c.Conn.Write(farewell); err != nil {
		_ = c.Close() // a caller that does not even read this has gone
		return
	}
	_ = c.SetWriteDeadline(time.Time{})
}

// sayTime is how long writing a GOAWAY may block.
const sayTime = 100 * time.Millisecond

// leave sends the GOAWAY on all connections, and reports whether all may be closed.
func (c *conns) leave() bool {
	now := time.Now()
	return c.each(func(own *conn) bool { return own.leave(now) })
}

// leaveIdle sends the GOAWAY on the connections that have been idle since its last call. A
// caller that starts a request just as the GOAWAY arrives can start it again elsewhere.
// Go's own client has closed the request's body by then, and fails if it can't get the body
// again (net/http, Go 1.26: "cannot rewind body after connection loss").
func (c *conns) leaveIdle() {
	now := time.Now()
	c.each(func(own *conn) bool { return !own.http2.Load() || !own.isIdle() || own.leave(now) })
}

// haveLeft reports whether callers on HTTP/2 have closed their connections.
func (c *conns) haveLeft() bool {
	return c.each(func(own *conn) bool { return !own.http2.Load() })
}

// each calls f for all connections, and reports whether it returned true for all.
func (c *conns) each(f func(*conn) bool) bool {
	c.mu.Lock()
	all := slices.Collect(maps.Keys(c.all))
	c.mu.Unlock()
	yes := true
	for _, own := range all {
		yes = f(own) && yes
	}
	return yes
}
