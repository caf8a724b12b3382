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
	"github.com/backstay-go/backstay/chaos/internal/hangup"
)

// conn is one side of a relay: TCP, or TLS on it.
type conn interface {
	net.Conn
	CloseWrite() error
}

// relay is one connection through the proxy: that of a client, and the one to the upstream
// that was opened for it.
type relay struct {
	proxy            *Proxy
	client, upstream conn
	// What is below them: only TCP can be reset.
	clientTCP, upstreamTCP *net.TCPConn
	up, down               atomic.Int64 // bytes passed
	began                  time.Time
	call                   chaos.Call
	now                    atomic.Pointer[inForce]
	pipes                  atomic.Int32
	broken                 atomic.Bool // a side could not be written to
	done                   chan struct{}
	look                   chan struct{} // has an entry when follow must look again

	mu       sync.Mutex
	reported map[string]bool // rules that listeners know to act on this connection
	trips    map[string]trip // delays that have begun, by rule
	ended    bool
}

// inForce holds the faults of a connection at one time. changed is closed when they are
// replaced, and outdated is closed as soon as the injector has another plan.
type inForce struct {
	forces   []force
	changed  chan struct{}
	outdated <-chan struct{}
}

// trip is the beginning of the delay after which a fault ends the connection.
type trip struct {
	begins time.Duration // of the fault's window
	at     time.Time
}

func newRelay(p *Proxy, client *net.TCPConn) *relay {
	r := &relay{
		proxy: p, client: client, clientTCP: client, began: time.Now(),
		call:     chaos.Call{Dependency: p.cfg.Dependency, Node: p.cfg.Node, Protocol: chaos.TCP},
		reported: map[string]bool{}, trips: map[string]trip{}, done: make(chan struct{}), look: make(chan struct{}, 1),
	}
	r.now.Store(&inForce{changed: make(chan struct{})})
	return r
}

// trip begins the delay after which a fault ends the connection, unless it has begun.
func (r *relay) trip(f chaos.Fault) {
	r.mu.Lock()
	t, begun := r.trips[f.Rule]
	begun = begun && t.begins == f.Begins
	if !begun {
		r.trips[f.Rule] = trip{f.Begins, time.Now()}
	}
	r.mu.Unlock()
	if begun {
		return
	}
	r.report(f)
	select {
	case r.look <- struct{}{}:
	default: // An entry is there already, so follow will look again.
	}
}

// tripped reports whether the delay of a fault has begun.
func (r *relay) tripped(f chaos.Fault) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, begun := r.trips[f.Rule]
	return begun && t.begins == f.Begins
}

// sinceTrip returns how long ago the delay of a fault began.
func (r *relay) sinceTrip(f chaos.Fault) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.trips[f.Rule].at)
}

// report passes a fault to the listeners, once per connection and rule.
func (r *relay) report(f chaos.Fault) {
	r.mu.Lock()
	before := r.reported[f.Rule]
	r.reported[f.Rule] = true
	r.mu.Unlock()
	if !before {
		r.proxy.cfg.Injector.Report(r.proxy.ctx, r.call, f)
	}
}

// abort closes the connection at once: with a reset, or as if both sides had ended.
func (r *relay) abort(reset bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.ended = true
	close(r.done)
	hangup.All(reset, r.clientTCP, r.upstreamTCP)
}

// over reports whether the connection was closed.
func (r *relay) over() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// connect makes both sides ready: a handshake with the client, the connection to the
// upstream, and a handshake there.
func (r *relay) connect() error {
	cfg := &r.proxy.cfg
	ctx, cancel := context.WithTimeout(r.proxy.ctx, cfg.DialTimeout)
	defer cancel()
	if cfg.TLS != nil {
		secure := tls.Server(r.clientTCP, cfg.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("the client's TLS handshake failed: %w", err)
		}
		r.client = secure
	}
	up, err := (&net.Dialer{}).DialContext(ctx, "tcp", cfg.Upstream)
	if err != nil {
		return fmt.Errorf("cannot reach the upstream: %w", err)
	}
	tcp := up.(*net.TCPConn)
	if !r.open(tcp) {
		return errEnded
	}
	r.upstream = tcp
	if cfg.UpstreamTLS != nil {
		theirs := cfg.UpstreamTLS
		if theirs.ServerName == "" {
			theirs = theirs.Clone()
			theirs.ServerName, _, _ = net.SplitHostPort(cfg.Upstream)
		}
		secure := tls.Client(tcp, theirs)
		if err := secure.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("the TLS handshake with the upstream failed: %w", err)
		}
		r.upstream = secure
	}
	return nil
}

var errEnded = errors.New("the proxy was closed")

// open adds the upstream's side. It returns false if the relay has ended.
func (r *relay) open(up *net.TCPConn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		_ = up.Close()
		return false
	}
	r.upstreamTCP = up
	r.pipes.Store(2)
	return true
}
