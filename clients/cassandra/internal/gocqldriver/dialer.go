package gocqldriver

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/gocql/gocql"
)

// dialer opens connections and keeps a handle on each, so that one can be closed
// without the driver's help.
type dialer struct {
	nodes   *driver.Nodes
	at      *addresses
	tls     *tls.Config
	timeout time.Duration
}

// DialHost implements gocql.HostDialer.
func (d *dialer) DialHost(ctx context.Context, host *gocql.HostInfo) (*gocql.DialedHost, error) {
	address := d.at.of(host)
	nd := net.Dialer{Timeout: d.timeout, KeepAlive: 15 * time.Second}
	conn, err := nd.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	tcp := &connection{TCPConn: conn.(*net.TCPConn)}
	tcp.closed = d.nodes.Node(address, host.DataCenter()).Opened(tcp)
	if d.tls == nil {
		return &gocql.DialedHost{Conn: tcp}, nil
	}
	cfg := d.tls.Clone()
	if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
		cfg.ServerName = host.ConnectAddress().String()
	}
	secured := tls.Client(tcp, cfg)
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = tcp.Close() // the handshake's error is the one to tell
		return nil, err
	}
	return &gocql.DialedHost{Conn: secured}, nil
}

// connection tells when it is closed. It embeds the TCP connection, not an
// interface, so that package net still sees its vectored writes: the driver writes
// many requests in one system call.
type connection struct {
	*net.TCPConn
	closed func()
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.closed()
	return c.TCPConn.Close()
}
