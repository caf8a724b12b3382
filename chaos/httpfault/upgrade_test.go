package httpfault_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/httpfault"
)

// letting are faults that let a handler answer, with what makes them short.
var letting = []chaos.What{
	{Kind: chaos.Latency, Delay: time.Millisecond}, {Kind: chaos.Latency, Delay: time.Millisecond, At: "after"}, {Kind: chaos.Latency, Delay: time.Millisecond, AfterBytes: 1},
	{Kind: chaos.SlowBody, Delay: time.Millisecond}, {Kind: chaos.Corrupt}, {Kind: chaos.Truncate, Bytes: 1}, {Kind: chaos.WrongLength}, {Kind: chaos.EndlessBody},
	{Kind: chaos.Reset, AfterBytes: 1}, {Kind: chaos.Drop, AfterBytes: 1}, {Kind: chaos.Hang, AfterBytes: 1},
}

// upgrade switches to a protocol that echoes, as a WebSocket does.
func upgrade(w http.ResponseWriter, _ *http.Request) {
	h, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "no Hijacker", http.StatusInternalServerError)
		return
	}
	conn, rw, err := h.Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	line, _ := rw.ReadString('\n')
	_, _ = io.WriteString(conn, line)
}

// TestUpgradesPass: below a handler and through a transport, under every rule that lets the
// handler answer (chi#544, goji#41).
func TestUpgradesPass(t *testing.T) {
	for _, what := range letting {
		i := inject(t, rule(what.Kind, func(w *chaos.What) { *w = what }))
		cfg := httpfault.Config{Dependency: "membership", Injector: i}
		handler := httptest.NewServer(httpfault.Handler(http.HandlerFunc(upgrade), cfg))
		bare := httptest.NewServer(http.HandlerFunc(upgrade))
		target, err := url.Parse(bare.URL)
		if err != nil {
			t.Fatal(err)
		}
		proxy := httputil.NewSingleHostReverseProxy(target)
		proxy.Transport = httpfault.Transport(&http.Transport{}, cfg)
		through := httptest.NewServer(proxy)
		for place, server := range map[string]*httptest.Server{"handler": handler, "transport": through} {
			if got := upgraded(t, server.Listener.Addr().String()); got != "hello\n" {
				t.Errorf("%s %s %s: %q", place, what.Kind, what.At, got)
			}
		}
		for _, s := range []*httptest.Server{handler, through, bare} {
			s.Close()
		}
	}
}

// upgraded upgrades a connection and returns the echo, or what was answered.
func upgraded(t *testing.T, addr string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return errors.Join(err, errors.New(resp.Status)).Error()
	}
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		t.Fatal(err)
	}
	line, _ := r.ReadString('\n')
	return line
}

// bareWriter has nothing but what a ResponseWriter must have.
type bareWriter struct{ http.ResponseWriter }

type (
	flusher  struct{ bareWriter }
	hijacker struct{ bareWriter }
	reader   struct{ bareWriter }
)

func (flusher) Flush() {}
func (hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, errors.New("hijacked")
}
func (r reader) ReadFrom(from io.Reader) (int64, error) { return io.Copy(r.ResponseWriter, from) }

// all has everything; behind wraps it.
type all struct {
	flusher
	http.Hijacker
	io.ReaderFrom
}

func (a all) Header() http.Header         { return a.flusher.Header() }
func (a all) Write(b []byte) (int, error) { return a.flusher.Write(b) }
func (a all) WriteHeader(status int)      { a.flusher.WriteHeader(status) }

type behind struct {
	bareWriter
	below http.ResponseWriter
}

func (b behind) Unwrap() http.ResponseWriter { return b.below }

// TestWritersHaveWhatTheServersHave: neither more nor less.
func TestWritersHaveWhatTheServersHave(t *testing.T) {
	base := func() bareWriter { return bareWriter{httptest.NewRecorder()} }
	everything := all{flusher{base()}, hijacker{base()}, reader{base()}}
	for name, w := range map[string]http.ResponseWriter{
		"none": base(), "flusher": flusher{base()}, "hijacker": hijacker{base()}, "reader": reader{base()}, "all": everything,
		"behind": behind{base(), everything},
	} {
		_, flushes := w.(http.Flusher)
		_, hijacks := w.(http.Hijacker)
		_, reads := w.(io.ReaderFrom)
		if name == "behind" {
			flushes, hijacks, reads = true, true, true
		}
		for _, what := range []chaos.What{{Kind: chaos.Latency, Delay: time.Millisecond, At: "after"}, {Kind: chaos.SlowBody, Delay: time.Millisecond}} {
			i := inject(t, rule(what.Kind, func(w *chaos.What) { *w = what }))
			httpfault.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, f := w.(http.Flusher)
				_, h := w.(http.Hijacker)
				_, r := w.(io.ReaderFrom)
				if f != flushes || h != hijacks || r != reads {
					t.Errorf("%s, %s: flushes %t, hijacks %t, reads %t", name, what.Kind, f, h, r)
				}
				if n, err := io.Copy(w, io.LimitReader(zeros{}, 1000)); n != 1000 || err != nil {
					t.Errorf("%s, %s: %d bytes, %v", name, what.Kind, n, err)
				}
			}), httpfault.Config{Dependency: "membership", Injector: i}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestAnswersWithoutABodyHaveNone: made up ones and those of a server, as net/http has them.
func TestAnswersWithoutABodyHaveNone(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for _, status := range []int{200, 204, 304, 404, 503} {
			bodiless := method == http.MethodHead || status == 204 || status == 304
			check := func(name string, resp *http.Response, err error) {
				t.Helper()
				if err != nil {
					t.Fatalf("%s %s %d: %v", name, method, status, err)
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				if bodiless && (len(text) > 0 || err != nil) {
					t.Errorf("%s %s %d: a body of %d bytes, %v", name, method, status, len(text), err)
				}
				said := resp.Header.Get("Content-Length")
				if status == 204 || status == 304 {
					if said != "" || resp.ContentLength != 0 {
						t.Errorf("%s %s %d: Content-Length %q, %d", name, method, status, said, resp.ContentLength)
					}
				} else if name == "made up" && said != strconv.FormatInt(resp.ContentLength, 10) {
					t.Errorf("%s %s %d: Content-Length %q, %d", name, method, status, said, resp.ContentLength)
				}
			}
			ask := func(base http.RoundTripper, what chaos.What) (*http.Response, error) {
				r, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1/", nil)
				if err != nil {
					t.Fatal(err)
				}
				i := inject(t, rule(what.Kind, func(w *chaos.What) { *w = what }))
				return httpfault.Transport(base, httpfault.Config{Dependency: "membership", Injector: i}).RoundTrip(r)
			}
			resp, err := ask(never{t}, chaos.What{Kind: chaos.Status, Status: status, Body: "hello"})
			check("made up", resp, err)
			for _, what := range letting {
				if !bodiless || what.Kind == chaos.Hang {
					continue
				}
				resp, err := ask(roundTrip(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
				}), what)
				check(string(what.Kind), resp, err)
			}
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestErrorsOfTheNetworkAreThatOfNet: a caller that looks for a *net.OpError finds it.
func TestErrorsOfTheNetworkAreThatOfNet(t *testing.T) {
	for kind, want := range map[chaos.Kind]struct {
		op  string
		err error
	}{chaos.Refuse: {"dial", syscall.ECONNREFUSED}, chaos.Reset: {"read", syscall.ECONNRESET}, chaos.TLSFailure: {"remote error", nil}} {
		i := inject(t, rule(kind))
		r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, "http://127.0.0.1/", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = httpfault.Transport(never{t}, httpfault.Config{Dependency: "membership", Injector: i}).RoundTrip(r) //nolint:bodyclose // an error
		op, call := (*net.OpError)(nil), (*os.SyscallError)(nil)
		if !errors.As(err, &op) || op.Op != want.op || want.err != nil && (!errors.Is(err, want.err) || !errors.As(err, &call)) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
