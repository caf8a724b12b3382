package server_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/rest/server"
	"github.com/backstay-go/backstay/resilience"
)

// TestACallerThatHasGoneEndsTheContext: the standard HTTP/1.1 server notices only once
// the body is read (golang/go#23262); here the handler does not read it.
func TestACallerThatHasGoneEndsTheContext(t *testing.T) {
	for _, c := range []struct{ name, method, body string }{
		{"GET", "GET", ""}, {"POST, body unread", "POST", "body"}, {"POST, largest that is read ahead", "POST", strings.Repeat("x", 64<<10)},
	} {
		t.Run(c.name, func(t *testing.T) {
			protocols(t, func(t *testing.T, p *http.Protocols) {
				g := guard(t)
				began, ended := make(chan struct{}), make(chan error, 1)
				s := serve(t, handler(t, g, func(w http.ResponseWriter, r *http.Request) {
					close(began)
					<-r.Context().Done()
					ended <- r.Context().Err()
				}), p)
				ctx, cancel := context.WithCancel(t.Context())
				done := s.do(request(t, ctx, c.method, s.URL, c.body))
				receive(t, "it runs", began)
				cancel()
				if err := receive(t, "the handler notices", ended); err != context.Canceled {
					t.Error(err)
				}
				receive(t, "the caller has gone", done)
				free(t, g)
			})
		})
	}
}

// TestACallerThatHasGoneLeavesTheQueue: the body is read while it waits, too.
func TestACallerThatHasGoneLeavesTheQueue(t *testing.T) {
	protocols(t, func(t *testing.T, p *http.Protocols) {
		b := newBlock()
		g := guard(t, limits(1, 10))
		s := serve(t, handler(t, g, b.ServeHTTP), p)
		running := s.do(request(t, t.Context(), "GET", s.URL, ""))
		receive(t, "one runs", b.began)
		ctx, cancel := context.WithCancel(t.Context())
		gone := s.do(request(t, ctx, "POST", s.URL, "body"))
		wait(t, "one waits", func() bool { return g.Snapshot().Waiting == 1 })
		cancel()
		receive(t, "the caller has gone", gone)
		wait(t, "none waits", func() bool { return g.Snapshot().Waiting == 0 })
		close(b.release)
		receive(t, "the first is served", running)
		if len(b.began) != 0 {
			t.Error("a request of a caller that has gone was begun")
		}
	})
}

// TestReadDeadlineAfterTheBody: a handler that bounds the reading of a body, which was
// read ahead, does not end itself.
func TestReadDeadlineAfterTheBody(t *testing.T) {
	protocols(t, func(t *testing.T, p *http.Protocols) {
		s := serve(t, handler(t, guard(t), func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(5 * time.Millisecond)); err != nil {
				t.Error(err)
			}
			timer := time.NewTimer(50 * time.Millisecond)
			defer timer.Stop()
			select {
			case <-r.Context().Done():
				t.Error("the context ended")
			case <-timer.C:
			}
			if b, err := io.ReadAll(r.Body); string(b) != "body" || err != nil {
				t.Errorf("%q, %v", b, err)
			}
		}), p)
		if resp, _ := s.answer(t, request(t, t.Context(), "POST", s.URL, "body")); resp.StatusCode != 200 {
			t.Error(resp.Status)
		}
	})
}

// TestConversation: a body of unknown length is not read ahead, for its end may wait
// for the answer's beginning.
func TestConversation(t *testing.T) {
	s := serve(t, handler(t, guard(t), func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		in := bufio.NewReader(r.Body)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, strings.ToUpper(line))
			if rc.Flush() != nil {
				return // the caller has heard enough
			}
		}
	}), protocol("http2"))
	in, out := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL, in)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(out, "one\n") }()
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(resp.Body)
	for _, word := range []string{"ONE\n", "TWO\n"} {
		if got, err := answers.ReadString('\n'); got != word || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		_, _ = io.WriteString(out, "two\n")
	}
	_ = out.Close()
	_ = resp.Body.Close()
}

// TestASlowBodyHoldsNoPermit, and is refused when its time is over.
func TestASlowBodyHoldsNoPermit(t *testing.T) {
	protocols(t, func(t *testing.T, p *http.Protocols) {
		g := guard(t)
		var runs atomic.Int64
		s := serve(t, handler(t, g, func(w http.ResponseWriter, r *http.Request) { runs.Add(1) }), p)
		in, out := io.Pipe()
		defer out.Close()
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL, in)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = 100
		req.Header.Set("Backstay-Timeout-Ms", "300")
		go func() { _, _ = io.WriteString(out, "begin") }()
		resp, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		refusal(t, resp, string(body), 408, "deadline", "")
		if runs.Load() != 0 || g.Snapshot().InFlight != 0 {
			t.Errorf("%d runs, %d in flight", runs.Load(), g.Snapshot().InFlight)
		}
	})
}

// TestExpectContinue: a refusal spares the upload.
func TestExpectContinue(t *testing.T) {
	b := newBlock()
	g := guard(t, limits(1, 0))
	s := serve(t, handler(t, g, b.ServeHTTP), protocol("http1"))
	s.client.Transport.(*http.Transport).ExpectContinueTimeout = patience
	running := s.do(request(t, t.Context(), "POST", s.URL, "body", "Expect", "100-continue"))
	receive(t, "one runs", b.began)
	read := false
	req := request(t, t.Context(), "POST", s.URL, "", "Expect", "100-continue")
	req.ContentLength = 4
	req.Body = io.NopCloser(readFunc(func([]byte) (int, error) { read = true; return 0, io.EOF }))
	resp, body := s.answer(t, req)
	refusal(t, resp, body, 503, "overload", "1")
	if read {
		t.Error("the body was sent")
	}
	close(b.release)
	if resp := receive(t, "the first is served", running); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestAHandlerThatIgnoresItsContextKeepsItsPermit. The standard TimeoutHandler answers
// and lets such handlers pile up.
func TestAHandlerThatIgnoresItsContextKeepsItsPermit(t *testing.T) {
	protocols(t, func(t *testing.T, p *http.Protocols) {
		b := newBlock()
		g := guard(t, limits(2, 0))
		s := serve(t, handler(t, g, b.ServeHTTP), p)
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			receive(t, "the caller leaves", s.do(request(t, ctx, "GET", s.URL, "", "Backstay-Timeout-Ms", "50")))
			cancel()
			receive(t, "it runs", b.began)
		}
		resp, body := s.get(t, "/")
		refusal(t, resp, body, 503, "overload", "1")
		if n := g.Snapshot().InFlight; n != 2 {
			t.Errorf("%d in flight", n)
		}
		close(b.release)
		free(t, g)
		if resp, _ := s.get(t, "/"); resp.StatusCode != 200 {
			t.Error(resp.Status)
		}
	})
}

func TestPanics(t *testing.T) {
	protocols(t, func(t *testing.T, p *http.Protocols) {
		g := guard(t)
		s := serve(t, handler(t, g, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/abort" {
				_, _ = io.WriteString(w, "half")
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
			breaks()
		}), p)
		if resp := receive(t, "the connection breaks", s.do(request(t, t.Context(), "POST", s.URL+"/panic", ""))); resp != nil {
			t.Error(resp.Status)
		}
		free(t, g)
		wait(t, "the log has the handler's stack", func() bool {
			return strings.Contains(s.log.String(), "broken") && strings.Contains(s.log.String(), "server_test.breaks")
		})
		before := s.log.String()
		resp, err := s.client.Do(request(t, t.Context(), "GET", s.URL+"/abort", ""))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("an aborted answer seems whole: %q", b)
		}
		_ = resp.Body.Close()
		free(t, g)
		if s.log.String() != before {
			t.Errorf("an abort is logged: %s", strings.TrimPrefix(s.log.String(), before))
		}
	})
}

func breaks() { panic("broken") }

// TestDetachedByUpdate: a policy that is changed to one that NewHandler refuses does not
// let a handler outlive its connection, or run twice.
func TestDetachedByUpdate(t *testing.T) {
	g := guard(t)
	var runs atomic.Int64
	s := serve(t, handler(t, g, func(w http.ResponseWriter, r *http.Request) {
		runs.Add(1)
		switch r.URL.Path {
		case "/late":
			<-r.Context().Done()
			timer := time.NewTimer(20 * time.Millisecond)
			defer timer.Stop()
			<-timer.C
			_, _ = io.WriteString(w, "late")
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/panic":
			panic("broken")
		}
	}), protocol("http1"))
	for name, change := range map[string]func(*resilience.OperationPolicy){
		"detach": func(o *resilience.OperationPolicy) { o.Detach = true },
		"hedge": func(o *resilience.OperationPolicy) {
			o.Idempotent, o.Hedge = true, &resilience.HedgePolicy{Delay: time.Millisecond}
		},
		"retry": func(o *resilience.OperationPolicy) { o.Idempotent, o.Retry = true, &resilience.RetryPolicy{} },
	} {
		p := g.Policy()
		p.Default = resilience.OperationPolicy{Timeout: patience}
		change(&p.Default)
		if err := g.Update(p); err != nil {
			t.Fatal(err)
		}
		runs.Store(0)
		if resp, body := s.get(t, "/late", "Backstay-Timeout-Ms", "20"); resp.StatusCode != 200 || body != "late" {
			t.Errorf("%s: %s %q", name, resp.Status, body)
		}
		if resp := receive(t, "it breaks", s.do(request(t, t.Context(), "POST", s.URL+"/abort", ""))); resp != nil {
			t.Errorf("%s: abort: %s", name, resp.Status)
		}
		if resp := receive(t, "it breaks", s.do(request(t, t.Context(), "POST", s.URL+"/panic", ""))); resp != nil {
			t.Errorf("%s: panic: %s", name, resp.Status)
		}
		free(t, g)
		if runs.Load() != 3 {
			t.Errorf("%s: %d runs, want 3", name, runs.Load())
		}
	}
}

// TestPolicyWithoutTheOperation: an update took the operation away.
func TestPolicyWithoutTheOperation(t *testing.T) {
	g := guard(t, func(p *resilience.Policy) {
		p.Operations = map[string]resilience.OperationPolicy{"read": {Timeout: time.Second}}
	})
	s := serve(t, handler(t, g, func(w http.ResponseWriter, r *http.Request) { t.Error("it ran") },
		func(c *server.HandlerConfig) { c.Routes = map[string]string{"/": "read"} }), protocol("http1"))
	p := g.Policy()
	p.Operations = nil
	if err := g.Update(p); err != nil {
		t.Fatal(err)
	}
	if resp, _ := s.get(t, "/"); resp.StatusCode != 500 || resp.Header.Get("Backstay-Refused") != "" {
		t.Error(resp.Status, resp.Header)
	}
	if !strings.Contains(s.log.String(), `no operation "read"`) {
		t.Error(s.log)
	}
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

// echo takes the connection over and sends back what comes, as a WebSocket would.
func echo(t *testing.T, done chan<- error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		defer context.AfterFunc(r.Context(), func() { _ = conn.Close() })()
		_, _ = io.WriteString(conn, switching)
		_, err = io.Copy(conn, buf)
		if done != nil {
			done <- err
		}
	}
}

// upgrade opens a connection with another protocol.
func upgrade(t *testing.T, addr string, header ...string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n%s\r\n", strings.Join(append(header, ""), "\r\n")); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v, %v", resp, err)
	}
	return c, in
}

func says(t *testing.T, c net.Conn, in *bufio.Reader) {
	t.Helper()
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := in.ReadString('\n'); got != "hello\n" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
}

// TestUpgrade: the deadline ends with the request; the permit is that of a guard of
// its own, and is held while the connection lives.
func TestUpgrade(t *testing.T) {
	g, long := guard(t), guard(t, func(p *resilience.Policy) { p.Name, p.Default.Timeout = "upgrades", 100*time.Millisecond })
	s := serve(t, handler(t, g, echo(t, nil), func(c *server.HandlerConfig) { c.Upgrades = long }), protocol("http1"))
	c, in := upgrade(t, s.Listener.Addr().String(), "Backstay-Timeout-Ms: 100")
	says(t, c, in)
	timer := time.NewTimer(200 * time.Millisecond)
	<-timer.C // the deadline passes
	says(t, c, in)
	if g.Snapshot().InFlight != 0 || long.Snapshot().InFlight != 1 {
		t.Errorf("%d and %d in flight", g.Snapshot().InFlight, long.Snapshot().InFlight)
	}
	_ = c.Close()
	free(t, long)
}

// TestWhatTheConnectionCanDo: handlers find the same abilities as without the guard.
func TestWhatTheConnectionCanDo(t *testing.T) {
	protocols(t, func(t *testing.T, p *http.Protocols) {
		s := serve(t, handler(t, guard(t), func(w http.ResponseWriter, r *http.Request) {
			_, flusher := w.(http.Flusher)
			_, hijacker := w.(http.Hijacker)
			_, from := w.(io.ReaderFrom)
			if !flusher || !from || hijacker != (r.ProtoMajor == 1) {
				t.Errorf("flusher %v, hijacker %v, reader from %v", flusher, hijacker, from)
			}
			rc := http.NewResponseController(w)
			if err := rc.SetWriteDeadline(time.Now().Add(patience)); err != nil {
				t.Error(err)
			}
			if err := rc.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Error(err)
			}
			w.Header().Set("Trailer", "X-Sum")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusAccepted)
			if n, err := io.Copy(w, strings.NewReader("body")); n != 4 || err != nil {
				t.Error(n, err)
			}
			w.(http.Flusher).Flush()
			w.Header().Set("X-Sum", "4")
		}), p)
		resp, body := s.get(t, "/")
		if resp.StatusCode != 202 || body != "body" || resp.Trailer.Get("X-Sum") != "4" {
			t.Error(resp.Status, body, resp.Trailer)
		}
	})
}

// TestFormFilesAreRemoved: the standard server removes the files of a form once the
// handler has ended, if it finds the form.
func TestFormFilesAreRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := serve(t, handler(t, guard(t), func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(os.TempDir()); len(left) != 1 || err != nil {
			t.Errorf("%d files, %v", len(left), err)
		}
	}), protocol("http1"))
	var form bytes.Buffer
	mw := multipart.NewWriter(&form)
	part, err := mw.CreateFormFile("file", "name")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write(make([]byte, 11<<20)) // less is kept in memory
	_ = mw.Close()
	if resp, _ := s.answer(t, request(t, t.Context(), "POST", s.URL, form.String(), "Content-Type", mw.FormDataContentType())); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
	wait(t, "the file is removed", func() bool {
		left, err := os.ReadDir(os.TempDir())
		return err == nil && len(left) == 0
	})
}
