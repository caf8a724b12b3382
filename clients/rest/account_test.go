package rest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/resilience"
)

// passing hides the type of a base, as wrappers of others do: requests go over net/http.
type passing struct{ *rest.Base }

func (p passing) RoundTrip(r *http.Request) (*http.Response, error) { return p.Base.RoundTrip(r) }

// onAll runs a test with HTTP/1 over our own connections, HTTP/1 over net/http, and
// HTTP/2 with and without TLS.
func onAll(t *testing.T, h http.HandlerFunc, test func(t *testing.T, s *service, base http.RoundTripper)) {
	t.Helper()
	onEach(t, h, func(t *testing.T, s *service, base *rest.Base) { test(t, s, base) })
	t.Run("HTTP1 over net/http", func(t *testing.T) {
		s, base := serve(t, h), rest.NewBase(50)
		t.Cleanup(base.CloseIdleConnections)
		test(t, s, passing{base})
	})
}

// roundTrips is a base by a function.
type roundTrips func(*http.Request) (*http.Response, error)

func (f roundTrips) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// bodyFunc is a body that reads by a function.
type bodyFunc func(p []byte) (int, error)

func (f bodyFunc) Read(p []byte) (int, error) { return f(p) }

// observing is a guard that retries nothing and whose breaker observes each call.
func observing(t *testing.T, timeout time.Duration) *resilience.Guard {
	return guard(t, func(p *resilience.Policy) {
		p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 1000}
		p.Default = resilience.OperationPolicy{Timeout: timeout, Idempotent: true}
	})
}

// uploads are bodies that keep a server waiting, break off, or are not as long as they
// say. The second value is the length that the request states.
var uploads = map[string]func(release <-chan struct{}) (io.Reader, int64){
	"breaks off": func(<-chan struct{}) (io.Reader, int64) {
		return io.MultiReader(strings.NewReader("some"), bodyFunc(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF })), -1
	},
	"breaks off, length stated": func(<-chan struct{}) (io.Reader, int64) {
		return io.MultiReader(strings.NewReader("some"), bodyFunc(func([]byte) (int, error) { return 0, errors.New("disk") })), 1000
	},
	"shorter than stated": func(<-chan struct{}) (io.Reader, int64) { return strings.NewReader("short"), 1000 },
	"longer than stated":  func(<-chan struct{}) (io.Reader, int64) { return strings.NewReader(strings.Repeat("x", 2000)), 1000 },
	"stalls": func(release <-chan struct{}) (io.Reader, int64) {
		return bodyFunc(func([]byte) (int, error) { <-release; return 0, io.EOF }), -1
	},
	"stalls after some": func(release <-chan struct{}) (io.Reader, int64) {
		return io.MultiReader(strings.NewReader("some"), bodyFunc(func([]byte) (int, error) { <-release; return 0, io.EOF })), 1000
	},
	"trickles": func(release <-chan struct{}) (io.Reader, int64) {
		return bodyFunc(func(p []byte) (int, error) {
			select {
			case <-release:
				return 0, io.EOF
			case <-time.After(10 * time.Millisecond):
				return copy(p, "x"), nil
			}
		}), -1
	},
}

// TestACallersBodyCountsAgainstNobody: go-resty#448, envoy#6643. The dependency is well.
func TestACallersBodyCountsAgainstNobody(t *testing.T) {
	for name, body := range uploads {
		t.Run(name, func(t *testing.T) {
			onAll(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }, func(t *testing.T, s *service, base http.RoundTripper) {
				g := observing(t, 300*time.Millisecond)
				tr := &rest.Transport{Guard: g, Base: base}
				release := make(chan struct{})
				// A Read that blocks may keep RoundTrip beyond the deadline, and its server.
				time.AfterFunc(450*time.Millisecond, func() { close(release) })
				defer func() { <-release }()
				reader, length := body(release)
				r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL, io.NopCloser(reader))
				if err != nil {
					t.Fatal(err)
				}
				r.ContentLength = length
				if resp, err := tr.RoundTrip(r); err == nil {
					resp.Body.Close()
				}
				if sn := g.Snapshot(); sn.Failures != 0 || sn.Slow != 0 {
					t.Errorf("%d failures of %d calls", sn.Failures, sn.Calls)
				}
			})
		})
	}
}

// TestASlowUploadIsNoSlowCall: what the caller took is no latency of the dependency.
func TestASlowUploadIsNoSlowCall(t *testing.T) {
	onAll(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }, func(t *testing.T, s *service, base http.RoundTripper) {
		g := guard(t, func(p *resilience.Policy) {
			p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 1000, SlowCall: 250 * time.Millisecond}
		})
		sent := false
		r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL, bodyFunc(func(p []byte) (int, error) {
			if sent {
				return 0, io.EOF
			}
			sent = true
			<-time.After(400 * time.Millisecond)
			return copy(p, "late"), nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&rest.Transport{Guard: g, Base: base}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if sn := g.Snapshot(); sn.Slow != 0 || sn.Calls != 1 {
			t.Errorf("%d slow of %d calls", sn.Slow, sn.Calls)
		}
	})
}

// TestWhatCannotBeSentCountsAgainstNobody: it is the caller's, and often a user's input.
func TestWhatCannotBeSentCountsAgainstNobody(t *testing.T) {
	changes := map[string]func(r *http.Request){
		"method":                func(r *http.Request) { r.Method = "BAD METHOD" },
		"scheme":                func(r *http.Request) { r.URL.Scheme = "gopher" },
		"header name":           func(r *http.Request) { r.Header = http.Header{"X Bad": {"a"}} },
		"header value":          func(r *http.Request) { r.Header.Set("X-A", "a\nb") },
		"port":                  func(r *http.Request) { r.URL.Host = "127.0.0.1:99999" },
		"host header":           func(r *http.Request) { r.Host = "bad host\n" },
		"length without a body": func(r *http.Request) { r.ContentLength = 7 },
		"nil header":            func(r *http.Request) { r.Header = nil; r.Method = "BAD METHOD" },
		"trailer": func(r *http.Request) {
			r.Trailer = http.Header{"Content-Length": {"1"}}
			r.Body = io.NopCloser(strings.NewReader("x"))
		},
		"connection header": func(r *http.Request) { r.Header.Set("Connection", "no,t"); r.Header.Set("Transfer-Encoding", "bad") },
		"taken back": func(r *http.Request) {
			c := make(chan struct{})
			close(c)
			r.Cancel = c //lint:ignore SA1019 callers that are old still set it
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			onAll(t, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, s *service, base http.RoundTripper) {
				g := observing(t, 5*time.Second)
				r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
				if err != nil {
					t.Fatal(err)
				}
				change(r)
				resp, err := (&rest.Transport{Guard: g, Base: base}).RoundTrip(r)
				if err == nil {
					resp.Body.Close() // some of it net/http sends as it is
				}
				if sn := g.Snapshot(); sn.Failures != 0 {
					t.Errorf("%d failures: %v", sn.Failures, err)
				}
			})
		})
	}
	for name, in := range map[string]rest.Request{
		"escape":         {Path: "/v1/members/%zz"},
		"method":         {Path: "/", Method: "BAD METHOD"},
		"header":         {Path: "/", Header: http.Header{"X-A": {"a\nb"}}},
		"no slash":       {Path: "members"},
		"fragment":       {Path: "/a#b"},
		"body":           {Path: "/", Method: "POST", Body: func() {}},
		"no argument":    {Path: "/{id}"},
		"two arguments":  {Path: "/{id}", Args: []any{1, 2}},
		"empty argument": {Path: "/{id}", Args: []any{""}},
		"dots":           {Path: "/a/{id}/b", Args: []any{".."}},
		"another type":   {Path: "/{id}", Args: []any{1.5}},
	} {
		t.Run("typed, "+name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
			g := observing(t, 5*time.Second)
			c, err := rest.NewClient(rest.ClientConfig{BaseURL: s.URL})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseIdleConnections()
			if _, err := rest.Call[string](t.Context(), c, g, in); err == nil {
				t.Error("it was sent")
			}
			if _, err := resilience.Do(t.Context(), g, func(ctx context.Context) (string, error) { return rest.Attempt[string](ctx, c, in) }); err == nil {
				t.Error("it was sent in a call")
			}
			if sn := g.Snapshot(); sn.Failures != 0 || s.requests.Load() != 0 {
				t.Errorf("%d failures, %d requests", sn.Failures, s.requests.Load())
			}
		})
	}
}

// TestADependencysOwnErrorsCount: the reverse, for errors that look like a caller's.
func TestADependencysOwnErrorsCount(t *testing.T) {
	for name, cause := range map[string]error{
		"canceled": context.Canceled, "deadline": context.DeadlineExceeded, "EOF": io.EOF, "wrapped": &url.Error{Op: "Get", Err: context.Canceled},
	} {
		g := observing(t, 5*time.Second)
		tr := &rest.Transport{Guard: g, Base: roundTrips(func(*http.Request) (*http.Response, error) { return nil, cause })}
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://x.test/", nil)
		if resp, err := tr.RoundTrip(r); err == nil {
			resp.Body.Close()
		}
		c, err := rest.NewClient(rest.ClientConfig{BaseURL: "http://x.test", Base: tr.Base})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rest.Get[string](t.Context(), c, g, "/"); err == nil {
			t.Error("an answer")
		}
		if sn := g.Snapshot(); sn.Failures != 2 {
			t.Errorf("%s: %d failures of 2", name, sn.Failures)
		}
	}
	onAll(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}, func(t *testing.T, s *service, base http.RoundTripper) {
		g := observing(t, 5*time.Second)
		for range 3 { // uploads that take their time do not hide a server that breaks them off
			r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL, bodyFunc(slowly()))
			if err != nil {
				t.Fatal(err)
			}
			if resp, err := (&rest.Transport{Guard: g, Base: base}).RoundTrip(r); err == nil {
				resp.Body.Close()
			}
		}
		if sn := g.Snapshot(); sn.Failures != 3 {
			t.Errorf("%d failures of %d calls", sn.Failures, sn.Calls)
		}
	})
}

// slowly reads a little, after 30 ms.
func slowly() bodyFunc {
	sent := false
	return func(p []byte) (int, error) {
		if sent {
			return 0, io.EOF
		}
		sent = true
		<-time.After(30 * time.Millisecond)
		return copy(p, "late"), nil
	}
}

// TestConnectionsThatCallersKeepCountAgainstNobody: callers that do not close their
// answers take the connections of others. The server is well.
func TestConnectionsThatCallersKeepCountAgainstNobody(t *testing.T) {
	big := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 8<<20)) }
	for name, wrap := range map[string]func(b *rest.Base) http.RoundTripper{
		"own":      func(b *rest.Base) http.RoundTripper { return b },
		"net/http": func(b *rest.Base) http.RoundTripper { return passing{b} },
	} {
		t.Run(name, func(t *testing.T) {
			s, base := serve(t, big), rest.NewBase(2)
			defer base.CloseIdleConnections()
			g := observing(t, 300*time.Millisecond)
			tr := &rest.Transport{Guard: g, Base: wrap(base)}
			keeper := &rest.Transport{Guard: guard(t), Base: wrap(base)}
			for range 2 {
				r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
				resp, err := keeper.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
			}
			r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
			resp, err := tr.RoundTrip(r)
			if err == nil {
				resp.Body.Close()
				t.Fatal("there was a third connection")
			}
			if sn := g.Snapshot(); sn.Failures != 0 {
				t.Errorf("%d failures: %v", sn.Failures, err)
			}
		})
	}
}

// TestACallerThatDoesNotReadCountsAgainstNobody: its answer's time passes while it does
// something else. A body that keeps its reader waiting counts.
func TestACallerThatDoesNotReadCountsAgainstNobody(t *testing.T) {
	for name, c := range map[string]struct {
		reads bool
		want  int
	}{"the caller waits": {false, 0}, "the server waits": {true, 1}} {
		t.Run(name, func(t *testing.T) {
			onAll(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = w.Write(make([]byte, 100_000))
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}, func(t *testing.T, s *service, base http.RoundTripper) {
				g := observing(t, 400*time.Millisecond)
				r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
				resp, err := (&rest.Transport{Guard: g, Base: base}).RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if !c.reads {
					<-time.After(450 * time.Millisecond)
				}
				if _, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the body ended in %v", err)
				}
				if sn := g.Snapshot(); sn.Failures != c.want {
					t.Errorf("%d failures, want %d", sn.Failures, c.want)
				}
			})
		})
	}
}
