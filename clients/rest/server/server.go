package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// The defaults of a ServerConfig, and fixed times.
const (
	defaultLinger        = 500 * time.Millisecond
	defaultLimit         = 10 * time.Second
	defaultHeaderTimeout = 5 * time.Second
	defaultIdleTimeout   = 2 * time.Minute
	// silence is how long a new connection may send nothing once no more are accepted. The
	// standard server waits for 5 s.
	silence = 500 * time.Millisecond
	// reply is how long callers on HTTP/2 have to acknowledge a GOAWAY.
	reply = 5 * time.Second
	// goodbye is how long handlers have to return once their context has ended.
	goodbye = 500 * time.Millisecond
)

// ServerConfig says what a Server serves and how it shuts down.
type ServerConfig struct {
	// HTTP is the underlying server. Its Handler is required. NewServer takes ownership: do
	// not change it or call its methods afterwards. With a TLSConfig it serves TLS. A zero
	// ReadHeaderTimeout becomes 5 s, a zero IdleTimeout 2 min.
	HTTP *http.Server
	// Notice is how long the server continues as before after Draining has become true, so
	// that load balancers notice. Make it longer than the interval of their health checks.
	// Default: 0, for balancers that are informed in another way.
	Notice time.Duration
	// Linger is how long responses then close their connections, so that callers do not
	// send on a connection that is being closed. Make it longer than most callers pause
	// between requests. Callers on HTTP/2 get a GOAWAY when they pause, at the end of Linger
	// at the latest, and lose no request. One case remains: Go's own client, when it starts
	// a request just as it receives GOAWAY, fails if it can't get the body again
	// (Request.GetBody is nil). Default: 500 ms; negative: no time.
	Linger time.Duration
	// Limit is how long running requests may then take. After that their contexts end, and
	// half a second later their connections are closed. Default: 10 s.
	Limit time.Duration
	_     struct{}
}

// Server is an HTTP server that shuts down without losing a request. It is safe for
// concurrent use. It serves once. The zero value is not usable.
//
//	serving ──Run's context ends──▶ not ready (Notice) ──▶ answers close (Linger) ──▶
//	no connection is taken, silent ones are closed ──▶ requests end (Limit) ──▶
//	contexts end, connections that were taken over are closed ──▶ ended
type Server struct {
	cfg  ServerConfig
	http *http.Server
	// ran: Run was called. draining: the server is not ready. closing: responses close their
	// connections.
	ran, draining, closing atomic.Bool
	// running is the number of handlers that run.
	running atomic.Int64
	// closed is closed by Close.
	closed    chan struct{}
	closeOnce sync.Once
	conns     conns
}

// NewServer checks the configuration. The error lists every problem.
func NewServer(cfg ServerConfig) (*Server, error) {
	var errs []error
	if cfg.HTTP == nil || cfg.HTTP.Handler == nil {
		errs = append(errs, errors.New("server: HTTP.Handler is nil: give the handler"))
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"Notice", cfg.Notice}, {"Limit", cfg.Limit}} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("server: %s is %v: give a duration of zero or more", d.field, d.value))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Linger == 0 {
		cfg.Linger = defaultLinger
	}
	if cfg.Limit == 0 {
		cfg.Limit = defaultLimit
	}
	s := &Server{cfg: cfg, http: cfg.HTTP, closed: make(chan struct{})}
	if s.http.ReadHeaderTimeout == 0 {
		s.http.ReadHeaderTimeout = defaultHeaderTimeout
	}
	if s.http.IdleTimeout == 0 {
		s.http.IdleTimeout = defaultIdleTimeout
	}
	s.http.Handler = s.watched(s.http.Handler)
	s.http.ConnState = s.conns.hook(s.http.ConnState)
	return s, nil
}

// Draining reports whether the server is shutting down. A readiness check should fail from
// then on. The server still answers requests.
func (s *Server) Draining() bool { return s.draining.Load() }

// watched wraps the handler so that responses close their connections during the shutdown.
func (s *Server) watched(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.running.Add(1)
		defer s.running.Add(-1)
		w := &writer{ResponseWriter: rw, before: s.closes}
		if r.ProtoMajor == 2 {
			w.before = nil // GOAWAY is sent between the frames
		}
		next.ServeHTTP(w.watch(r), r)
		w.finish()
	})
}

// closes makes a response close its connection while closing is set.
func (s *Server) closes(h http.Header) {
	if s.closing.Load() {
		h.Set("Connection", "close")
	}
}

// Run serves the listener until the context ends, then drains. It returns when all
// connections and handlers have ended, with nil if every request was answered. It closes
// the listener in any case.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	if !s.ran.CompareAndSwap(false, true) {
		return errors.Join(errors.New("server: Run was called before: make a new Server"), l.Close())
	}
	requests, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(ErrDraining)
	base := s.http.BaseContext
	s.http.BaseContext = func(l net.Listener) context.Context {
		// The standard server has set up HTTP/2, and has not accepted a connection yet.
		s.conns.unwrap(s.http.TLSNextProto)
		if base == nil {
			return requests
		}
		own, cancel := context.WithCancelCause(base(l))
		context.AfterFunc(requests, func() { cancel(context.Cause(requests)) })
		return own
	}
	listener := &listener{Listener: l, conns: &s.conns}
	served := make(chan error, 1)
	go func() {
		if s.http.TLSConfig != nil {
			served <- s.http.ServeTLS(listener, "", "")
		} else {
			served <- s.http.Serve(listener)
		}
	}()
	select {
	case err := <-served:
		s.draining.Store(true)
		return errors.Join(fmt.Errorf("server: it stopped serving: %w", err), s.cut(end))
	case <-ctx.Done():
	case <-s.closed:
	}
	return s.drain(context.WithoutCancel(ctx), listener, served, end)
}

// Close ends the server at once. Running requests are cut off, which Run reports as an error.
func (s *Server) Close() error {
	s.closeOnce.Do(func() { close(s.closed) })
	return nil
}
