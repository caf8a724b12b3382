package gocqldriver

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/gocql/gocql"
)

// redialAfter is how long a node may keep us waiting before a second connection is
// tried beside the first, and so on. A node that was silent and no longer is
// answers the newest at once, and never the older ones.
const redialAfter = 200 * time.Millisecond

// dialer opens connections and keeps a handle on each, so that one can be closed
// without the driver's help.
type dialer struct {
	nodes   *driver.Nodes
	tls     *tls.Config
	timeout time.Duration
}

// DialHost implements gocql.HostDialer. The connection is one on which the node has
// answered.
func (d *dialer) DialHost(ctx context.Context, host *gocql.HostInfo) (*gocql.DialedHost, error) {
	address := addressOf(host)
	conn, err := d.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	conn.tcp.closed = d.nodes.Node(address, host.DataCenter()).Opened(conn.tcp)
	return &gocql.DialedHost{Conn: conn.Conn}, nil
}

// dialed is a connection, and the TCP connection below it.
type dialed struct {
	net.Conn
	tcp *connection
}

// dial connects within the timeout: the first of several tries on which the node
// answers. It returns when all have ended.
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
				_ = r.conn.Close() // another was faster
			}
		}
	}
	if won != nil {
		return won, nil
	}
	return nil, first
}

// try opens one connection and greets the node.
func (d *dialer) try(ctx context.Context, address string) (*dialed, error) {
	nd := net.Dialer{KeepAlive: 15 * time.Second}
	raw, err := nd.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	tcp := &connection{TCPConn: raw.(*net.TCPConn)}
	conn := &dialed{Conn: tcp, tcp: tcp}
	// What follows ends with the context.
	stop := context.AfterFunc(ctx, func() { _ = tcp.Close() })
	if d.tls != nil {
		secured := tls.Client(tcp, d.tlsFor(address))
		conn.Conn, err = secured, secured.HandshakeContext(ctx)
	}
	if err == nil {
		err = greet(conn)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = tcp.Close() // the error is the one to tell
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
	// maxGreeting is more than any node answers to OPTIONS.
	maxGreeting = 64 << 10
)

// options is an OPTIONS frame of protocol version 4, on stream 0.
var options = []byte{0x04, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00}

var errNotCQL = errors.New("what answers there does not speak Cassandra's native protocol")

// greet asks the node for its options and drops the answer, whatever it says: that
// it says anything is what we want to know.
func greet(conn io.ReadWriter) error {
	if _, err := conn.Write(options); err != nil {
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
	_, err := io.CopyN(io.Discard, conn, int64(length))
	return err
}

// Answers returns the address of a contact point that speaks to us, "" if none does.
func Answers(ctx context.Context, c driver.Config, tlsConfig *tls.Config) (address string) {
	d := &dialer{tls: tlsConfig, timeout: c.ConnectTimeout}
	for _, host := range c.Hosts {
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(host, strconv.Itoa(c.Port))
		}
		if conn, err := d.dial(ctx, host); err == nil {
			_ = conn.Close() // it was opened to see that it can be
			return conn.tcp.RemoteAddr().String()
		}
	}
	return ""
}

// connection tells when it is closed, and whether it is silent. It embeds the TCP
// connection, not an interface, so that package net still sees its vectored writes: the
// driver writes many requests in one system call.
type connection struct {
	*net.TCPConn
	closed func()
	// owed is since when something was written and nothing read, in ns since 1970; zero:
	// nothing is.
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

// SetWriteDeadline implements net.Conn. The driver calls it before each write, and is not
// to be seen writing otherwise: a vectored write goes past Write.
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
