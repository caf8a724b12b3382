package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/rest/server"
	"github.com/backstay-go/backstay/resilience"
)

func TestConfigNamesEveryProblem(t *testing.T) {
	bad := guard(t, func(p *resilience.Policy) {
		p.Default.Detach = true
		p.Operations = map[string]resilience.OperationPolicy{"read": {Timeout: time.Second, Idempotent: true,
			Retry: &resilience.RetryPolicy{}, Hedge: &resilience.HedgePolicy{Delay: time.Millisecond}}}
	})
	ok := http.NotFoundHandler()
	for _, c := range []struct {
		name string
		next http.Handler
		cfg  server.HandlerConfig
		want []string
	}{
		{"nothing", nil, server.HandlerConfig{RetryAfter: -1}, []string{"handler is nil", "Guard is nil", "RetryAfter"}},
		{"runs twice", ok, server.HandlerConfig{Guard: bad, Upgrades: bad}, []string{"Guard: the policy of api/default has detach", "api/read has retry", "api/read has hedge", "Upgrades: the policy"}},
		{"routes", ok, server.HandlerConfig{Guard: guard(t), Routes: map[string]string{"GET /a": "fast", "GET a": "default"}}, []string{`Routes["GET /a"] is "fast"`, `Routes["GET a"]`}},
	} {
		_, err := server.NewHandler(c.next, c.cfg)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", c.name, err, want)
			}
		}
	}
}

func TestARequestRunsAsACall(t *testing.T) {
	protocols(t, func(t *testing.T, p *http.Protocols) {
		g := guard(t, func(p *resilience.Policy) {
			p.Operations = map[string]resilience.OperationPolicy{"read": {Timeout: time.Minute}}
		})
		s := serve(t, handler(t, g, func(w http.ResponseWriter, r *http.Request) {
			info, ok := resilience.AttemptFrom(r.Context())
			d, timed := r.Context().Deadline()
			if !ok || !timed || g.Snapshot().InFlight != 1 {
				t.Errorf("attempt %v, deadline %v, %d in flight", ok, timed, g.Snapshot().InFlight)
			}
			if left := time.Until(d); (left > patience) != (info.Operation == "read") {
				t.Errorf("%s has %v", info.Operation, left)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, info.Operation+" "+string(body))
		}, func(c *server.HandlerConfig) { c.Routes = map[string]string{"GET /v1/{id}": "read"} }), p)
		if _, body := s.get(t, "/v1/7"); body != "read " {
			t.Error(body)
		}
		for _, body := range []string{"small", strings.Repeat("large", 50_000)} {
			if _, got := s.answer(t, request(t, t.Context(), "POST", s.URL+"/v1/7", body)); got != "default "+body {
				t.Errorf("%d bytes", len(got))
			}
		}
		free(t, g)
	})
}

// TestWhatCameIsInherited asks a guard below what reached it.
func TestWhatCameIsInherited(t *testing.T) {
	below := guard(t, func(p *resilience.Policy) {
		p.Name, p.Default.Idempotent = "below", true
		p.Default.Retry = &resilience.RetryPolicy{MaxAttempts: 2, BaseDelay: time.Millisecond}
	})
	for _, c := range []struct {
		name    string
		header  []string
		trusted bool
		within  time.Duration
		class   resilience.Criticality
		tries   int
	}{
		{"nothing", nil, true, patience, resilience.Critical, 2},
		{"backstay", []string{"Backstay-Timeout-Ms", "9000", "Backstay-Criticality", "sheddable_plus", "Backstay-Attempt", "2"}, true, 9 * time.Second, resilience.SheddablePlus, 1},
		{"grpc", []string{"Grpc-Timeout", "9S", "Grpc-Previous-Rpc-Attempts", "1"}, true, 9 * time.Second, resilience.Critical, 1},
		{"no more than ours", []string{"Backstay-Timeout-Ms", "9000000", "Backstay-Criticality", "critical_plus", "Backstay-Attempt", "1"}, true, patience, resilience.Critical, 2},
		{"a stranger", []string{"Backstay-Timeout-Ms", "9000", "Backstay-Criticality", "sheddable", "Backstay-Attempt", "2"}, false, patience, resilience.Critical, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			protocols(t, func(t *testing.T, p *http.Protocols) {
				h := handler(t, guard(t), func(w http.ResponseWriter, r *http.Request) {
					for _, name := range []string{"Backstay-Timeout-Ms", "Backstay-Criticality", "Backstay-Attempt"} {
						if r.Header.Get(name) != "" {
							t.Errorf("the handler sees %s, and may pass it on", name)
						}
					}
					tries := 0
					_, err := resilience.Do(r.Context(), below, func(ctx context.Context) (int, error) {
						tries++
						info, _ := resilience.AttemptFrom(ctx)
						if d, _ := ctx.Deadline(); info.Criticality != c.class || time.Until(d) > c.within || time.Until(d) < c.within-8*time.Second {
							t.Errorf("class %v, %v left", info.Criticality, time.Until(d))
						}
						return 0, errors.New("no")
					})
					if err == nil || tries != c.tries {
						t.Errorf("%d tries, want %d: %v", tries, c.tries, err)
					}
				}, func(cfg *server.HandlerConfig) {
					if !c.trusted {
						cfg.Trust = server.Networks()
					}
				})
				s := serve(t, h, p)
				if resp, _ := s.get(t, "/", c.header...); resp.StatusCode != 200 {
					t.Error(resp.Status)
				}
			})
		})
	}
}

// refusal checks what every refusal has.
func refusal(t *testing.T, resp *http.Response, body string, status int, why, after string) {
	t.Helper()
	var p struct {
		Type, Title, Detail, Refused string
		Status                       int
		RetryAfter                   int `json:"retry_after_s"`
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Errorf("%v: %q", err, body)
	}
	if resp.StatusCode != status || resp.Header.Get("Backstay-Refused") != why || resp.Header.Get("Retry-After") != after ||
		resp.Header.Get("Content-Type") != "application/problem+json" || resp.Header.Get("Cache-Control") != "no-store" ||
		p.Status != status || p.Refused != why || p.Title == "" || p.Detail == "" || p.Type != "about:blank" {
		t.Errorf("%s %v %s, want %d %s after %q", resp.Status, resp.Header, body, status, why, after)
	}
}

// block runs handlers until released, and tells of each that began.
type block struct {
	began   chan struct{}
	release chan struct{}
}

func newBlock() *block {
	return &block{began: make(chan struct{}, 1000), release: make(chan struct{})}
}

func (b *block) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.began <- struct{}{}
	<-b.release
}

// do sends a request and passes on the status, 0 for an error.
func (s *site) do(req *http.Request) <-chan *http.Response {
	done := make(chan *http.Response, 1)
	go func() {
		resp, err := s.client.Do(req)
		if err != nil {
			done <- nil
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		done <- resp
	}()
	return done
}

// throttle lets calls fail until as good as every one is refused.
func throttle(t *testing.T, g *resilience.Guard) {
	t.Helper()
	for range 200_000 {
		_, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { return 0, errors.New("down") })
		if err == nil {
			t.Fatal("a call that fails has no error")
		}
	}
}

func TestRefusals(t *testing.T) {
	var runs atomic.Int64
	count := func(w http.ResponseWriter, r *http.Request) {
		if runs.Add(1); r.URL.Path == "/bad" {
			w.WriteHeader(500)
		}
	}
	one := func(change ...func(*resilience.Policy)) func(t *testing.T) (*resilience.Guard, http.Handler) {
		return func(t *testing.T) (*resilience.Guard, http.Handler) {
			g := guard(t, change...)
			return g, handler(t, g, count)
		}
	}
	for _, c := range []struct {
		name   string
		make   func(*testing.T) (*resilience.Guard, http.Handler)
		before func(t *testing.T, g *resilience.Guard, s *site)
		header []string
		status int
		why    string
		after  string
		runs   int64
	}{
		{name: "no time", make: one(), header: []string{"Backstay-Timeout-Ms", "0"}, status: 503, why: "deadline"},
		{name: "closed", make: one(), before: func(t *testing.T, g *resilience.Guard, _ *site) { _ = g.Close() }, status: 503, why: "draining", after: "1"},
		{name: "rate", make: one(func(p *resilience.Policy) { p.RateLimit = &resilience.RateLimitPolicy{PerSecond: 1e-6, Burst: 1} }),
			before: func(t *testing.T, _ *resilience.Guard, s *site) { s.get(t, "/") }, status: 429, why: "overload", after: "1", runs: 1},
		{name: "throttle", make: one(func(p *resilience.Policy) { p.Throttle = &resilience.ThrottlePolicy{K: 1} }),
			before: func(t *testing.T, g *resilience.Guard, _ *site) { throttle(t, g) }, status: 503, why: "overload", after: "1"},
		{name: "open", make: one(func(p *resilience.Policy) {
			p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 1, OpenFor: time.Hour, Jitter: -1}
		}), before: func(t *testing.T, _ *resilience.Guard, s *site) { s.get(t, "/bad") }, status: 503, why: "overload", after: "3600", runs: 1},
		{name: "forced open", make: one(func(p *resilience.Policy) { p.Breaker = &resilience.BreakerPolicy{Mode: resilience.BreakerForcedOpen} }),
			status: 503, why: "overload", after: "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			protocols(t, func(t *testing.T, p *http.Protocols) {
				runs.Store(0)
				g, h := c.make(t)
				s := serve(t, h, p)
				if c.before != nil {
					c.before(t, g, s)
				}
				resp, body := s.answer(t, request(t, t.Context(), "POST", s.URL, "body", c.header...))
				refusal(t, resp, body, c.status, c.why, c.after)
				if runs.Load() != c.runs {
					t.Errorf("the handler ran %d times, want %d", runs.Load(), c.runs)
				}
			})
		})
	}
}

func TestOverloadIsRefused(t *testing.T) {
	protocols(t, func(t *testing.T, p *http.Protocols) {
		b := newBlock()
		g := guard(t, limits(2, 0))
		s := serve(t, handler(t, g, b.ServeHTTP, func(c *server.HandlerConfig) { c.RetryAfter = 1500 * time.Millisecond }), p)
		first, second := s.do(request(t, t.Context(), "GET", s.URL, "")), s.do(request(t, t.Context(), "GET", s.URL, ""))
		receive(t, "two run", b.began)
		receive(t, "two run", b.began)
		for range 10 {
			resp, body := s.get(t, "/")
			refusal(t, resp, body, 503, "overload", "2")
		}
		close(b.release)
		if a, b := receive(t, "an answer", first), receive(t, "an answer", second); a.StatusCode != 200 || b.StatusCode != 200 {
			t.Error(a.Status, b.Status)
		}
		free(t, g)
	})
}

// TestLeastImportantIsShedFirst fills the queue with sheddable requests; a critical one
// takes the place of one of them.
func TestLeastImportantIsShedFirst(t *testing.T) {
	protocols(t, func(t *testing.T, p *http.Protocols) {
		b := newBlock()
		g := guard(t, limits(1, 1))
		s := serve(t, handler(t, g, b.ServeHTTP), p)
		running := s.do(request(t, t.Context(), "GET", s.URL, ""))
		receive(t, "one runs", b.began)
		shed := s.do(request(t, t.Context(), "GET", s.URL, "", "Backstay-Criticality", "sheddable"))
		wait(t, "one waits", func() bool { return g.Snapshot().Waiting == 1 })
		critical := s.do(request(t, t.Context(), "GET", s.URL, ""))
		if resp := receive(t, "the sheddable one is refused", shed); resp.StatusCode != 503 || resp.Header.Get("Backstay-Refused") != "overload" {
			t.Error(resp.Status, resp.Header)
		}
		close(b.release)
		if resp := receive(t, "the critical one is served", critical); resp.StatusCode != 200 {
			t.Error(resp.Status)
		}
		receive(t, "the first is served", running)
	})
}

// TestWhatCannotBeDoneInTimeIsRefused: once requests are known to take 30 ms at least,
// one with 5 ms left is refused before it begins.
func TestWhatCannotBeDoneInTimeIsRefused(t *testing.T) {
	var runs atomic.Int64
	g := guard(t)
	s := serve(t, handler(t, g, func(w http.ResponseWriter, r *http.Request) {
		runs.Add(1)
		timer := time.NewTimer(30 * time.Millisecond)
		defer timer.Stop()
		<-timer.C
	}), protocol("http1"))
	for range 25 {
		s.get(t, "/")
	}
	refused := 0
	for range 10 {
		before := runs.Load()
		resp, body := s.get(t, "/", "Backstay-Timeout-Ms", "5")
		if resp.Header.Get("Backstay-Refused") != "" {
			refusal(t, resp, body, 503, "deadline", "")
			refused++
			if runs.Load() != before {
				t.Error("the handler ran")
			}
		}
	}
	if refused == 0 {
		t.Error("none was refused")
	}
	if resp, _ := s.get(t, "/", "Backstay-Timeout-Ms", "20000"); resp.StatusCode != 200 {
		t.Errorf("one with time enough: %s", resp.Status)
	}
}

// TestLateInTheQueue: a request whose time is over while it waits is refused, marked.
func TestLateInTheQueue(t *testing.T) {
	b := newBlock()
	g := guard(t, limits(1, 5))
	s := serve(t, handler(t, g, b.ServeHTTP), protocol("http1"))
	running := s.do(request(t, t.Context(), "GET", s.URL, ""))
	receive(t, "one runs", b.began)
	resp, body := s.get(t, "/", "Backstay-Timeout-Ms", "20")
	refusal(t, resp, body, 503, "deadline", "")
	close(b.release)
	receive(t, "the first is served", running)
}

// TestSilentHandlerAtTheDeadline: a handler that gives up without a word does not make
// a 200, and the answer is not marked as not processed.
func TestSilentHandlerAtTheDeadline(t *testing.T) {
	protocols(t, func(t *testing.T, p *http.Protocols) {
		g := guard(t)
		s := serve(t, handler(t, g, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), p)
		resp, body := s.get(t, "/", "Backstay-Timeout-Ms", "20")
		if resp.StatusCode != 503 || resp.Header.Get("Backstay-Refused") != "" || resp.Header.Get("Retry-After") != "" || !strings.Contains(body, "may have been processed") {
			t.Error(resp.Status, resp.Header, body)
		}
	})
}

func TestAnswersCountForTheGuard(t *testing.T) {
	g := guard(t, func(p *resilience.Policy) { p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 1000} })
	s := serve(t, handler(t, g, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/500":
			w.WriteHeader(500)
		case "/404":
			w.WriteHeader(404)
		case "/501":
			w.WriteHeader(501)
		case "/503":
			w.WriteHeader(503)
		case "/refuses":
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(503)
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/panic":
			panic("oh")
		}
	}), protocol("http1"))
	for _, c := range []struct {
		path            string
		calls, failures int
	}{
		{"/200", 1, 0}, {"/404", 2, 0}, {"/501", 3, 0}, {"/500", 4, 1}, {"/503", 5, 2}, {"/refuses", 5, 2}, {"/abort", 5, 2}, {"/panic", 6, 3},
	} {
		receive(t, "an answer", s.do(request(t, t.Context(), "POST", s.URL+c.path, "")))
		wait(t, c.path, func() bool {
			snap := g.Snapshot()
			return snap.InFlight == 0 && snap.Calls == c.calls && snap.Failures == c.failures
		})
	}
}

// TestAdaptiveLimit: requests that all take longer than the objective lower the limit.
func TestAdaptiveLimit(t *testing.T) {
	g := guard(t, func(p *resilience.Policy) {
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 50, Adaptive: &resilience.AdaptivePolicy{Objective: 4 * time.Millisecond, Min: 2}}
	})
	s := serve(t, handler(t, g, func(w http.ResponseWriter, r *http.Request) {
		timer := time.NewTimer(5 * time.Millisecond)
		defer timer.Stop()
		<-timer.C
	}), protocol("http1"))
	wait(t, "the limit is lower", func() bool {
		s.get(t, "/")
		return g.Snapshot().Limit <= 10
	})
}
