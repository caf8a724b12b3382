package gocqldriver

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/gocql/gocql"
)

// redialAfter is how long a node may take before a second connection is tried in
// parallel to the first, and so on. A node that was silent and has recovered answers
// the newest connection at once, and may never answer the older ones.
const redialAfter = 200 * time.Millisecond

// dialer opens connections and keeps a handle on each, so that the client can close one
// without the driver.
type dialer struct {
	nodes    *driver.Nodes
	tls      *tls.Config
	timeout  time.Duration
	connects *connects
	// life ends with the session. No connection is opened after its end.
	life context.Context
	end  context.CancelFunc

	mu sync.Mutex
	// connecting ends the driver's attempt to connect, because the driver does not use
	// the caller's context for that; nil once the attempt has ended. stops holds what
	// waits for its end.
	connecting context.Context
	stops      []func() bool
}

// newDialer returns the dialer of a session that connects within ctx.
func newDialer(ctx context.Context, c driver.Config, secured *tls.Config, cs *connects) *dialer {
	d := &dialer{nodes: c.Nodes, tls: secured, timeout: c.ConnectTimeout, connects: cs, connecting: ctx}
	d.life, d.end = context.WithCancel(context.WithoutCancel(ctx))
	return d
}

// connected releases the context that was passed to Connect.
func (d *dialer) connected() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, stop := range d.stops {
		stop()
	}
	d.connecting, d.stops = nil, nil
}

// within binds a dial to the session's life and, while Connect runs, to the context that
// was passed to Connect.
func (d *dialer) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	ended := context.AfterFunc(d.life, stop)
	cancel := func() {
		ended()
		stop()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.connecting != nil {
		d.stops = append(d.stops, context.AfterFunc(d.connecting, stop))
	}
	return ctx, cancel
}

// binds closes a connection when the context that was passed to Connect ends, while
// Connect runs.
func (d *dialer) binds(conn *dialed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.connecting != nil {
		d.stops = append(d.stops, context.AfterFunc(d.connecting, func() { _ = conn.tcp.Close() }))
	}
}

// DialHost implements gocql.HostDialer. The connection is one on which the node has
// answered.
func (d *dialer) DialHost(ctx context.Context, host *gocql.HostInfo) (*gocql.DialedHost, error) {
	address := addressOf(host)
	if err := d.connects.mayDial(address); err != nil {
		return nil, err
	}
	ctx, cancel := d.within(ctx)
	defer cancel()
	conn, err := d.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	d.binds(conn)
	conn.tcp.closed = d.nodes.Node(address, host.DataCenter()).Opened(conn.tcp)
	if d.life.Err() != nil {
		_ = conn.tcp.Close() // the session ended meanwhile
		return nil, gocql.ErrSessionClosed
	}
	return &gocql.DialedHost{Conn: conn.Conn}, nil
}

// dialed is a connection, and the TCP connection below it.
type dialed struct {
	net.Conn
	tcp     *connection
	version byte // protocol version
}

// dial connects within the timeout. It returns the first of several tries on which the
// node answers, after all tries have ended.
func (d *dialer) dial(ctx context.Context, address string) (*dialed, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	type result struct {
		conn *dialed
		err  error
	}
	results := make(chan result)
	running := 0
	try := func() {
		running++
		go func() {
			conn, err := d.try(ctx, address)
			results <- result{conn, err}
		}()
	}
	try()
	again := time.NewTicker(redialAfter)
	defer again.Stop()
	var won *dialed
	var first error
	for running > 0 {
		select {
		case <-again.C:
			if won == nil && first == nil && ctx.Err() == nil {
				try()
			}
		case r := <-results:
			running--
			switch {
			case r.err != nil:
				if first == nil {
					first = r.err
				}
			case won == nil:
				won = r.conn
				cancel()
			default:
				_ = r.conn.Close() // another try was faster
			}
		}
	}
	if won != nil {
		return won, nil
	}
	return nil, first
}

// try opens one connection and greets the node. If the node is old, it greets the node
// again with the node's protocol version.
func (d *dialer) try(ctx context.Context, address string) (*dialed, error) {
	conn, err := d.open(ctx, address, newestVersion)
	if errors.Is(err, errOldVersion) {
		conn, err = d.open(ctx, address, oldestVersion)
	}
	return conn, err
}

func (d *dialer) open(ctx context.Context, address string, version byte) (*dialed, error) {
	nd := net.Dialer{KeepAlive: 15 * time.Second}
	raw, err := nd.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	tcp := &connection{TCPConn: raw.(*net.TCPConn)}
	conn := &dialed{Conn: tcp, tcp: tcp, version: version}
	// The steps below end with the context.
	stop := context.AfterFunc(ctx, func() { _ = tcp.Close() })
	if d.tls != nil {
		secured := tls.Client(tcp, d.tlsFor(address))
		conn.Conn, err = secured, secured.HandshakeContext(ctx)
	}
	if err == nil {
		err = greet(conn, version)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = tcp.Close() // the first error is the one to report
		if ctx.Err() != nil {
			err = fmt.Errorf("%s does not answer: %w", address, ctx.Err())
		}
		return nil, err
	}
	return conn, nil
}

func (d *dialer) tlsFor(address string) *tls.Config {
	cfg := d.tls.Clone()
	if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
		// An address without a port has no other use here.
		cfg.ServerName, _, _ = net.SplitHostPort(address)
	}
	return cfg
}

const (
	headerBytes = 9
	// maxGreeting is more than any node sends in answer to OPTIONS.
	maxGreeting = 64 << 10
)

// The versions of the protocol that the driver uses with current nodes, and with nodes
// before Cassandra 2.2.
const (
	newestVersion = 4
	oldestVersion = 3
)

var (
	errNotCQL     = errors.New("what answers there does not speak Cassandra's native protocol")
	errOldVersion = errors.New("the node speaks an older version of the protocol")
)

// greet asks the node for its options and drops the answer: only the fact that the node
// answers matters. An old node answers in its own version and closes the connection.
func greet(conn io.ReadWriter, version byte) error {
	const optionsCode, errorCode = 0x05, 0x00
	if _, err := conn.Write([]byte{version, 0, 0, 0, optionsCode, 0, 0, 0, 0}); err != nil {
		return err
	}
	var header [headerBytes]byte
	if _, err := io.ReadFull(conn, header[:]); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(header[5:])
	if header[0]&0x80 == 0 || length > maxGreeting {
		return errNotCQL
	}
	if header[4] == errorCode && header[0]&0x7f < version {
		return errOldVersion
	}
	_, err := io.CopyN(io.Discard, conn, int64(length))
	return err
}

// connection reports when it is closed, and whether it is silent. It embeds the TCP
// connection itself and not an interface, so that package net recognizes it and sends
// many requests of the driver in one system call.
type connection struct {
	*net.TCPConn
	closed func()
	// owed is since when data was written and nothing was read, in ns since 1970; zero
	// if nothing is owed.
	owed atomic.Int64
}

// Read implements net.Conn.
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if n > 0 && c.owed.Load() != 0 {
		c.owed.Store(0)
	}
	return n, err
}

// SetWriteDeadline implements net.Conn. The driver calls it before each write, and
// writes can't be observed in another way, because a vectored write bypasses Write.
func (c *connection) SetWriteDeadline(t time.Time) error {
	if c.owed.Load() == 0 {
		c.owed.CompareAndSwap(0, time.Now().UnixNano())
	}
	return c.TCPConn.SetWriteDeadline(t)
}

// Unanswered implements driver.Conn.
func (c *connection) Unanswered() time.Time {
	if owed := c.owed.Load(); owed != 0 {
		return time.Unix(0, owed)
	}
	return time.Time{}
}

// Close implements net.Conn.
func (c *connection) Close() error {
	if c.closed != nil {
		c.closed()
	}
	return c.TCPConn.Close()
}
