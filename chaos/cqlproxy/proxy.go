package cqlproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/internal/accept"
)

// Stats counts what a proxy has done since its start.
type Stats struct {
	// Accepted counts connections; Open of them are open now, and Failed of them did not
	// reach their node.
	Accepted, Open, Failed int64
	// Up and Down are the bytes that were passed to nodes and to clients.
	Up, Down int64
}

// Proxy is a running proxy. It is safe for concurrent use. The caller of Start must close it.
type Proxy struct {
	cfg       Config
	ctx       context.Context
	end       context.CancelFunc
	nodes     []*node
	addresses addresses
	prepared  prepared
	stale     stale
	wg        sync.WaitGroup
	stats     struct{ accepted, open, failed, up, down atomic.Int64 }

	mu     sync.Mutex
	relays map[*relay]struct{}
}

// node is a configured node and its listener.
type node struct {
	Node
	pair
	listener *net.TCPListener
}

// Start listens and proxies until Close. The context bounds the look-up of nodes that
// are given by host name, and gives listeners of the injector their values; it does
// not end the proxy.
func Start(ctx context.Context, cfg Config) (_ *Proxy, err error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	p := &Proxy{cfg: cfg, relays: make(map[*relay]struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.unlisten())
		}
	}()
	for _, n := range cfg.Nodes {
		if n.Listen == "" {
			n.Listen = defaultListen
		}
		advertised, err := n.advertised(ctx)
		if err != nil {
			return nil, err
		}
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", n.Listen)
		if err != nil {
			return nil, fmt.Errorf("cqlproxy: %s, %s: cannot listen on %s: %w; choose a free host:port", cfg.Dependency, n.name(), n.Listen, err)
		}
		own, _ := netip.ParseAddrPort(l.Addr().String())
		both := pair{advertised, netip.AddrPortFrom(own.Addr().Unmap(), own.Port())}
		p.nodes = append(p.nodes, &node{Node: n, pair: both, listener: l.(*net.TCPListener)})
		p.addresses = append(p.addresses, both)
	}
	p.ctx, p.end = context.WithCancel(context.WithoutCancel(ctx))
	for _, n := range p.nodes {
		p.wg.Go(func() { p.accept(n) })
	}
	return p, nil
}

// advertised returns the address under which the cluster knows the node.
func (n Node) advertised(ctx context.Context) (netip.AddrPort, error) {
	text := n.Advertised
	if text == "" {
		text = n.Upstream
	}
	if a, err := netip.ParseAddrPort(text); err == nil {
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return netip.AddrPort{}, err
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("cqlproxy: %s: %w", n.name(), err)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("cqlproxy: %s: %w; give the node's ip:port", n.name(), err)
	}
	return netip.AddrPortFrom(ips[0].Unmap(), uint16(number)), nil
}

// Addrs returns the host:port addresses that drivers dial, in the order of Config.Nodes.
func (p *Proxy) Addrs() []string {
	var addrs []string
	for _, n := range p.nodes {
		addrs = append(addrs, n.listener.Addr().String())
	}
	return addrs
}

// Stats returns a copy of the counts.
func (p *Proxy) Stats() Stats {
	s := &p.stats
	return Stats{Accepted: s.accepted.Load(), Open: s.open.Load(), Failed: s.failed.Load(), Up: s.up.Load(), Down: s.down.Load()}
}

// Close ends the proxy and every connection.
func (p *Proxy) Close() error {
	p.end()
	err := p.unlisten()
	p.mu.Lock()
	for l := range p.relays {
		l.abort(false)
	}
	p.mu.Unlock()
	p.wg.Wait()
	return err
}

func (p *Proxy) unlisten() error {
	var errs []error
	for _, n := range p.nodes {
		if err := n.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (p *Proxy) accept(n *node) {
	accept.Loop(p.ctx, n.listener, func(err error) {
		p.cfg.OnError(fmt.Errorf("cqlproxy: %s, %s: accept: %w", p.cfg.Dependency, n.name(), err))
	}, func(c *net.TCPConn) {
		p.stats.accepted.Add(1)
		p.stats.open.Add(1)
		defer p.stats.open.Add(-1)
		p.serve(n, c)
	})
}

func (p *Proxy) serve(n *node, client *net.TCPConn) {
	l := newRelay(p, n, client)
	p.mu.Lock()
	p.relays[l] = struct{}{}
	p.mu.Unlock()
	defer func() {
		l.abort(false)
		l.wg.Wait()
		p.mu.Lock()
		delete(p.relays, l)
		p.mu.Unlock()
	}()
	if p.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(l.ctx, p.cfg.DialTimeout)
	up, err := (&net.Dialer{}).DialContext(ctx, "tcp", n.Upstream)
	cancel()
	if err != nil {
		p.stats.failed.Add(1)
		l.failed(fmt.Errorf("cannot reach the node: %w", err))
		l.abort(true)
		return
	}
	if !l.open(up.(*net.TCPConn)) {
		return
	}
	l.wg.Go(l.requests)
	l.answers()
}

// call returns the part of a chaos.Call that all requests to a node have in common.
func (p *Proxy) call(n *node) chaos.Call {
	return chaos.Call{Dependency: p.cfg.Dependency, Node: n.name(), Protocol: chaos.CQL}
}
