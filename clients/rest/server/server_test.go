package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/rest/server"
)

func TestServerConfigNamesEveryProblem(t *testing.T) {
	for _, c := range []struct {
		cfg  server.ServerConfig
		want []string
	}{
		{server.ServerConfig{}, []string{"Handler"}},
		{server.ServerConfig{HTTP: &http.Server{}, Notice: -1, Limit: -1}, []string{"Handler", "Notice", "Limit"}},
	} {
		_, err := server.NewServer(c.cfg)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	}
}

// TestTheLimitEndsContexts: the standard server's Shutdown does not. Requests that run
// end, requests that wait are refused, and the error says so.
func TestTheLimitEndsContexts(t *testing.T) {
	protocols(t, func(t *testing.T, p *http.Protocols) {
		g := guard(t, limits(1, 10))
		began, cause := make(chan struct{}), make(chan error, 1)
		h := handler(t, g, func(w http.ResponseWriter, r *http.Request) {
			close(began)
			<-r.Context().Done()
			cause <- context.Cause(r.Context())
		})
		s := run(t, h, p, func(c *server.ServerConfig) { c.Linger, c.Limit = -1, 300*time.Millisecond })
		tr := transport(p)
		defer tr.CloseIdleConnections()
		at := &site{client: &http.Client{Transport: tr}}
		running := at.do(request(t, t.Context(), "POST", s.url, "x"))
		receive(t, "one runs", began)
		waiting := at.do(request(t, t.Context(), "POST", s.url, "x"))
		wait(t, "one waits", func() bool { return g.Snapshot().Waiting == 1 })
		s.stop()
		if err := receive(t, "its context ends", cause); !errors.Is(err, server.ErrDraining) || !errors.Is(err, context.Canceled) {
			t.Errorf("cause: %v", err)
		}
		if resp := receive(t, "the waiting one is refused", waiting); resp == nil || resp.StatusCode != 503 || resp.Header.Get("Backstay-Refused") != "draining" {
			t.Errorf("waiting: %v", resp)
		}
		if resp := receive(t, "the running one is answered", running); resp == nil || resp.StatusCode != 503 || resp.Header.Get("Backstay-Refused") != "" {
			t.Errorf("running: %v", resp)
		}
		if err := receive(t, "it ends", s.end); err == nil || !strings.Contains(err.Error(), "cut off after 300ms") {
			t.Errorf("error: %v", err)
		}
	})
}

// TestStubbornHandlers are named in the error; Run does not wait for them for ever.
func TestStubbornHandlers(t *testing.T) {
	b := newBlock()
	s := run(t, b, protocol("http1"), func(c *server.ServerConfig) { c.Linger, c.Limit = -1, 10*time.Millisecond })
	at := &site{client: &http.Client{Transport: &http.Transport{}}}
	done := at.do(request(t, t.Context(), "GET", s.url, ""))
	receive(t, "it runs", b.began)
	s.stop()
	if err := receive(t, "it ends", s.end); err == nil || !strings.Contains(err.Error(), "1 handlers go on") {
		t.Errorf("error: %v", err)
	}
	if resp := receive(t, "the connection is cut", done); resp != nil {
		t.Error(resp.Status)
	}
	close(b.release)
}

// TestTakenOverConnectionsAreClosed: the standard server's Shutdown does not wait for
// them, nor close them.
func TestTakenOverConnectionsAreClosed(t *testing.T) {
	for _, how := range []string{"handler heeds its context", "handler ended", "handler heeds nothing"} {
		t.Run(how, func(t *testing.T) {
			done := make(chan error, 1)
			h := map[string]http.HandlerFunc{
				"handler heeds its context": echo(t, done),
				"handler heeds nothing": func(w http.ResponseWriter, r *http.Request) {
					echo(t, done)(w, r.WithContext(context.WithoutCancel(r.Context())))
				},
				"handler ended": func(w http.ResponseWriter, r *http.Request) {
					conn, buf, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					go func() {
						_, _ = io.WriteString(conn, switching)
						_, err := io.Copy(conn, buf)
						_ = conn.Close()
						done <- err
					}()
				},
			}[how]
			s := run(t, h, protocol("http1"), func(c *server.ServerConfig) { c.Linger, c.Limit = -1, time.Minute })
			c, in := upgrade(t, s.addr)
			says(t, c, in)
			s.stop()
			if err := receive(t, "it ends", s.end); err != nil {
				t.Error(err)
			}
			receive(t, "the connection's goroutine ends", done)
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("the connection is open")
			}
		})
	}
}

// TestClosedTakenConnectionsAreForgotten: a server of many short WebSockets must not
// remember them all.
func TestClosedTakenConnectionsAreForgotten(t *testing.T) {
	done := make(chan error, 1)
	s := run(t, echo(t, done), protocol("http1"), func(c *server.ServerConfig) { c.Linger = -1 })
	for range 3 {
		c, in := upgrade(t, s.addr)
		says(t, c, in)
		_ = c.Close()
		receive(t, "it ends", done)
	}
	wait(t, "none is remembered", func() bool { return server.Taken(s.Server) == 0 })
}

func TestClose(t *testing.T) {
	began := make(chan struct{})
	s := run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	}), protocol("http1"), func(c *server.ServerConfig) {
		c.Notice, c.Linger, c.Limit = time.Hour, time.Hour, time.Hour
	})
	at := &site{client: &http.Client{Transport: &http.Transport{}}}
	done := at.do(request(t, t.Context(), "GET", s.url, ""))
	receive(t, "it runs", began)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := receive(t, "it ends", s.end); err == nil || !strings.Contains(err.Error(), "cut off by Close") {
		t.Errorf("error: %v", err)
	}
	receive(t, "the caller knows", done)
}

// broken is a listener that fails.
type broken struct{ net.Listener }

func (broken) Accept() (net.Conn, error) { return nil, errors.New("no more") }

func TestServingEndsByItself(t *testing.T) {
	s, err := server.NewServer(server.ServerConfig{HTTP: &http.Server{Handler: http.NotFoundHandler()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), broken{listen(t)}); err == nil || !strings.Contains(err.Error(), "no more") || !s.Draining() {
		t.Errorf("%v, draining %v", err, s.Draining())
	}
	l := listen(t)
	if err := s.Run(t.Context(), l); err == nil || !strings.Contains(err.Error(), "before") {
		t.Errorf("a second run: %v", err)
	}
	if c, err := l.Accept(); err == nil {
		_ = c.Close()
		t.Error("the listener is open")
	}
}

// TestTLS: HTTP/2 over TLS, the user's own hooks kept, drained while a request runs.
func TestTLS(t *testing.T) {
	type key struct{}
	began, release := make(chan struct{}), make(chan struct{})
	states := make(chan http.ConnState, 100)
	s := run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(key{}) != "base conn" || r.ProtoMajor != 2 || r.TLS == nil || r.TLS.NegotiatedProtocol != "h2" {
			t.Errorf("%v, %s, %+v", r.Context().Value(key{}), r.Proto, r.TLS)
		}
		close(began)
		<-release
		_, _ = io.WriteString(w, "done")
	}), protocol("https2"), func(c *server.ServerConfig) {
		c.HTTP.BaseContext = func(net.Listener) context.Context { return context.WithValue(t.Context(), key{}, "base") }
		c.HTTP.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
			if _, ok := nc.(*tls.Conn); !ok {
				t.Errorf("ConnContext gets a %T", nc)
			}
			return context.WithValue(ctx, key{}, ctx.Value(key{}).(string)+" conn")
		}
		c.HTTP.ConnState = func(nc net.Conn, s http.ConnState) {
			if _, ok := nc.(*tls.Conn); !ok {
				t.Errorf("ConnState gets a %T", nc)
			}
			states <- s
		}
		c.Linger = 20 * time.Millisecond
	})
	tr := transport(protocol("https2"))
	defer tr.CloseIdleConnections()
	at := &site{client: &http.Client{Transport: tr}}
	done := at.do(request(t, t.Context(), "POST", s.url, "x"))
	receive(t, "it runs", began)
	s.stop()
	wait(t, "it drains", s.Draining)
	close(release)
	if resp := receive(t, "an answer", done); resp == nil || resp.StatusCode != 200 {
		t.Errorf("%v", resp)
	}
	if err := receive(t, "it ends", s.end); err != nil {
		t.Error(err)
	}
	if len(states) == 0 {
		t.Error("the user's ConnState is not called")
	}
}
