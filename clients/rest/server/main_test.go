package server_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/clients/rest/server"
	"github.com/backstay-go/backstay/resilience"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come, on a machine under any load.
const patience = 30 * time.Second

// guard is that of a service: plenty of everything, unless changed.
func guard(t *testing.T, change ...func(*resilience.Policy)) *resilience.Guard {
	t.Helper()
	p := resilience.Policy{
		Name:     "api",
		Bulkhead: resilience.BulkheadPolicy{Limit: 100, Queue: 100},
		Default:  resilience.OperationPolicy{Timeout: patience},
	}
	for _, c := range change {
		c(&p)
	}
	g, err := resilience.New(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func limits(limit, queue int) func(*resilience.Policy) {
	return func(p *resilience.Policy) { p.Bulkhead = resilience.BulkheadPolicy{Limit: limit, Queue: queue} }
}

// handler is next behind a guard.
func handler(t *testing.T, g *resilience.Guard, next http.HandlerFunc, change ...func(*server.HandlerConfig)) *server.Handler {
	t.Helper()
	cfg := server.HandlerConfig{Guard: g}
	for _, c := range change {
		c(&cfg)
	}
	h, err := server.NewHandler(next, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// protocols runs a test over HTTP/1.1 and HTTP/2, without and with TLS.
func protocols(t *testing.T, test func(t *testing.T, p *http.Protocols)) {
	for _, name := range []string{"http1", "http2", "https2"} {
		t.Run(name, func(t *testing.T) { test(t, protocol(name)) })
	}
}

func protocol(name string) *http.Protocols {
	p := &http.Protocols{}
	switch name {
	case "http2":
		p.SetUnencryptedHTTP2(true)
	case "https2":
		p.SetHTTP2(true)
	default:
		p.SetHTTP1(true)
	}
	return p
}

// certified are the TLS configurations of a server on loopback, and of its callers.
var certified = sync.OnceValues(func() (own, callers *tls.Config) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates}, s.Client().Transport.(*http.Transport).TLSClientConfig
})

// transport is the standard one over a protocol.
func transport(p *http.Protocols) *http.Transport {
	tr := &http.Transport{Protocols: p}
	if p.HTTP2() {
		_, callers := certified()
		tr.TLSClientConfig = callers.Clone()
	}
	return tr
}

// site is a server on loopback with its own client.
type site struct {
	*httptest.Server
	client *http.Client
	log    *lines
}

func serve(t *testing.T, h http.Handler, p *http.Protocols) *site {
	t.Helper()
	s := &site{Server: httptest.NewUnstartedServer(h), log: &lines{}}
	s.Config.Protocols, s.Config.ErrorLog = p, log.New(s.log, "", 0)
	if p.HTTP2() {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	tr := transport(p)
	s.client = &http.Client{Transport: tr}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// lines collects a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// request makes a request; header is name, value, name, value.
func request(t *testing.T, ctx context.Context, method, url, body string, header ...string) *http.Request {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header[header[i]] = []string{header[i+1]}
	}
	return req
}

// answer sends a request and reads the answer whole.
func (s *site) answer(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func (s *site) get(t *testing.T, path string, header ...string) (*http.Response, string) {
	t.Helper()
	return s.answer(t, request(t, t.Context(), "GET", s.URL+path, "", header...))
}

// wait waits for a condition.
func wait(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		<-tick.C
	}
}

// receive waits for a value.
func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: not within %v", what, patience)
		panic("not reached")
	}
}

func free(t *testing.T, g *resilience.Guard) {
	t.Helper()
	wait(t, "all permits are back", func() bool { return g.Snapshot().InFlight == 0 })
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
