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

// The defaults of a ServerConfig, and what it does not leave to choose.
const (
	defaultLinger        = 500 * time.Millisecond
	defaultLimit         = 10 * time.Second
	defaultHeaderTimeout = 5 * time.Second
	defaultIdleTimeout   = 2 * time.Minute
	// silence is how long a new connection may bring nothing while no more are taken.
	// The standard server waits for 5 s.
	silence = 500 * time.Millisecond
	// reply is how long callers on HTTP/2 have to answer a goodbye.
	reply = 5 * time.Second
	// goodbye is how long handlers have to end once their context has.
	goodbye = 500 * time.Millisecond
)

// ServerConfig says what a Server serves and how it ends.
type ServerConfig struct {
	// HTTP is the server as net/http has it; its Handler is required. NewServer takes it
	// over: nobody changes or serves it after. With a TLSConfig it serves TLS. Zero
	// ReadHeaderTimeout and IdleTimeout become 5 s and 2 min.
	HTTP *http.Server
	// Notice is how long the server goes on as before once it is not ready, so that
	// balancers look elsewhere: longer than the time between two of their looks.
	// Default: 0, for those that are told.
	Notice time.Duration
	// Linger is how long answers then close their connections, so that callers do not
	// send on them while they are closed: longer than most callers pause. Callers on
	// HTTP/2 are told once they pause, at its end at the latest, and lose nothing whatever
	// this is; but for Go's own client that begins a request in the moment in which it is
	// told, with a body that it can't get again (Request.GetBody is nil). Default: 500 ms;
	// a negative value means no time.
	Linger time.Duration
	// Limit is how long the requests that were begun may then take, before their
	// contexts end, and half a second later their connections. Default: 10 s.
	Limit time.Duration
	_     struct{}
}

// Server is an HTTP server that ends without losing a request. It is safe for
// concurrent use. Its zero value is not of use. It serves once.
//
//	serving ──Run's context ends──▶ not ready (Notice) ──▶ answers close (Linger) ──▶
//	no connection is taken, silent ones are closed ──▶ requests end (Limit) ──▶
//	contexts end, connections that were taken over are closed ──▶ ended
type Server struct {
	cfg  ServerConfig
	http *http.Server
	// ran: Run was called. draining: it is not ready. closing: answers close their
	// connections.
	ran, draining, closing atomic.Bool
	// running is the number of handlers that run.
	running atomic.Int64
	// closed is done once Close was called.
	closed    chan struct{}
	closeOnce sync.Once
	conns     conns
}

// NewServer checks the configuration. The error names every problem.
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

// Draining reports whether the server is about to end. A readiness check answers "not
// ready" from then on; the server itself goes on to answer.
func (s *Server) Draining() bool { return s.draining.Load() }

// watched is the handler, with its answers closing their connections near the end.
func (s *Server) watched(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.running.Add(1)
		defer s.running.Add(-1)
		w := &writer{ResponseWriter: rw, before: s.closes}
		if r.ProtoMajor == 2 {
			w.before = nil // goodbye is said between the frames
		}
		next.ServeHTTP(w.watch(r), r)
		w.finish()
	})
}

// closes makes an answer close its connection once answers do.
func (s *Server) closes(h http.Header) {
	if s.closing.Load() {
		h.Set("Connection", "close")
	}
}

// Run serves the listener until the context ends, then drains. It returns when all
// connections and handlers have ended: nil if every request that was begun was
// answered. The listener is closed in any case.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	if !s.ran.CompareAndSwap(false, true) {
		return errors.Join(errors.New("server: Run was called before: make a new Server"), l.Close())
	}
	requests, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(ErrDraining)
	base := s.http.BaseContext
	s.http.BaseContext = func(l net.Listener) context.Context {
		// The standard server has set up HTTP/2, and has taken no connection yet.
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

// Close ends a server at once: what was begun is cut off, which Run reports.
func (s *Server) Close() error {
	s.closeOnce.Do(func() { close(s.closed) })
	return nil
}
