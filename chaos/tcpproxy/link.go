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
)

// active is the faults of a connection at one time; changed is closed when there
// are others.
type active struct {
	faults  []chaos.Fault
	changed chan struct{}
}

// conn is one side of a link: TCP, or TLS on it.
type conn interface {
	net.Conn
	CloseWrite() error
}

// link is one connection through the proxy.
type link struct {
	proxy            *Proxy
	client, upstream conn
	// What is below them: only TCP can be reset.
	clientTCP, upstreamTCP *net.TCPConn
	up, down               atomic.Int64 // bytes passed
	began                  time.Time
	call                   chaos.Call
	now                    atomic.Pointer[active]
	pipes                  atomic.Int32
	done                   chan struct{}
	holes                  map[string]time.Time // blackholes by rule, since when

	mu    sync.Mutex
	told  map[string]bool
	ended bool
}

// tell says once a connection and rule that the fault is applied.
func (l *link) tell(f chaos.Fault) {
	l.mu.Lock()
	before := l.told[f.Rule]
	l.told[f.Rule] = true
	l.mu.Unlock()
	if !before {
		l.proxy.cfg.Injector.Injected(l.proxy.ctx, l.call, f)
	}
}

// abort closes the connection at once: with a reset, or as if both sides had ended.
func (l *link) abort(reset bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.ended = true
	close(l.done)
	for _, c := range []*net.TCPConn{l.clientTCP, l.upstreamTCP} {
		if c == nil {
			continue
		}
		// Errors mean that the connection is gone already, which is what is wanted.
		if reset {
			_ = c.SetLinger(0)
		}
		_ = c.Close()
	}
}

// connect makes both sides ready: a handshake with the client, the connection to the
// upstream, and a handshake there.
func (l *link) connect() error {
	cfg := &l.proxy.cfg
	ctx, cancel := context.WithTimeout(l.proxy.ctx, cfg.DialTimeout)
	defer cancel()
	if cfg.TLS != nil {
		secure := tls.Server(l.clientTCP, cfg.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("the client's TLS handshake failed: %w", err)
		}
		l.client = secure
	}
	up, err := (&net.Dialer{}).DialContext(ctx, "tcp", cfg.Upstream)
	if err != nil {
		return fmt.Errorf("cannot reach the upstream: %w", err)
	}
	tcp := up.(*net.TCPConn)
	if !l.open(tcp) {
		return errEnded
	}
	l.upstream = tcp
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
		l.upstream = secure
	}
	return nil
}

var errEnded = errors.New("the proxy was closed")

// open adds the upstream's side; false means that the link has ended.
func (l *link) open(up *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		_ = up.Close()
		return false
	}
	l.upstreamTCP = up
	l.pipes.Store(2)
	return true
}

// admit applies what happens before a connection is made; false means that there
// will be none.
func (l *link) admit(faults []chaos.Fault) bool {
	for _, f := range faults {
		switch f.What.Kind {
		case chaos.Refuse, chaos.Down:
			l.tell(f)
			l.abort(true)
			return false
		case chaos.SlowAccept:
			l.tell(f)
			if err := l.proxy.cfg.Injector.Sleep(l.proxy.ctx, f, f.Delay); err != nil {
				return false
			}
		}
	}
	return true
}

// follow keeps the active faults up to date until the link ends.
func (l *link) follow(followed *chaos.Followed) {
	injector := l.proxy.cfg.Injector
	for {
		next, changed := injector.Next()
		faults := followed.Faults(l.proxy.ctx)
		faults, soonest := l.due(faults)
		if !l.set(faults) {
			return
		}
		if soonest > 0 && (next == 0 || soonest < next) {
			next = soonest
		}
		var wake <-chan time.Time
		var timer *time.Timer
		if next > 0 {
			timer = time.NewTimer(next)
			wake = timer.C
		}
		select {
		case <-l.done:
		case <-changed:
		case <-wake:
		}
		if timer != nil {
			timer.Stop()
		}
		select {
		case <-l.done:
			return
		default:
		}
	}
}

// due leaves out what waits for the connection's age, and says when the next is due.
func (l *link) due(faults []chaos.Fault) (now []chaos.Fault, soonest time.Duration) {
	age, in := time.Since(l.began), map[string]bool{}
	for _, f := range faults {
		after := f.What.AfterUptime
		if f.What.Kind == chaos.Reset {
			after += f.Delay
		}
		if wait := after - age; wait > 0 {
			if soonest == 0 || wait < soonest {
				soonest = wait
			}
			continue
		}
		if f.What.Kind == chaos.Blackhole {
			in[f.Rule] = true
			if l.holes[f.Rule].IsZero() {
				l.holes[f.Rule] = time.Now()
			}
			// A blackhole with a delay closes the connection after it.
			if wait := f.What.Delay - time.Since(l.holes[f.Rule]); f.What.Delay > 0 && wait <= 0 {
				f.What.Kind, f.What.AfterBytes = chaos.Drop, 0
			} else if f.What.Delay > 0 && (soonest == 0 || wait < soonest) {
				soonest = wait
			}
		}
		now = append(now, f)
	}
	for rule := range l.holes {
		if !in[rule] && l.proxy.cfg.EndSwallowed {
			l.abort(false)
		}
	}
	return now, soonest
}

// set makes faults the active ones and applies those that end a connection; false
// means that it did.
func (l *link) set(faults []chaos.Fault) bool {
	for _, f := range faults {
		if f.What.AfterBytes > 0 {
			continue
		}
		switch f.What.Kind {
		case chaos.Reset, chaos.Down:
			l.tell(f)
			l.abort(true)
			return false
		case chaos.Drop:
			l.tell(f)
			l.abort(false)
			return false
		}
	}
	old := l.now.Swap(&active{faults: faults, changed: make(chan struct{})})
	close(old.changed)
	return true
}
