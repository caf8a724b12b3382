package tcpproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// active is the faults of a connection at one time; changed is closed when there
// are others, and outdated when the plan that they come from is not in force any more.
type active struct {
	faults   []chaos.Fault
	changed  chan struct{}
	outdated <-chan struct{}
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
	swallowing             map[string]bool // rules that are open and swallow
	tripped                chan struct{}   // has an entry when a trigger has tripped

	mu    sync.Mutex
	told  map[string]bool
	since map[string]time.Time // delays that have begun, by rule
	ended bool
}

// trip begins the delay after which a fault ends the connection, unless it has begun.
func (l *link) trip(f chaos.Fault) {
	l.mu.Lock()
	_, begun := l.since[f.Rule]
	if !begun {
		l.since[f.Rule] = time.Now()
	}
	l.mu.Unlock()
	if begun {
		return
	}
	l.tell(f)
	select {
	case l.tripped <- struct{}{}:
	default: // It will look anyway.
	}
}

// delayed says since when a fault's delay runs; false if it has not begun.
func (l *link) delayed(f chaos.Fault) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, begun := l.since[f.Rule]
	return at, begun
}

// forget ends the delays of rules that are not open.
func (l *link) forget(open map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.since, func(rule string, _ time.Time) bool { return !open[rule] })
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
		if !l.set(faults, changed) {
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
		case <-l.tripped:
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

// due leaves out what waits for the connection's age or for its delay, and says when the
// next is due.
func (l *link) due(faults []chaos.Fault) (now []chaos.Fault, soonest time.Duration) {
	age, open, swallowing := time.Since(l.began), map[string]bool{}, map[string]bool{}
	later := func(wait time.Duration) bool {
		if wait > 0 && (soonest == 0 || wait < soonest) {
			soonest = wait
		}
		return wait > 0
	}
	for _, f := range faults {
		if later(f.What.AfterUptime - age) {
			continue
		}
		open[f.Rule] = true
		if f.What.Kind == chaos.Blackhole {
			swallowing[f.Rule] = true
		}
		if f.What.Delay > 0 && (f.What.Kind == chaos.Reset || f.What.Kind == chaos.Blackhole) {
			if !triggered(f) {
				l.trip(f)
			}
			at, begun := l.delayed(f)
			if begun && !later(f.What.Delay-time.Since(at)) {
				f = atOnce(f)
			}
		}
		now = append(now, f)
	}
	l.forget(open)
	for rule := range l.swallowing {
		if !open[rule] && l.proxy.cfg.EndSwallowed {
			l.abort(false)
		}
	}
	l.swallowing = swallowing
	return now, soonest
}

// triggered says that a fault that ends a connection waits for bytes: for a number of
// them, or for the next ones in a direction.
func triggered(f chaos.Fault) bool {
	return f.What.AfterBytes > 0 || f.What.Direction != "" && f.What.Kind != chaos.Blackhole
}

// atOnce is a fault whose delay is over: a reset, or the end of a blackhole.
func atOnce(f chaos.Fault) chaos.Fault {
	if f.What.Kind == chaos.Blackhole {
		f.What.Kind = chaos.Drop
	}
	f.What.AfterBytes, f.What.Direction, f.What.Delay = 0, "", 0
	return f
}

// current is the faults that hold for what is passed on now: once a plan was changed,
// no byte that comes later meets the old one. It waits for follow, which waits for nothing.
func (l *link) current() *active {
	for {
		now := l.now.Load()
		select {
		case <-now.outdated:
		default:
			return now
		}
		select {
		case <-now.changed:
		case <-l.done:
			return now
		}
	}
}

// set makes faults the active ones and applies those that end a connection; false
// means that it did.
func (l *link) set(faults []chaos.Fault, outdated <-chan struct{}) bool {
	for _, f := range faults {
		if triggered(f) || f.What.Kind == chaos.Reset && f.What.Delay > 0 {
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
	old := l.now.Swap(&active{faults: faults, changed: make(chan struct{}), outdated: outdated})
	close(old.changed)
	return true
}
