package rest_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/resilience"
)

// frames is a server that speaks HTTP/2 by hand: for what a real one can't be made to
// say. Answer gets each request's stream once the request is there whole.
func frames(t *testing.T, answer func(c net.Conn, stream uint32, n int64)) (address string, seen *atomic.Int64, base *rest.Base) {
	t.Helper()
	certified := httptest.NewUnstartedServer(nil)
	certified.EnableHTTP2 = true
	certified.StartTLS()
	certified.Close()
	config := certified.TLS.Clone()
	config.NextProtos = []string{"h2"}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			c.Close()
		}
	})
	seen = &atomic.Int64{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			go func() {
				defer c.Close()
				if _, err := io.ReadFull(c, make([]byte, 24)); err != nil { // the preface
					return
				}
				frame(c, 4, 0, 0, nil) // SETTINGS
				for {
					head := make([]byte, 9)
					if _, err := io.ReadFull(c, head); err != nil {
						return
					}
					length := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
					payload := make([]byte, length)
					if _, err := io.ReadFull(c, payload); err != nil {
						return
					}
					switch {
					case head[3] == 4 && head[4] == 0:
						frame(c, 4, 1, 0, nil) // acknowledged
					case head[3] == 6 && head[4] == 0:
						frame(c, 6, 1, 0, payload) // PING
					case head[3] <= 1 && head[4]&1 != 0: // HEADERS or DATA that end a stream
						answer(c, binary.BigEndian.Uint32(head[5:]), seen.Add(1))
					}
				}
			}()
		}
	}()
	base = rest.NewBase(50, func(tr *http.Transport) {
		tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	})
	t.Cleanup(base.CloseIdleConnections)
	return "https://" + l.Addr().String(), seen, base
}

func frame(c net.Conn, kind, flags byte, stream uint32, payload []byte) {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(b[5:], stream)
	_, _ = c.Write(append(b, payload...)) // a client that has gone needs no answer
}

// shut says no more, but goes on to listen: a client that writes meets no error before
// it has read what was said.
func shut(c net.Conn) { _ = c.(*tls.Conn).CloseWrite() }

func number(n ...uint32) []byte {
	var b []byte
	for _, one := range n {
		b = binary.BigEndian.AppendUint32(b, one)
	}
	return b
}

// TestStreamsThatWereNotProcessed: any method is sent again, as often as the guard says
// and not as often as net/http would.
func TestStreamsThatWereNotProcessed(t *testing.T) {
	refuse := func(c net.Conn, stream uint32, _ int64) { frame(c, 3, 0, stream, number(7)) } // RST_STREAM, REFUSED_STREAM
	farewell := func(c net.Conn, _ uint32, _ int64) {
		frame(c, 7, 0, 0, number(0, 0)) // GOAWAY: no stream was processed
		shut(c)
	}
	covered := func(c net.Conn, stream uint32, _ int64) {
		frame(c, 7, 0, 0, number(stream, 0)) // GOAWAY: this one perhaps was
		shut(c)
	}
	internal := func(c net.Conn, stream uint32, _ int64) { frame(c, 3, 0, stream, number(2)) } // INTERNAL_ERROR
	calm := func(c net.Conn, stream uint32, _ int64) { frame(c, 3, 0, stream, number(11)) }    // ENHANCE_YOUR_CALM
	cut := func(c net.Conn, _ uint32, _ int64) { c.Close() }
	for _, c := range []struct {
		name   string
		answer func(net.Conn, uint32, int64)
		method string
		stream bool // the body can't be sent again
		want   int64
		sent   bool
	}{
		{"refused GET", refuse, "GET", false, 3, false},
		{"refused POST", refuse, "POST", false, 3, false},
		{"refused POST of a stream", refuse, "POST", true, 1, false},
		{"farewell to a GET", farewell, "GET", false, 3, false},
		{"farewell to a POST", farewell, "POST", false, 3, false},
		{"farewell that covers a GET", covered, "GET", false, 3, true},
		{"farewell that covers a POST", covered, "POST", false, 1, true},
		{"internal error to a GET", internal, "GET", false, 3, true},
		{"internal error to a POST", internal, "POST", false, 1, true},
		{"enhance your calm to a GET", calm, "GET", false, 3, true},
		{"enhance your calm to a POST", calm, "POST", false, 1, true},
		{"cut GET", cut, "GET", false, 3, true},
		{"cut POST", cut, "POST", false, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			address, seen, base := frames(t, c.answer)
			g := guard(t)
			var body io.Reader
			if c.method == "POST" {
				body = strings.NewReader("x")
			}
			if c.stream {
				body = io.MultiReader(body)
			}
			r, _ := http.NewRequestWithContext(t.Context(), c.method, address, body)
			resp, err := (&rest.Transport{Guard: g, Base: base}).RoundTrip(r)
			if err == nil {
				resp.Body.Close()
			}
			var send *rest.SendError
			if !errors.As(err, &send) || send.Sent != c.sent || seen.Load() != c.want {
				t.Errorf("%d streams, want %d; %v", seen.Load(), c.want, err)
			}
			free(t, g)
		})
	}
}

// TestRepeatsOfNetHTTP: connections that die on use, with requests that net/http would
// send again by itself.
func TestRepeatsOfNetHTTP(t *testing.T) {
	for _, c := range []struct {
		name, method string
		header       http.Header
		retry        bool
		want         int64
	}{
		{"GET, no retries", "GET", nil, false, 1},
		{"GET", "GET", nil, true, 3},
		{"HEAD, no retries", "HEAD", nil, false, 1},
		{"OPTIONS, no retries", "OPTIONS", nil, false, 1},
		{"TRACE, no retries", "TRACE", nil, false, 1},
		{"PUT", "PUT", nil, true, 3},
		{"DELETE", "DELETE", nil, true, 3},
		{"POST", "POST", nil, true, 1},
		{"POST with the other key, no retries", "POST", http.Header{"X-Idempotency-Key": {"k"}}, false, 1},
		{"POST with a key", "POST", http.Header{"Idempotency-Key": {"k"}}, true, 3},
		{"POST with a key, no retries", "POST", http.Header{"Idempotency-Key": {"k"}}, false, 1},
		{"POST with an empty key", "POST", http.Header{"Idempotency-Key": {}}, true, 1},
		{"DELETE with an empty key, no retries", "DELETE", http.Header{"Idempotency-Key": {}}, false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var die atomic.Bool
			var executed atomic.Int64
			arrived, gate := make(chan struct{}, 8), make(chan struct{})
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if !die.Load() {
					arrived <- struct{}{}
					<-gate
					return
				}
				executed.Add(1)
				if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
					conn.Close()
				}
			})
			tr := &rest.Transport{Base: &http.Transport{MaxIdleConnsPerHost: 8}, Guard: guard(t, func(p *resilience.Policy) {
				if !c.retry {
					p.Default.Retry = nil
				}
			})}
			t.Cleanup(tr.CloseIdleConnections)
			do := func(method string, h http.Header) error {
				r, _ := http.NewRequestWithContext(t.Context(), method, s.URL, nil)
				for name, values := range h {
					r.Header[name] = values
				}
				resp, err := tr.RoundTrip(r)
				if err == nil {
					resp.Body.Close()
				}
				return err
			}
			results := make(chan error)
			for range 8 {
				go func() { results <- do("GET", nil) }()
			}
			for range 8 {
				<-arrived
			}
			close(gate)
			for range 8 {
				if err := <-results; err != nil {
					t.Fatal(err)
				}
			}
			die.Store(true)
			var send *rest.SendError
			if err := do(c.method, c.header); !errors.As(err, &send) || !send.Sent {
				t.Errorf("the error is %v", err)
			}
			if executed.Load() != c.want {
				t.Errorf("it ran %d times, want %d", executed.Load(), c.want)
			}
		})
	}
}

func TestMarkedRefusals(t *testing.T) {
	for _, c := range []struct {
		name    string
		status  int
		header  []string
		method  string
		want    int64
		failure bool
	}{
		{"503 of a POST", 503, nil, "POST", 1, true},
		{"503, refused, of a POST", 503, []string{rest.HeaderRefused, "overload"}, "POST", 3, false},
		{"429 of a POST", 429, nil, "POST", 1, false},
		{"429, refused, of a POST", 429, []string{rest.HeaderRefused, "deadline"}, "POST", 3, false},
		{"429 of a GET", 429, nil, "GET", 3, false},
		{"500 of a GET", 500, nil, "GET", 3, true},
		{"501 of a GET", 501, nil, "GET", 1, false},
		{"505 of a GET", 505, nil, "GET", 1, false},
		{"404 of a GET", 404, nil, "GET", 1, false},
		{"a nack of Finagle", 503, []string{"Finagle-Http-Nack", "true"}, "POST", 3, false},
		{"a nack that is final", 503, []string{"Finagle-Http-Nonretryable-Nack", "true"}, "GET", 1, false},
		{"overload at Envoy", 503, []string{"X-Envoy-Overloaded", "true"}, "GET", 3, false},
		{"a rate limit of Envoy", 429, []string{"X-Envoy-Ratelimited", "true"}, "GET", 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEach(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if len(c.header) > 0 {
					w.Header().Set(c.header[0], c.header[1])
				}
				w.WriteHeader(c.status)
			}, func(t *testing.T, s *service, base *rest.Base) {
				g := guard(t, func(p *resilience.Policy) { p.Breaker = &resilience.BreakerPolicy{} })
				r, _ := http.NewRequestWithContext(t.Context(), c.method, s.URL, strings.NewReader("x"))
				resp, err := client(t, &rest.Transport{Guard: g, Base: base}).Do(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if snap := g.Snapshot(); s.requests.Load() != c.want || (snap.Failures > 0) != c.failure || resp.StatusCode != c.status {
					t.Errorf("%d requests, want %d; %d failures", s.requests.Load(), c.want, snap.Failures)
				}
			})
		})
	}
}

// TestAFailedHandshakeIsNeverSent: nothing of the request was on the wire.
func TestAFailedHandshakeIsNeverSent(t *testing.T) {
	onEach(t, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, s *service, _ *rest.Base) {
		base := rest.NewBase(5) // does not know the certificate
		r, _ := http.NewRequestWithContext(t.Context(), "POST", "https://"+s.Listener.Addr().String(), strings.NewReader("x"))
		resp, err := client(t, &rest.Transport{Guard: guard(t), Base: base}).Do(r)
		if err == nil {
			resp.Body.Close()
		}
		var send *rest.SendError
		if !errors.As(err, &send) || send.Sent || s.requests.Load() != 0 {
			t.Errorf("%d requests, %v", s.requests.Load(), err)
		}
	})
}

func TestAProxysRefusalIsSeen(t *testing.T) {
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			t.Errorf("a %s", r.Method)
		}
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(503)
	})
	address, _ := url.Parse(proxy.URL)
	base := rest.NewBase(5, func(tr *http.Transport) { tr.Proxy = http.ProxyURL(address) })
	g := guard(t, func(p *resilience.Policy) { p.Breaker = &resilience.BreakerPolicy{} })
	resp, err := client(t, &rest.Transport{Guard: g, Base: base}).Post("https://nobody.test/", "text/plain", strings.NewReader("x"))
	if err == nil {
		resp.Body.Close()
	}
	var refused *rest.ProxyError
	if !errors.As(err, &refused) || refused.Status != 503 || !strings.Contains(err.Error(), "Retry-After: 3600") || g.Snapshot().Failures != 0 {
		t.Errorf("%v, %+v", err, g.Snapshot())
	}
	if proxy.requests.Load() != 1 {
		t.Errorf("%d requests; an hour is not waited for", proxy.requests.Load())
	}
}

// TestABlackHoleIsNoticed: a connection that takes all and brings nothing is given up.
func TestABlackHoleIsNoticed(t *testing.T) {
	onEach(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }, func(t *testing.T, s *service, _ *rest.Base) {
		var swallow atomic.Bool
		conns := make(chan *hole, 100)
		base := rest.NewBase(5, func(tr *http.Transport) {
			protocol(s, tr)
			dial := tr.DialContext
			tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := dial(ctx, network, address)
				if err != nil {
					return nil, err
				}
				h := &hole{Conn: c, swallow: &swallow}
				conns <- h
				return h, nil
			}
		})
		g := guard(t, func(p *resilience.Policy) {
			p.Default.Timeout, p.Default.AttemptTimeout, p.Default.Retry = 300*time.Millisecond, 0, nil
		})
		c := client(t, &rest.Transport{Guard: g, Base: base})
		get := func() error {
			resp, err := c.Get(s.URL)
			if err == nil {
				resp.Body.Close()
			}
			return err
		}
		waitFor(t, func() bool { return get() == nil })
		swallow.Store(true)
		(<-conns).bad.Store(true)
		swallow.Store(false) // only that connection stays bad
		waitFor(t, func() bool { return get() == nil })
	})
}

// hole is a connection that can turn into a black hole.
type hole struct {
	net.Conn
	swallow *atomic.Bool
	bad     atomic.Bool
}

func (h *hole) Write(p []byte) (int, error) {
	if h.bad.Load() || h.swallow.Load() {
		return len(p), nil
	}
	return h.Conn.Write(p)
}
