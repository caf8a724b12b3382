package rest_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/resilience"
)

// scripted is a server of HTTP/2 without TLS that counts pings, and answers a request
// after a while.
func scripted(t *testing.T, after time.Duration) (address string, pings *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pings = new(atomic.Int64)
	var serving sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { script(c, after, pings) })
		}
	})
	return "http://" + l.Addr().String(), pings
}

func script(c net.Conn, after time.Duration, pings *atomic.Int64) {
	defer c.Close()
	r := bufio.NewReader(c)
	if _, err := r.Discard(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")); err != nil {
		return
	}
	frame := func(kind, flags byte, stream uint32, payload ...byte) {
		head := append([]byte{0, 0, byte(len(payload)), kind, flags}, binary.BigEndian.AppendUint32(nil, stream)...)
		_, _ = c.Write(append(head, payload...))
	}
	frame(4, 0, 0) // SETTINGS
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(r, head); err != nil {
			return
		}
		if _, err := r.Discard(int(head[0])<<16 | int(head[1])<<8 | int(head[2])); err != nil {
			return
		}
		switch {
		case head[3] == 1: // HEADERS
			<-time.After(after)
			frame(1, 5, binary.BigEndian.Uint32(head[5:]), 0x88) // status 200, and no body
		case head[3] == 4 && head[4] == 0:
			frame(4, 1, 0)
		case head[3] == 6 && head[4] == 0:
			pings.Add(1)
		}
	}
}

// TestNoPings: a request that takes a while, and a connection that is idle, are no
// reason to ping; Tomcat and gRPC servers end connections that do (towns#1526).
func TestNoPings(t *testing.T) {
	address, pings := scripted(t, 900*time.Millisecond)
	base := rest.NewBase(4, func(tr *http.Transport) {
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetUnencryptedHTTP2(true)
	})
	defer base.CloseIdleConnections()
	tr := &rest.Transport{Guard: guard(t), Base: base}
	for range 2 {
		resp, err := tr.Client().Get(address)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		<-time.After(400 * time.Millisecond) // idle
	}
	if n := pings.Load(); n != 0 {
		t.Errorf("%d pings", n)
	}
}

// TestFewerStreamsThanCallers: to wait for a free stream is no failure, and no repeat.
func TestFewerStreamsThanCallers(t *testing.T) {
	for streams, callers := range map[int]int{1: 400, 4: 100, 8: 100, 64: 100} {
		t.Run(strconv.Itoa(streams), func(t *testing.T) {
			t.Parallel()
			fewerStreams(t, streams, callers)
		})
	}
}

// fewerStreams makes 400 calls. The timeout is long because net/http waits for up to 10 s
// before it tries again a request that several new connections have refused.
func fewerStreams(t *testing.T, streams, callers int) {
	s := &service{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-time.After(2 * time.Millisecond)
	}))
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // connections that are not needed any more
	s.EnableHTTP2 = true
	s.StartTLS()
	base := rest.NewBase(callers, func(tr *http.Transport) { protocol(s, tr) })
	g := guard(t, func(p *resilience.Policy) {
		p.Bulkhead.Limit, p.Bulkhead.Queue = callers, callers
		p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 1 << 20}
		p.Default.Retry, p.Default.Timeout, p.Default.AttemptTimeout = nil, 2*time.Minute, 0
	})
	tr := &rest.Transport{Guard: g, Base: base}
	var failed atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range 400 / callers {
				resp, err := tr.Client().Post(s.URL, "text/plain", strings.NewReader("x"))
				if err != nil {
					failed.Add(1)
					t.Log(err)
					continue
				}
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n != 0 || g.Snapshot().Failures != 0 {
		t.Errorf("%d streams: %d of %d failed, %d failures", streams, n, 400, g.Snapshot().Failures)
	}
	base.CloseIdleConnections()
	s.Close()
}

// pausing is a connection whose bytes arrive no more until it goes on.
type pausing struct {
	net.Conn
	paused *atomic.Pointer[chan struct{}] // of this connection; nil: it runs
}

func (p pausing) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if gate := p.paused.Load(); gate != nil && err == nil {
		<-*gate
	}
	return n, err
}

// paused is a base of HTTP/2 whose connections so far can be paused.
func paused(t *testing.T, s *service) (base *rest.Base, pause func() (resume func())) {
	var mu sync.Mutex
	var conns []*atomic.Pointer[chan struct{}]
	base = rest.NewBase(50, func(tr *http.Transport) {
		protocol(s, tr)
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			one := new(atomic.Pointer[chan struct{}])
			mu.Lock()
			conns = append(conns, one)
			mu.Unlock()
			return pausing{c, one}, err
		}
	})
	t.Cleanup(base.CloseIdleConnections)
	return base, func() func() {
		mu.Lock()
		defer mu.Unlock()
		gate := make(chan struct{})
		for _, c := range conns {
			c.Store(&gate)
		}
		return sync.OnceFunc(func() {
			mu.Lock()
			defer mu.Unlock()
			for _, c := range conns {
				c.Store(nil)
			}
			close(gate)
		})
	}
}

// secure is a service of HTTP/2.
func secure(t *testing.T, h http.HandlerFunc) *service {
	s := &service{Server: httptest.NewUnstartedServer(h)}
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// TestAPauseKillsNoRequest: a server that pauses for longer than a second, as for a
// garbage collection, answers later (httpcomponents-core#662).
func TestAPauseKillsNoRequest(t *testing.T) {
	began := make(chan struct{}, 100)
	s := secure(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		began <- struct{}{}
		<-time.After(300 * time.Millisecond)
	})
	base, pause := paused(t, s)
	tr := &rest.Transport{Guard: guard(t, func(p *resilience.Policy) { p.Default.Retry = nil }), Base: base}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			resp, err := tr.Client().Post(s.URL, "text/plain", strings.NewReader("x"))
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
		})
	}
	for range 20 {
		<-began
	}
	resume := pause()
	<-time.After(1200 * time.Millisecond)
	resume()
	wg.Wait()
}

// TestASilentConnectionIsLeft: requests that come after one that timed out on a connection
// into nowhere go to another connection, and those on the old one go on.
func TestASilentConnectionIsLeft(t *testing.T) {
	s := secure(t, func(http.ResponseWriter, *http.Request) {})
	base, pause := paused(t, s)
	patient := &rest.Transport{Guard: guard(t), Base: base}
	g := guard(t, func(p *resilience.Policy) {
		p.Default = resilience.OperationPolicy{Timeout: 300 * time.Millisecond}
	})
	tr := &rest.Transport{Guard: g, Base: base}
	get := func(tr *rest.Transport) error {
		resp, err := tr.Client().Get(s.URL)
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	if err := get(patient); err != nil {
		t.Fatal(err)
	}
	resume := pause()
	defer resume()
	old := make(chan error, 1)
	go func() { old <- get(patient) }()
	tries := 1
	for get(tr) != nil {
		if tries++; tries > 6 {
			t.Fatal("all requests go on the silent connection")
		}
	}
	resume()
	if err := <-old; err != nil {
		t.Errorf("the request on the old connection ended in %v", err)
	}
}
