package server_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/rest/server"
	"github.com/backstay-go/backstay/resilience"
)

// hidden is a writer of a middleware that does not pass on what the connection can do.
type hidden struct{ http.ResponseWriter }

func hide(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(hidden{w}, r) })
}

// shortly is a policy whose requests may take 100 ms, with few permits.
func shortly(p *resilience.Policy) {
	p.Bulkhead = resilience.BulkheadPolicy{Limit: 2}
	p.Default.Timeout = 100 * time.Millisecond
	p.Breaker = &resilience.BreakerPolicy{}
}

// slowBodies are requests whose body never ends, by framing and protocol.
var slowBodies = []struct {
	name, protocol string
	length         int64 // -1: not stated
	header         []string
}{
	{"chunked", "http1", -1, nil},
	{"large", "http1", 1 << 20, nil},
	{"small, asking to continue", "http1", 10, []string{"Expect", "100-continue"}},
	{"asking for another protocol", "http1", -1, []string{"Connection", "Upgrade", "Upgrade", "websocket"}},
	{"unencrypted HTTP/2", "http2", -1, nil},
	{"HTTP/2", "https2", -1, nil},
	{"HTTP/2, large", "https2", 1 << 20, nil},
}

// TestASlowBodyHoldsNoPermitPastTheDeadline, whatever the framing and protocol, with
// whatever middleware around the handler; and it counts for nothing.
func TestASlowBodyHoldsNoPermitPastTheDeadline(t *testing.T) {
	for _, c := range slowBodies {
		for name, around := range map[string]func(http.Handler) http.Handler{
			"": func(h http.Handler) http.Handler { return h }, ", its deadlines hidden": hide,
		} {
			t.Run(c.name+name, func(t *testing.T) {
				g := guard(t, shortly)
				failed := make(chan error, 2)
				s := serve(t, around(handler(t, g, func(w http.ResponseWriter, r *http.Request) {
					_, err := io.Copy(io.Discard, r.Body)
					failed <- err
				})), protocol(c.protocol))
				for range 2 {
					in, out := io.Pipe()
					defer out.Close()
					req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL, in)
					if err != nil {
						t.Fatal(err)
					}
					req.ContentLength = c.length
					for i := 0; i < len(c.header); i += 2 {
						req.Header.Set(c.header[i], c.header[i+1])
					}
					go func() { _, _ = io.WriteString(out, "b") }()
					go func() {
						if resp, err := s.client.Do(req); err == nil {
							_ = resp.Body.Close()
						}
					}()
				}
				for range 2 {
					if c.header != nil && c.header[0] == "Expect" {
						break // the handler is not called
					}
					if err := receive(t, "the Read's end", failed); err == nil {
						t.Error("a body without an end was read to its end")
					}
				}
				wait(t, "the permits", func() bool { return g.Snapshot().InFlight == 0 })
				if got := g.Snapshot(); got.Failures != 0 {
					t.Errorf("%d failures of the service", got.Failures)
				}
			})
		}
	}
}

// TestALateBodyIsAnsweredUnmarked, for the handler had begun.
func TestALateBodyIsAnsweredUnmarked(t *testing.T) {
	s := serve(t, handler(t, guard(t, shortly), func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}), protocol("http1"))
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 408 || resp.Header.Get("Backstay-Refused") != "" || !resp.Close {
		t.Errorf("%d, refused %q, close %t", resp.StatusCode, resp.Header.Get("Backstay-Refused"), resp.Close)
	}
}

// TestASlowReaderHoldsNoPermitPastTheDeadline, and counts for nothing.
func TestASlowReaderHoldsNoPermitPastTheDeadline(t *testing.T) {
	for _, name := range []string{"http1", "http2", "https2"} {
		for what, write := range map[string]func(w http.ResponseWriter) error{
			"writes": func(w http.ResponseWriter) error {
				for chunk := make([]byte, 64<<10); ; {
					if _, err := w.Write(chunk); err != nil {
						return err
					}
				}
			},
			"a file": func(w http.ResponseWriter) error {
				_, err := io.Copy(w, zeros{})
				return err
			},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				g := guard(t, shortly)
				failed := make(chan error, 2)
				s := serve(t, handler(t, g, func(w http.ResponseWriter, r *http.Request) { failed <- write(w) }), protocol(name))
				for range 2 {
					resp, err := s.client.Do(request(t, t.Context(), "GET", s.URL, ""))
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
				}
				for range 2 {
					if err := receive(t, "the write's end", failed); err == nil {
						t.Error("no error")
					}
				}
				wait(t, "the permits", func() bool { return g.Snapshot().InFlight == 0 })
				if got := g.Snapshot(); got.Failures != 0 {
					t.Errorf("%d failures of the service", got.Failures)
				}
			})
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestALateAnswerIsSent: a handler that does not heed its context answers after the
// deadline, and a caller that waits for it reads it.
func TestALateAnswerIsSent(t *testing.T) {
	protocols(t, func(t *testing.T, p *http.Protocols) {
		s := serve(t, handler(t, guard(t, shortly), func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			_, _ = io.WriteString(w, strings.Repeat("late", 10_000))
		}), p)
		for range 2 {
			if resp, body := s.get(t, "/"); resp.StatusCode != 200 || len(body) != 40_000 {
				t.Errorf("%d, %d bytes", resp.StatusCode, len(body))
			}
		}
	})
}

// TestTheShorterReadDeadlineCounts: one that a middleware has set ends the body first,
// whether it is read ahead or by the handler, and is still there after it.
func TestTheShorterReadDeadlineCounts(t *testing.T) {
	for _, framing := range []string{"Content-Length: 10\r\n\r\nb", "Transfer-Encoding: chunked\r\n\r\n1\r\nb\r\n"} {
		var deadlines atomic.Int64
		inner := handler(t, guard(t), func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("read to its end: %v", err)
			}
		})
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
				t.Error(err)
			}
			inner.ServeHTTP(counted{w, &deadlines}, r)
		}), protocol("http1"))
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\n"+framing)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if deadlines.Load() != 0 {
			t.Errorf("the handler set %d deadlines in place of the middleware's", deadlines.Load())
		}
	}
}

// counted counts the read deadlines that are set, but for those that end a Read at once.
type counted struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c counted) SetReadDeadline(d time.Time) error {
	if d.IsZero() || d.After(time.Now()) {
		c.n.Add(1)
	}
	return http.NewResponseController(c.ResponseWriter).SetReadDeadline(d)
}

// TestTooLargeClosesTheConnection, as it does without a guard.
func TestTooLargeClosesTheConnection(t *testing.T) {
	s := serve(t, handler(t, guard(t), func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 10))
		var large *http.MaxBytesError
		if !errors.As(err, &large) {
			t.Errorf("%v", err)
		}
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}, func(c *server.HandlerConfig) { c.ReadAhead = -1 }), protocol("http1"))
	if resp, _ := s.answer(t, request(t, t.Context(), "POST", s.URL, "more than ten bytes")); !resp.Close {
		t.Error("the connection stays open")
	}
}

// TestABodyThatBreaksIsNotTheServicesFault: a handler that answers 500 to it is no failure.
func TestABodyThatBreaksIsNotTheServicesFault(t *testing.T) {
	g := guard(t, func(p *resilience.Policy) { p.Breaker = &resilience.BreakerPolicy{} })
	var ended atomic.Int64
	s := serve(t, handler(t, g, func(w http.ResponseWriter, r *http.Request) {
		defer ended.Add(1)
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, err.Error(), 500)
		}
	}), protocol("http1"))
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n")
	wait(t, "the handler", func() bool { return g.Snapshot().InFlight == 1 })
	_ = c.Close()
	wait(t, "the handler's end", func() bool { return ended.Load() == 1 && g.Snapshot().InFlight == 0 })
	if got := g.Snapshot(); got.Failures != 0 {
		t.Errorf("%d failures", got.Failures)
	}
}
