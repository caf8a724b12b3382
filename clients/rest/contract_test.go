package rest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/resilience"
)

// names are what tests run on.
var names = []string{"HTTP1", "HTTP2", "H2C"}

// onEach runs a test on HTTP/1.1, on HTTP/2 over TLS and on HTTP/2 without, on a base
// for 50 calls at once.
func onEach(t *testing.T, h http.HandlerFunc, test func(t *testing.T, s *service, base *rest.Base)) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) { on(t, name, h, test) })
	}
}

// on runs a test over HTTP/1.1, HTTP/2 over TLS or HTTP/2 without.
func on(t *testing.T, name string, h http.HandlerFunc, test func(t *testing.T, s *service, base *rest.Base)) {
	s := &service{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if (r.ProtoMajor == 2) != (name != "HTTP1") {
			t.Errorf("the request came by %s", r.Proto)
		}
		h(w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	switch name {
	case "HTTP2":
		s.EnableHTTP2 = true
		s.StartTLS()
	case "H2C":
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	default:
		s.Start()
	}
	t.Cleanup(s.Close)
	base := rest.NewBase(50, func(tr *http.Transport) {
		protocol(s, tr)
		// A machine that is busy elsewhere is no black hole.
		tr.HTTP2 = &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 10 * time.Second}
	})
	t.Cleanup(base.CloseIdleConnections)
	test(t, s, base)
}

// protocol makes a transport speak what a service does.
func protocol(s *service, tr *http.Transport) {
	if s.TLS != nil {
		tr.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	}
	tr.Protocols = s.Config.Protocols
}

// noted is a request's body that counts its closings.
type noted struct {
	io.Reader
	closed atomic.Int32
}

func (n *noted) Close() error { n.closed.Add(1); return nil }

func TestTheRequestStaysTheCallers(t *testing.T) {
	onEach(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Header.Get(rest.HeaderAttempt) == "" {
			w.WriteHeader(503)
		}
	}, func(t *testing.T, s *service, base *rest.Base) {
		r, _ := http.NewRequestWithContext(t.Context(), "PUT", s.URL+"/a?b=c", strings.NewReader("x"))
		r.Header.Set("X-Some", "thing")
		before, header, url, body := *r, r.Header.Clone(), *r.URL, r.Body
		resp, err := (&rest.Transport{Guard: guard(t), Base: base}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.Request != r {
			t.Error("the response is not of this request")
		}
		if resp.StatusCode != 200 || s.requests.Load() != 2 {
			t.Errorf("%d after %d requests", resp.StatusCode, s.requests.Load())
		}
		if r.Body != body || !reflect.DeepEqual(r.Header, header) || *r.URL != url || r.Context() != before.Context() || r.Pattern != "" {
			t.Error("the caller's request was changed")
		}
	})
}

func TestRequestBodiesAreClosed(t *testing.T) {
	onEach(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/500" {
			w.WriteHeader(500)
		}
	}, func(t *testing.T, s *service, base *rest.Base) {
		open := func(p *resilience.Policy) { p.Breaker = &resilience.BreakerPolicy{Mode: resilience.BreakerForcedOpen} }
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for _, c := range []struct {
			name string
			tr   *rest.Transport
			ctx  context.Context
			url  string
		}{
			{"200", &rest.Transport{Guard: guard(t), Base: base}, t.Context(), s.URL},
			{"500", &rest.Transport{Guard: guard(t), Base: base}, t.Context(), s.URL + "/500"},
			{"refused by the breaker", &rest.Transport{Guard: guard(t, open), Base: base}, t.Context(), s.URL},
			{"the caller has gone", &rest.Transport{Guard: guard(t), Base: base}, gone, s.URL},
			{"nobody there", &rest.Transport{Guard: guard(t), Base: base}, t.Context(), "http://127.0.0.1:1/"},
			{"no guard", &rest.Transport{}, t.Context(), s.URL},
			{"no host", &rest.Transport{Guard: guard(t), Base: base}, t.Context(), "/path"},
			{"bad header", &rest.Transport{Guard: guard(t), Base: base}, t.Context(), s.URL + "/header"},
		} {
			t.Run(c.name, func(t *testing.T) {
				body := &noted{Reader: strings.NewReader("x")}
				r, err := http.NewRequestWithContext(c.ctx, "PUT", c.url, body)
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasSuffix(c.url, "/header") {
					r.Header.Set("X-Bad", "a\nb")
				}
				resp, err := c.tr.RoundTrip(r)
				if err == nil {
					resp.Body.Close()
				}
				waitFor(t, func() bool { return body.closed.Load() > 0 })
				c.tr.CloseIdleConnections()
				if c.tr.Guard != nil {
					free(t, c.tr.Guard)
				}
			})
		}
	})
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatal("it did not happen")
		case <-time.After(time.Millisecond):
		}
	}
}

func TestNoBodyIsNoBody(t *testing.T) {
	onEach(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.WriteHeader(304)
		case "/500":
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(500)
		default:
			w.Header().Set("Content-Length", "100")
		}
	}, func(t *testing.T, s *service, base *rest.Base) {
		g := guard(t)
		for path, method := range map[string]string{"/204": "GET", "/304": "GET", "/500": "GET", "/head": "HEAD"} {
			r, _ := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
			resp, err := (&rest.Transport{Guard: g, Base: base}).RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if resp.Body != http.NoBody || g.Snapshot().InFlight != 0 {
				t.Errorf("%s: %T, %d permits", path, resp.Body, g.Snapshot().InFlight)
			}
			resp.Body.Close()
		}
	})
}

func TestRedirectsAreHandedOver(t *testing.T) {
	onEach(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/here":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/out":
			http.Redirect(w, r, "http://localhost:1/", http.StatusTemporaryRedirect)
		}
	}, func(t *testing.T, s *service, base *rest.Base) {
		tr := &rest.Transport{Guard: guard(t), Base: base}
		r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/here", nil)
		resp, err := tr.RoundTrip(r)
		if err != nil || resp.StatusCode != 302 {
			t.Fatalf("%v, %v", resp, err)
		}
		resp.Body.Close()
		for path, want := range map[string]int{"/here": 200, "/out": 307} {
			resp, err := tr.Client().Get(s.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			if resp.Body.Close(); resp.StatusCode != want {
				t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
			}
		}
	})
}

func TestTrailersArrive(t *testing.T) {
	onEach(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Told")
		_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
		w.Header().Set("X-Told", "yes")
		w.Header().Set(http.TrailerPrefix+"X-Untold", "too")
	}, func(t *testing.T, s *service, base *rest.Base) {
		resp, err := (&rest.Transport{Guard: guard(t), Base: base}).Client().Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.Trailer.Get("X-Told") != "yes" || resp.Trailer.Get("X-Untold") != "too" {
			t.Errorf("trailers: %v", resp.Trailer)
		}
	})
}

// TestUpgradesStayConnections: a 101 outlives the attempt's timeout, and can be written to.
func TestUpgradesStayConnections(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, rw)
	})
	const limit = 150 * time.Millisecond
	g := guard(t, func(p *resilience.Policy) { p.Default.Timeout, p.Default.AttemptTimeout = limit, limit })
	tr := &rest.Transport{Guard: g, Stall: time.Millisecond, MaxBytes: 1}
	t.Cleanup(tr.CloseIdleConnections)
	r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "echo")
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	rw, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		t.Fatalf("the body is a %T", resp.Body)
	}
	<-time.After(2 * limit)
	if _, err := io.WriteString(rw, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(rw).ReadString('\n'); line != "hello\n" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	if c, ok := resp.Body.(interface{ CloseWrite() error }); !ok || c.CloseWrite() != nil {
		t.Error("one side can't be closed")
	}
	if n := g.Snapshot().InFlight; n != 1 {
		t.Errorf("%d permits while the connection is open", n)
	}
	rw.Close()
	free(t, g)
}

func TestBodiesNobodyCloses(t *testing.T) {
	onEach(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 300_000))
	}, func(t *testing.T, s *service, base *rest.Base) {
		g := guard(t)
		tr := &rest.Transport{Guard: g, Base: base}
		for range 20 {
			r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
			if _, err := tr.RoundTrip(r); err != nil {
				t.Fatal(err)
			}
		}
		free(t, g)
	})
}

// TestReasonsKeepTheirKind: whatever the cause says, a deadline is one for errors.Is.
func TestReasonsKeepTheirKind(t *testing.T) {
	onEach(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}, func(t *testing.T, s *service, base *rest.Base) {
		short := func(p *resilience.Policy) {
			p.Default.Timeout, p.Default.AttemptTimeout, p.Default.Retry = 50*time.Millisecond, 0, nil
		}
		for name, make := range map[string]func() (context.Context, context.CancelFunc){
			"the guard's": func() (context.Context, context.CancelFunc) { return t.Context(), func() {} },
			"the caller's, with a cause": func() (context.Context, context.CancelFunc) {
				return context.WithTimeoutCause(t.Context(), 30*time.Millisecond, errors.New("enough"))
			},
		} {
			g := guard(t, short)
			ctx, cancel := make()
			r, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
			_, err := (&rest.Transport{Guard: g, Base: base}).RoundTrip(r)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s deadline: %v", name, err)
			}
			cancel()
			free(t, g)
		}
		g := guard(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(30*time.Millisecond, func() { cancel(errors.New("left")) })
		r, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
		if _, err := (&rest.Transport{Guard: g, Base: base}).RoundTrip(r); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		free(t, g)
		if snap := g.Snapshot(); snap.Failures != 0 {
			t.Error("the caller's cancellation counts as a failure")
		}
	})
}

// TestTheCallersTraceHears: one trace on one context for many calls, which overflowed the
// stack of a caller that wraps it again and again.
func TestTheCallersTraceHears(t *testing.T) {
	onEach(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/endless" {
			w.Header().Set("X-I", "i")
			for range 1000 {
				w.WriteHeader(103)
			}
		}
	}, func(t *testing.T, s *service, base *rest.Base) {
		var conns, headers, interim atomic.Int32
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn:        func(httptrace.GotConnInfo) { conns.Add(1) },
			WroteHeaders:   func() { headers.Add(1) },
			Got1xxResponse: func(int, textproto.MIMEHeader) error { interim.Add(1); return nil },
		})
		tr := &rest.Transport{Guard: guard(t, once), Base: base}
		get := func(path string) error {
			r, _ := http.NewRequestWithContext(ctx, "GET", s.URL+path, nil)
			resp, err := tr.RoundTrip(r)
			if err == nil {
				resp.Body.Close()
			}
			return err
		}
		for range 100 {
			if err := get("/"); err != nil {
				t.Fatal(err)
			}
		}
		if conns.Load() != 100 || headers.Load() != 100 {
			t.Errorf("heard of %d connections and %d headers, want 100", conns.Load(), headers.Load())
		}
		if err := get("/endless"); err == nil || interim.Load() > 100 {
			t.Errorf("%d interim answers, %v", interim.Load(), err)
		}
	})
}

func TestNoHeadersAndForwarded(t *testing.T) {
	got := make(chan http.Header, 1)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	for _, quiet := range []bool{true, false} {
		tr := &rest.Transport{Guard: guard(t), NoHeaders: quiet}
		t.Cleanup(tr.CloseIdleConnections)
		r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
		r.Header.Set(rest.HeaderAttempt, "7") // of another hop
		r.Header.Set(rest.HeaderCriticality, "sheddable")
		r.Header.Set(rest.HeaderTimeout, "1")
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		h := <-got
		if h.Get(rest.HeaderAttempt) != "" || h.Get(rest.HeaderCriticality) != "" || (h.Get(rest.HeaderTimeout) == "") != quiet || h.Get(rest.HeaderTimeout) == "1" {
			t.Errorf("quiet %v sent %v", quiet, h)
		}
		if r.Header.Get(rest.HeaderAttempt) != "7" {
			t.Error("the caller's headers were changed")
		}
	}
}

func TestARepeatIsSaidToBeOne(t *testing.T) {
	got := make(chan string, 10)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get(rest.HeaderAttempt) })
	tr := &rest.Transport{Guard: guard(t)}
	t.Cleanup(tr.CloseIdleConnections)
	r, _ := http.NewRequestWithContext(resilience.WithRetried(t.Context()), "GET", s.URL, nil)
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); <-got != "2" {
		t.Error("a call within a repeated request is not said to be a repeat")
	}
}
