package tcpproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/internal/accept"
)

// Config configures a proxy.
type Config struct {
	// Dependency and Node name the upstream in rules. Dependency is required.
	Dependency, Node string
	// Listen is the host:port to listen on. Default: 127.0.0.1:0, a free port.
	Listen string
	// Upstream is the host:port that connections go to. Required. Nothing need listen there
	// at the start; a connection that can't reach it is accepted and closed.
	Upstream string
	// Injector decides which faults happen. Nil: none.
	Injector *chaos.Injector
	// TLS, if set, is spoken with clients; it needs a certificate. Nil: bytes pass
	// unchanged, so that a client's TLS ends at the upstream.
	TLS *tls.Config
	// UpstreamTLS, if set, is spoken with the upstream. Without a ServerName in it the
	// host of Upstream must match the certificate.
	UpstreamTLS *tls.Config
	// DialTimeout bounds the time for the connection to the upstream and the handshakes.
	// Default: 5 s.
	DialTimeout time.Duration
	// OnError is called for connections that could not reach the upstream, or failed a
	// handshake, and when the proxy cannot accept. It is called on the connection's
	// goroutine, with no lock held; calls overlap. A panic in it ends the process. Optional.
	OnError func(error)
	// EndSwallowed closes a connection when a blackhole on it ends, because the bytes that
	// it swallowed are missing from the stream. Default: the connection goes on.
	EndSwallowed bool
	_            struct{}
}

// Check returns every problem at once.
func (c Config) Check() error {
	var errs []error
	if c.Dependency == "" {
		errs = append(errs, errors.New("tcpproxy: Dependency is empty: name the upstream as rules do"))
	}
	if _, _, err := net.SplitHostPort(c.Upstream); err != nil {
		errs = append(errs, fmt.Errorf("tcpproxy: Upstream is %q: give host:port", c.Upstream))
	}
	if t := c.TLS; t != nil && len(t.Certificates) == 0 && t.GetCertificate == nil && t.GetConfigForClient == nil {
		errs = append(errs, errors.New("tcpproxy: TLS has no certificate: clients can't be answered; give one"))
	}
	if c.DialTimeout < 0 {
		errs = append(errs, fmt.Errorf("tcpproxy: DialTimeout is %s: give a duration above zero, or 0 for 5 s", c.DialTimeout))
	}
	return errors.Join(errs...)
}

// Stats counts what a proxy has done since its start.
type Stats struct {
	// Accepted counts connections; Open of them are open now, and Failed of them did not
	// reach the upstream or failed a handshake.
	Accepted, Open, Failed int64
	// Up and Down count the bytes that were passed to the upstream and to clients. CameUp and
	// CameDown count the bytes that arrived from clients and from the upstream, including
	// those that a fault swallowed.
	Up, Down, CameUp, CameDown int64
}

// Proxy is a running proxy. It is safe for concurrent use. The caller of Start must close it.
type Proxy struct {
	cfg    Config
	ctx    context.Context
	end    context.CancelFunc
	listen *net.TCPListener
	wg     sync.WaitGroup
	stats  struct{ accepted, open, failed, up, down, cameUp, cameDown atomic.Int64 }

	mu     sync.Mutex
	relays map[*relay]struct{}
}

// Start listens and proxies until Close. The context gives listeners of the
// injector their values; it does not end the proxy.
func Start(ctx context.Context, cfg Config) (*Proxy, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.DialTimeout == 0 {
		cfg.DialTimeout = 5 * time.Second
	}
	if cfg.OnError == nil {
		cfg.OnError = func(error) {}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("tcpproxy: %s: cannot listen on %s: %w; choose a free host:port", cfg.Dependency, cfg.Listen, err)
	}
	p := &Proxy{cfg: cfg, listen: l.(*net.TCPListener), relays: map[*relay]struct{}{}}
	p.ctx, p.end = context.WithCancel(context.WithoutCancel(ctx))
	p.wg.Go(p.accept)
	return p, nil
}

// Addr returns the host:port that clients dial.
func (p *Proxy) Addr() string { return p.listen.Addr().String() }

// Stats returns a copy of the counts.
func (p *Proxy) Stats() Stats {
	s := &p.stats
	return Stats{Accepted: s.accepted.Load(), Open: s.open.Load(), Failed: s.failed.Load(), Up: s.up.Load(), Down: s.down.Load(),
		CameUp: s.cameUp.Load(), CameDown: s.cameDown.Load()}
}

// Close ends the proxy and every connection.
func (p *Proxy) Close() error {
	p.end()
	err := p.listen.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	p.mu.Lock()
	for r := range p.relays {
		r.abort(false)
	}
	p.mu.Unlock()
	p.wg.Wait()
	return err
}

func (p *Proxy) accept() {
	accept.Loop(p.ctx, p.listen, func(err error) {
		p.cfg.OnError(fmt.Errorf("tcpproxy: %s: accept: %w", p.cfg.Dependency, err))
	}, func(c *net.TCPConn) {
		p.stats.accepted.Add(1)
		p.stats.open.Add(1)
		defer p.stats.open.Add(-1)
		p.serve(c)
	})
}

func (p *Proxy) serve(client *net.TCPConn) {
	r := newRelay(p, client)
	p.mu.Lock()
	p.relays[r] = struct{}{}
	p.mu.Unlock()
	defer func() {
		r.abort(false)
		p.mu.Lock()
		delete(p.relays, r)
		p.mu.Unlock()
	}()
	if p.ctx.Err() != nil {
		return
	}
	followed := p.cfg.Injector.Follow(r.call)
	if !r.admit(followed) {
		return
	}
	if err := r.connect(); err != nil {
		p.stats.failed.Add(1)
		p.cfg.OnError(fmt.Errorf("tcpproxy: %s: %w", p.cfg.Dependency, err))
		return
	}
	// This puts the first faults in force before the first byte is read.
	if !r.update(followed, false) {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { r.follow(followed) })
	wg.Go(func() { newPipe(r, r.client, r.upstream, chaos.Upstream).run() })
	wg.Go(func() { newPipe(r, r.upstream, r.client, chaos.Downstream).run() })
	wg.Wait()
}
