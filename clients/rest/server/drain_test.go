package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/rest/server"
)

// running is a Server that runs.
type running struct {
	*server.Server
	url  string
	addr string
	stop context.CancelFunc
	end  chan error
}

// run starts a server; it is stopped at the end of the test at the latest.
func run(t *testing.T, h http.Handler, p *http.Protocols, change ...func(*server.ServerConfig)) *running {
	t.Helper()
	// What it logs of callers that leave is none of the test.
	cfg := server.ServerConfig{HTTP: &http.Server{Handler: h, Protocols: p, ErrorLog: log.New(io.Discard, "", 0)}}
	scheme := "http://"
	if p != nil && p.HTTP2() {
		own, _ := certified()
		cfg.HTTP.TLSConfig, scheme = own.Clone(), "https://"
	}
	for _, c := range change {
		c(&cfg)
	}
	s, err := server.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	r := &running{Server: s, addr: l.Addr().String(), url: scheme + l.Addr().String(), stop: stop, end: make(chan error, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.end <- s.Run(ctx, l)
	}()
	t.Cleanup(func() {
		stop()
		receive(t, "the server ends", done)
	})
	return r
}

// TestDrainingLosesNothing is the bar: 50 clients send POSTs over kept connections, and
// servers in a row are replaced under them. A balancer looks at readiness and sends
// new requests elsewhere a moment after the server said that it is not ready.
func TestDrainingLosesNothing(t *testing.T) {
	const clients = 50
	for _, name := range []string{"http1", "http2", "https2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var served atomic.Int64
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				if err != nil {
					return
				}
				served.Add(1)
				_, _ = w.Write(b)
			})
			start := func() *running {
				return run(t, h, protocol(name), func(cfg *server.ServerConfig) {
					cfg.Notice = 100 * time.Millisecond
				})
			}
			var current atomic.Pointer[running]
			current.Store(start())
			tr := transport(protocol(name))
			tr.MaxIdleConnsPerHost = clients
			defer tr.CloseIdleConnections()
			client := &http.Client{Transport: tr, Timeout: patience}
			var sent, failed atomic.Int64
			stalls := watchStalls(t)
			post := func() (err error) {
				// What Linger promises holds for clients that pause for less: where the
				// whole process was held up for longer, now or just before, a failure says
				// nothing.
				picked := time.Now()
				defer func() {
					if err != nil && stalls.since(picked.Add(-2*time.Second)) {
						t.Logf("the process was held up: %v", err)
						err = nil
					}
				}()
				// Without GetBody, so that net/http can't hide a failure by sending it again.
				body := struct{ io.Reader }{bytes.NewReader(make([]byte, 100))}
				req, err := http.NewRequestWithContext(t.Context(), "POST", current.Load().url, body)
				if err != nil {
					return err
				}
				req.ContentLength = 100
				resp, err := client.Do(req)
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != 100 || resp.StatusCode != 200 {
					return fmt.Errorf("%s, %d bytes: %w", resp.Status, n, err)
				}
				return nil
			}
			stop := make(chan struct{})
			var wg sync.WaitGroup
			for i := range clients {
				think := 3 * time.Millisecond
				if i%10 == 0 {
					think = 0 // busy
				}
				wg.Go(func() {
					timer := time.NewTimer(0)
					defer timer.Stop()
					for {
						select {
						case <-stop:
							return
						case <-timer.C:
						}
						sent.Add(1)
						if err := post(); err != nil {
							failed.Add(1)
							t.Errorf("a request failed: %v", err)
							return
						}
						timer.Reset(think)
					}
				})
			}
			var ends []chan error
			for range 10 {
				before := sent.Load()
				wait(t, "the clients send", func() bool { return sent.Load() > before+4*clients || failed.Load() > 0 })
				old, next := current.Load(), start()
				old.stop()
				wait(t, "it is not ready", old.Draining)
				// The balancer's next look comes later.
				tick := time.NewTimer(50 * time.Millisecond)
				<-tick.C
				current.Store(next)
				ends = append(ends, old.end)
			}
			for n, end := range ends {
				if err := receive(t, "it ends", end); err != nil {
					t.Errorf("server %d: %v", n, err)
				}
			}
			close(stop)
			wg.Wait()
			t.Logf("%d requests, %d failed", sent.Load(), failed.Load())
		})
	}
}

// stalls notices when the process does not get to run.
type stalls struct {
	mu   sync.Mutex
	last time.Time // when the last one ended
}

func watchStalls(t *testing.T) *stalls {
	s, stop, done := &stalls{}, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for before := time.Now(); ; {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			now := time.Now()
			if now.Sub(before) > 150*time.Millisecond {
				s.mu.Lock()
				s.last = now
				s.mu.Unlock()
			}
			before = now
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return s
}

// since reports whether one ended after t.
func (s *stalls) since(t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.After(t)
}

// TestDrainingInOrder: not ready first and still serving; then answers that close; then
// no connections.
func TestDrainingInOrder(t *testing.T) {
	s := run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}), protocol("http1"), func(c *server.ServerConfig) {
		c.Notice, c.Linger = 300*time.Millisecond, 300*time.Millisecond
	})
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	get := func() (bool, error) {
		resp, err := client.Get(s.url)
		if err != nil {
			return false, err
		}
		return resp.Close, resp.Body.Close()
	}
	if closes, err := get(); closes || err != nil || s.Draining() {
		t.Fatal("before:", closes, err, s.Draining())
	}
	s.stop()
	wait(t, "it is not ready", s.Draining)
	kept, closed := 0, 0
	wait(t, "no connection is taken", func() bool {
		closes, err := get()
		switch {
		case err != nil:
			return true
		case closes:
			closed++
		case closed > 0:
			t.Error("an answer after the first that closes keeps the connection")
		default:
			kept++
		}
		return false
	})
	if kept == 0 || closed == 0 {
		t.Errorf("%d answers kept their connection, %d closed it", kept, closed)
	}
	if err := receive(t, "it ends", s.end); err != nil {
		t.Error(err)
	}
}

// TestAnswersBegunBeforeCloseToo: a request that runs when the draining begins is
// answered, and closes its connection.
func TestAnswersBegunBeforeCloseToo(t *testing.T) {
	for _, how := range []string{"writes", "flushes", "writes nothing", "sends a file"} {
		t.Run(how, func(t *testing.T) {
			began, release := make(chan struct{}), make(chan struct{})
			s := run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(began)
				<-release
				switch how {
				case "writes":
					_, _ = io.WriteString(w, "x")
				case "flushes":
					_ = http.NewResponseController(w).Flush()
				case "sends a file":
					_, _ = io.Copy(w, io.LimitReader(bytes.NewReader([]byte("x")), 1))
				}
			}), protocol("http1"), func(c *server.ServerConfig) { c.Linger = -1 })
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			answer := make(chan *http.Response, 1)
			go func() {
				resp, err := client.Get(s.url)
				if err != nil {
					t.Error(err)
				}
				answer <- resp
			}()
			receive(t, "it runs", began)
			s.stop()
			wait(t, "the listener is closed", func() bool {
				c, err := net.Dial("tcp", s.addr)
				if err == nil {
					_ = c.Close()
				}
				return err != nil
			})
			close(release)
			resp := receive(t, "an answer", answer)
			if resp == nil {
				t.FailNow()
			}
			_ = resp.Body.Close()
			if !resp.Close {
				t.Error("the answer keeps the connection")
			}
			if err := receive(t, "it ends", s.end); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSilentConnectionsDoNotHold: the standard server's Shutdown waits for 5 s for a
// new connection that brings nothing.
func TestSilentConnectionsDoNotHold(t *testing.T) {
	s := run(t, http.NotFoundHandler(), protocol("http1"), func(c *server.ServerConfig) { c.Linger, c.Limit = -1, time.Minute })
	var silent []net.Conn
	for range 5 {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	began := time.Now()
	s.stop()
	if err := receive(t, "it ends", s.end); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, c := range silent {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a silent connection is open")
		}
	}
}

// TestWaitingConnectionsAreTaken: what the system has accepted is served, even if the
// server did not get to take it before it ends.
func TestWaitingConnectionsAreTaken(t *testing.T) {
	slow := &slowListener{Listener: listen(t), taken: make(chan struct{})}
	s, err := server.NewServer(server.ServerConfig{Linger: -1, HTTP: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- s.Run(ctx, slow) }()
	var all []net.Conn
	for range 10 {
		c, err := net.Dial("tcp", slow.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	stop()
	wait(t, "it drains", s.Draining)
	close(slow.taken)
	for _, c := range all {
		if answer, err := io.ReadAll(c); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) {
			t.Errorf("%q, %v", answer, err)
		}
	}
	if err := receive(t, "it ends", end); err != nil {
		t.Error(err)
	}
}

// slowListener accepts connections only after the test allows it.
type slowListener struct {
	net.Listener
	taken chan struct{}
}

func (l *slowListener) Accept() (net.Conn, error) {
	<-l.taken
	return l.Listener.Accept()
}

// SetDeadline is that of the listener below.
func (l *slowListener) SetDeadline(t time.Time) error {
	return l.Listener.(*net.TCPListener).SetDeadline(t)
}

// TestJustTakenConnectionsAreServed: a connection that was taken before the listener
// closed has time to bring its request.
func TestJustTakenConnectionsAreServed(t *testing.T) {
	s := run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}), protocol("http1"), func(c *server.ServerConfig) { c.Linger = -1 })
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s.stop()
	wait(t, "it drains", s.Draining)
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) || !bytes.Contains(answer, []byte("Connection: close")) {
		t.Errorf("%q, %v", answer, err)
	}
}
