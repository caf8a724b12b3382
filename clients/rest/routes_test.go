package rest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/clients/rest/cache"
	"github.com/backstay-go/backstay/resilience"
)

// seen is what the base saw of a request.
type seen struct {
	farm
	pattern, operation string
}

func (s *seen) RoundTrip(r *http.Request) (*http.Response, error) {
	info, _ := resilience.AttemptFrom(r.Context())
	s.pattern, s.operation = r.Pattern, info.Operation
	return s.farm.RoundTrip(r)
}

func TestRoutes(t *testing.T) {
	base := &seen{}
	g := guard(t, func(p *resilience.Policy) {
		p.Operations = map[string]resilience.OperationPolicy{"member": p.Default, "list": p.Default}
	})
	tr := &rest.Transport{Guard: g, Base: base, Routes: map[string]string{"GET /v1/members/{id}": "member", "/v1/members": "list"}}
	for _, c := range []struct{ method, path, pattern, operation string }{
		{"GET", "/v1/members/m-1", "GET /v1/members/{id}", "member"},
		{"GET", "/v1/members/m-2?x=y", "GET /v1/members/{id}", "member"},
		{"POST", "/v1/members", "/v1/members", "list"},
		{"GET", "/else", "", "default"},
		{"GET", "/v1//members/m-1", "", "default"}, // net/http would redirect; we only look
	} {
		r, _ := http.NewRequestWithContext(t.Context(), c.method, "http://membership"+c.path, nil)
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); base.pattern != c.pattern || base.operation != c.operation {
			t.Errorf("%s %s went as %q by %q", c.method, c.path, base.operation, base.pattern)
		}
	}
	unknown := &rest.Transport{Guard: g, Base: base, Routes: map[string]string{"/": "nothing"}}
	r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://membership/", nil)
	if _, err := unknown.RoundTrip(r); err == nil || !strings.Contains(err.Error(), `no operation "nothing"; there are: default, list, member`) {
		t.Errorf("an operation that is not there: %v", err)
	}
}

func TestHosts(t *testing.T) {
	a, b := &farm{}, &farm{}
	hosts := rest.Hosts{"a": {Guard: guard(t), Base: a}, "b:81": {Guard: guard(t), Base: b}}
	client := &http.Client{Transport: hosts}
	for _, url := range []string{"http://A/x", "http://b:81/y"} {
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if len(a.order) != 1 || len(b.order) != 1 {
		t.Errorf("%v, %v", a.order, b.order)
	}
	body := &noted{Reader: strings.NewReader("x")}
	if resp, err := client.Post("http://c/", "text/plain", body); err == nil || !strings.Contains(err.Error(), `no guard for the host "c"`) || body.closed.Load() == 0 {
		t.Errorf("%v, %v", resp, err)
	}
	client.CloseIdleConnections()
}

// TestAnswersThatForbidItAreNotRemembered: the guard's own fallback asks the answer.
func TestAnswersThatForbidItAreNotRemembered(t *testing.T) {
	for _, c := range []struct {
		control  string
		override []string
		served   bool
	}{
		{"", nil, true}, {"max-age=1", nil, true}, {"no-store", nil, false}, {"no-cache", nil, false},
		{"max-age=1, must-revalidate", nil, false}, {"no-store", []string{"no-store"}, true}, {"no-cache", []string{"no-store"}, false},
	} {
		fails := false
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if fails {
				w.WriteHeader(500)
				return
			}
			w.Header().Set("Cache-Control", c.control)
			_, _ = io.WriteString(w, "1")
		})
		g := guard(t, once, func(p *resilience.Policy) { p.Default.Stale = &resilience.StalePolicy{MaxAge: 1 << 40} })
		cl, err := rest.NewClient(rest.ClientConfig{BaseURL: s.URL, Remember: c.override})
		if err != nil {
			t.Fatal(err)
		}
		last := resilience.NewLastGood[int](1)
		get := func(ctx context.Context) (resilience.Result[int], error) {
			return rest.Get[int](ctx, cl, g, "/", last.For("k"))
		}
		if _, err := get(t.Context()); err != nil {
			t.Fatal(err)
		}
		fails = true
		if res, err := get(t.Context()); (err == nil) != c.served || c.served && (res.Source != resilience.Stale || res.Value != 1) {
			t.Errorf("%q, overridden %q: %+v, %v", c.control, c.override, res, err)
		}
		cl.CloseIdleConnections()
	}
	if _, err := rest.NewClient(rest.ClientConfig{BaseURL: "http://a", Remember: []string{"private"}}); err == nil {
		t.Error("private can't be overridden")
	}
}

// TestTheCacheStandsBeforeTheGuard: a hit needs no permit, and a stale answer stands in
// for a refusal; the caller sees it.
func TestTheCacheStandsBeforeTheGuard(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=0, stale-if-error=60")
		if r.URL.Path == "/fresh" {
			w.Header().Set("Cache-Control", "max-age=60")
		}
		_, _ = io.WriteString(w, r.URL.Path)
	})
	kept, err := cache.New(cache.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	g := guard(t, func(p *resilience.Policy) { p.Breaker = &resilience.BreakerPolicy{} })
	c := client(t, &rest.Transport{Guard: g, Cache: kept})
	for round := range 2 {
		for _, path := range []string{"/fresh", "/stale"} {
			resp, err := c.Get(s.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			status, ok := cache.Of(resp)
			if string(body) != path || !ok || status.Hit != (round == 1) || status.Stale != (round == 1 && path == "/stale") {
				t.Errorf("round %d, %s: %q, %+v", round, path, body, status)
			}
		}
		if err := g.Force(resilience.BreakerForcedOpen); err != nil {
			t.Fatal(err)
		}
	}
	if s.requests.Load() != 2 {
		t.Errorf("%d requests", s.requests.Load())
	}
}
