package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/app/journal"
	"github.com/backstay-go/backstay/licensesvc/app/token"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
	"github.com/backstay-go/backstay/resilience"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is the service over HTTP, on a real store and real servers.
type house struct {
	t     *testing.T
	url   string
	store *faulty
	keys  atomic.Bool
	told  chan api.RequestLog
}

// faulty is a store that can be gone.
type faulty struct {
	eventstore.LoadAppender
	gone atomic.Bool
}

func (f *faulty) Load(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	if f.gone.Load() {
		return eventstore.Page{}, eventstore.ErrUnavailable
	}
	return f.LoadAppender.Load(ctx, q)
}

func (f *faulty) Append(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	if f.gone.Load() {
		return eventstore.Appended{Outcome: eventstore.Rejected}, eventstore.ErrUnavailable
	}
	return f.LoadAppender.Append(ctx, c)
}

type wire struct {
	http.Transport
	gone *atomic.Bool
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.gone != nil && w.gone.Load() {
		return nil, errors.New("connection refused")
	}
	return w.Transport.RoundTrip(r)
}

func build(t *testing.T, change func(*api.Config)) *house {
	t.Helper()
	return buildBehind(t, api.FrontConfig{}, change)
}

// buildBehind builds the service behind a front door.
func buildBehind(t *testing.T, front api.FrontConfig, change func(*api.Config)) *house {
	t.Helper()
	h := &house{t: t, told: make(chan api.RequestLog, 1000)}
	dir, ctx := t.TempDir(), t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "events.db"), Between: func(file eventstore.LoadAppender) eventstore.LoadAppender {
		h.store = &faulty{LoadAppender: file}
		return h.store
	}})
	must(err)
	servers, err := server.Start(ctx, server.Config{})
	must(err)
	clients, err := upstream.New(upstream.Config{
		Membership: servers.URL("membership"), Catalog: servers.URL("catalog"), Keys: servers.URL("key-service"),
		Transport: func(name string) http.RoundTripper {
			w := &wire{}
			if name == upstream.KeyService {
				w.gone = &h.keys
			}
			return w
		},
	})
	must(err)
	kept, err := journal.Open(journal.Config{Path: filepath.Join(dir, "journal")})
	must(err)
	signer, err := token.Open(filepath.Join(dir, "token.key"))
	must(err)
	service, err := app.New(app.Config{Store: store, Upstream: clients, Journal: kept, Signer: signer})
	must(err)
	guard, err := resilience.New(api.Policy(time.Minute))
	must(err)
	cfg := api.Config{App: service, Guard: guard, OnRequest: func(t api.RequestLog) { h.told <- t }}
	if change != nil {
		change(&cfg)
	}
	handler, err := api.New(cfg)
	must(err)
	front.Routes = append(front.Routes, handler.Routes()...)
	door, err := api.NewFront(front)
	must(err)
	srv := httptest.NewServer(door)
	h.url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		http.DefaultClient.CloseIdleConnections()
		must(errors.Join(guard.Close(), kept.Close(), clients.Close(), servers.Shutdown(context.WithoutCancel(ctx)), store.Close()))
	})
	return h
}

// answer is what any route may answer with.
type answer struct {
	status int
	header http.Header
	raw    string

	Outcome   string        `json:"outcome"`
	License   api.License   `json:"license"`
	Licenses  []api.License `json:"licenses"`
	Next      string        `json:"next"`
	Key       *api.Key      `json:"key"`
	Token     string        `json:"token"`
	Repeated  bool          `json:"repeated"`
	DecidedOn []api.Basis   `json:"decided_on"`
	Events    []struct {
		Type   string `json:"type"`
		Commit string `json:"commit"`
	} `json:"events"`
	Code       string `json:"code"`
	Dependency string `json:"dependency"`
	Detail     string `json:"detail"`
	Errors     []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
	} `json:"errors"`
}

func (h *house) call(method, path, body string, headers ...string) answer {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, raw: string(b)}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(b, &a); err != nil {
			h.t.Fatalf("%s: %v", b, err)
		}
	}
	return a
}

const key = "Idempotency-Key"

func (h *house) grant(member, idempotencyKey, wanted string) answer {
	h.t.Helper()
	a := h.call("POST", "/v1/members/"+member+"/licenses", `{"device":"tablet","title":"`+wanted+`"}`, key, idempotencyKey)
	if a.status != http.StatusCreated && a.status != http.StatusOK {
		h.t.Fatalf("request: %d %s", a.status, a.raw)
	}
	return a
}

func TestALicenseFromRequestToRelease(t *testing.T) {
	h := build(t, nil)
	a := h.grant("m-00001", "k1", title(1))
	at := "/v1/members/m-00001/licenses/" + a.License.ID
	if a.status != http.StatusCreated || a.Outcome != "done" || a.Key == nil || len(a.DecidedOn) < 3 || a.header.Get("Location") != at {
		t.Fatalf("%d %s, Location %q", a.status, a.raw, a.header.Get("Location"))
	}
	if again := h.grant("m-00001", "k1", title(1)); again.status != http.StatusOK || !again.Repeated || again.License.ID != a.License.ID {
		t.Errorf("the same key: %d %s", again.status, again.raw)
	}
	for _, step := range []struct{ path, body string }{
		{"/downloads", ""}, {"/plays", ""}, {"/plays", `{"occurred":"` + time.Now().UTC().Format(time.RFC3339Nano) + `"}`}, {"/renewals", ""}, {"/release", ""},
	} {
		if got := h.call("POST", at+step.path, step.body, key, "k"+step.path+step.body); got.status != http.StatusOK || got.Outcome != "done" {
			t.Errorf("%s %s: %d %s", step.path, step.body, got.status, got.raw)
		}
	}
	shown := h.call("GET", at, "")
	if shown.License.Status != "released" || shown.License.Plays != 2 || shown.License.Renewals != 1 || shown.License.Downloaded == nil {
		t.Errorf("shown: %s", shown.raw)
	}
	if again := h.call("GET", at, "", "If-None-Match", shown.header.Get("ETag")); again.status != http.StatusNotModified || again.raw != "" {
		t.Errorf("same version: %d %s", again.status, again.raw)
	}
	story := h.call("GET", at+"/explanation", "")
	var kinds []string
	for _, e := range story.Events {
		kinds = append(kinds, e.Type)
		if e.Commit == "" {
			t.Errorf("an event without commit: %s", story.raw)
		}
	}
	if got := strings.Join(kinds, " "); got != "license.granted license.downloaded license.played license.played license.renewed license.released" {
		t.Errorf("story: %s", got)
	}
}

func TestWhatFailsIsTold(t *testing.T) {
	h := build(t, nil)
	wanted := title(2)
	const member = "m-00002"
	licenses := "/v1/members/" + member + "/licenses"
	good := `{"device":"d","title":"` + wanted + `"}`
	h.keys.Store(true)
	noKey := h.call("POST", licenses, good, key, "a")
	h.keys.Store(false)
	if noKey.status != http.StatusServiceUnavailable || noKey.Outcome != "unavailable" || noKey.Dependency != upstream.KeyService || noKey.header.Get("Retry-After") == "" || len(noKey.DecidedOn) == 0 {
		t.Errorf("without a key: %d %s", noKey.status, noKey.raw)
	}
	for name, c := range map[string]struct {
		method, path, body, key string
		status                  int
		outcome, says           string
	}{
		"no key":         {"POST", licenses, good, "", 422, "invalid", "Idempotency-Key"},
		"no body":        {"POST", licenses, "", "b", 400, "", "body"},
		"no JSON":        {"POST", licenses, "{", "b", 400, "", ""},
		"unknown field":  {"POST", licenses, `{"device":"d","title":"t","plan":"x"}`, "b", 422, "", "body.plan"},
		"missing field":  {"POST", licenses, `{"device":"d"}`, "b", 422, "", "title"},
		"too long":       {"POST", licenses, `{"device":"` + strings.Repeat("d", 65) + `","title":"t"}`, "b", 422, "invalid", "device"},
		"too big":        {"POST", licenses, `{"device":"` + strings.Repeat("d", 70<<10) + `"}`, "b", 413, "", ""},
		"unknown title":  {"POST", licenses, `{"device":"d","title":"nobody-has-this"}`, "b", 404, "refused", "title_unknown"},
		"no license":     {"GET", licenses + "/lic-none", "", "", 404, "not_found", ""},
		"no such member": {"POST", "/v1/members/stranger/licenses", good, "b", 403, "refused", "membership_unknown"},
		"bad token":      {"POST", "/v1/members/" + member + "/tokens", `{"token":"a.b.c"}`, "", 403, "forbidden", "token"},
		"no reason":      {"POST", licenses + "/lic-none/revocation", `{}`, "b", 422, "", "reason"},
		"bad limit":      {"GET", licenses + "?limit=0", "", "", 422, "", "limit"},
		"nowhere":        {"GET", "/v2", "", "", 404, "", ""},
	} {
		var headers []string
		if c.key != "" {
			headers = []string{key, c.key}
		}
		got := h.call(c.method, c.path, c.body, headers...)
		if got.status != c.status || c.outcome != "" && got.Outcome != c.outcome || !strings.Contains(got.raw, c.says) {
			t.Errorf("%s: %d %q, want %d %q saying %q: %s", name, got.status, got.Outcome, c.status, c.outcome, c.says, got.raw)
		}
		if c.status != 404 && !strings.HasPrefix(got.header.Get("Content-Type"), "application/problem+json") {
			t.Errorf("%s: Content-Type %q", name, got.header.Get("Content-Type"))
		}
	}
}

func TestAPromiseIsAcceptedAndShown(t *testing.T) {
	h := build(t, nil)
	a := h.grant("m-00003", "k1", title(3))
	h.store.gone.Store(true)
	p := h.call("POST", "/v1/members/m-00003/licenses", `{"device":"tablet","title":"`+title(4)+`"}`, key, "k2")
	if p.status != http.StatusAccepted || p.Outcome != "promised" || p.Token == "" || !p.License.Provisional {
		t.Fatalf("%d %s", p.status, p.raw)
	}
	view := h.call("GET", "/v1/members/m-00003/licenses", "")
	if len(view.Licenses) != 2 || view.DecidedOn[0].Source != "stale" || view.header.Get("ETag") != "" {
		t.Errorf("shown while the store is gone: %d %s, ETag %q", view.status, view.raw, view.header.Get("ETag"))
	}
	h.store.gone.Store(false)
	if got := h.call("POST", "/v1/members/m-00003/tokens", `{"token":"`+p.Token+`"}`); got.status != http.StatusOK || got.License.ID != p.License.ID {
		t.Errorf("brought back: %d %s", got.status, got.raw)
	}
	_ = a
}

func TestListsComeInPages(t *testing.T) {
	h := build(t, nil)
	var want, got []string
	for _, k := range []string{"a", "b"} {
		want = append(want, h.grant("m-00001", k, title(1+len(want))).License.ID)
	}
	for next := ""; ; {
		page := h.call("GET", "/v1/members/m-00001/licenses?limit=1&after="+next, "")
		for _, l := range page.Licenses {
			got = append(got, l.ID)
		}
		if next = page.Next; next == "" {
			break
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("pages hold %v, want %v", got, want)
	}
}

func TestTokensBindWhoAsks(t *testing.T) {
	// The hashes are those of "reader" and "writer".
	tokens, err := api.NewTokens([]api.Grant{
		{Actor: "reports", SHA256: "3d0941964aa3ebdcb00ccef58b1bb399f9f898465e9886d5aec7f31090a0fb30", Scopes: []api.Scope{api.Read}},
		{Actor: "device-app", SHA256: "b93006774cbdd4b299389a03ac3d88c3a76b460d538795bc12718011a909fba5", Scopes: []api.Scope{api.Read, api.Write}, Member: "m-00001"},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := buildBehind(t, api.FrontConfig{Tokens: tokens}, func(c *api.Config) { c.Secured = true })
	body := `{"device":"d","title":"` + title(1) + `"}`
	for _, c := range []struct {
		name, method, member, token string
		want                        int
	}{
		{"none", "GET", "m-00001", "", 401},
		{"unknown", "GET", "m-00001", "Bearer guess", 401},
		{"read", "GET", "m-00002", "Bearer reader", 200},
		{"lacks scope", "POST", "m-00001", "Bearer reader", 403},
		{"own member", "POST", "m-00001", "Bearer writer", 201},
		{"other member", "GET", "m-00002", "Bearer writer", 403},
	} {
		b := ""
		if c.method == "POST" {
			b = body
		}
		if got := h.call(c.method, "/v1/members/"+c.member+"/licenses", b, "Authorization", c.token, key, "k"); got.status != c.want {
			t.Errorf("%s: %d, want %d: %s", c.name, got.status, c.want, got.raw)
		}
	}
	if _, err := api.NewTokens([]api.Grant{{SHA256: "x", Scopes: []api.Scope{"all"}}}); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("want three problems, got %v", err)
	}
}

// hung is an App that answers nothing before its context ends.
type hung struct{ api.App }

func (hung) Licenses(ctx context.Context, _ string) (app.View, error) {
	<-ctx.Done()
	return app.View{}, ctx.Err()
}

func (hung) Show(context.Context, string, string) (app.Answer, error) { panic("lost") }

func TestDeadlinesAndPanicsEndARequestOnly(t *testing.T) {
	h := build(t, func(c *api.Config) { c.App = hung{c.App} })
	got := h.call("GET", "/v1/members/m/licenses", "", "Backstay-Timeout-Ms", "20")
	if got.status != http.StatusServiceUnavailable || got.Outcome != "unknown" {
		t.Errorf("hung: %d %s", got.status, got.raw)
	}
	got = h.call("GET", "/v1/members/m/licenses/l", "")
	if got.status != http.StatusInternalServerError || strings.Contains(got.raw, "lost") {
		t.Errorf("panic: %d %s", got.status, got.raw)
	}
	for _, want := range []string{"unknown", "error"} {
		if told := <-h.told; told.Outcome != want || told.Took <= 0 || told.Member != "m" {
			t.Errorf("told %+v, want outcome %s", told, want)
		}
	}
}

// holds is an App that says when it begins, and answers nothing.
type holds struct {
	hung
	began chan struct{}
}

func (h holds) Licenses(ctx context.Context, member string) (app.View, error) {
	close(h.began)
	return h.hung.Licenses(ctx, member)
}

// TestTooMuchIsRefused: with one permit and no queue, the second request is refused
// before it begins.
func TestTooMuchIsRefused(t *testing.T) {
	began := make(chan struct{})
	h := build(t, func(c *api.Config) {
		c.App = holds{hung{c.App}, began}
		p := c.Guard.Policy()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 1}
		if err := c.Guard.Update(p); err != nil {
			t.Fatal(err)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(ctx, "GET", h.url+"/v1/members/m/licenses", nil)
		if err == nil {
			_, err = http.DefaultClient.Do(req)
		}
		first <- err
	}()
	<-began
	got := h.call("GET", "/v1/members/m/licenses", "")
	if got.status != http.StatusServiceUnavailable || got.header.Get("Backstay-Refused") != "overload" || got.header.Get("Retry-After") == "" {
		t.Errorf("the second: %d %v %s", got.status, got.header, got.raw)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v", err)
	}
}

func TestOpenAPIDescribesEveryRoute(t *testing.T) {
	h := build(t, nil)
	got := h.call("GET", "/openapi.json", "")
	var spec struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal([]byte(got.raw), &spec); err != nil {
		t.Fatal(err)
	}
	operations := 0
	for _, p := range spec.Paths {
		operations += len(p)
	}
	if !strings.HasPrefix(spec.OpenAPI, "3.1") || operations != 12 {
		t.Errorf("OpenAPI %s with %d operations, want 3.1 with 12", spec.OpenAPI, operations)
	}
}

func title(n int) string { return server.TitleID("capstan", n) }
