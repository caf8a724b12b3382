package service_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/internal/observe"
	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/service"
)

// start starts a service on SQLite whose dependencies refuse connections.
func start(t *testing.T, change func(*service.Config)) *service.Instance {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	observed, err := observe.Start(ctx, "test", func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	cfg := service.Config{
		Listen: "127.0.0.1:0", Data: filepath.Join(dir, "data"), Store: service.SQLite{Path: filepath.Join(dir, "events.db")},
		Membership: "http://127.0.0.1:1", Catalog: "http://127.0.0.1:1", Keys: "http://127.0.0.1:1", Observed: observed, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	in, err := service.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := in.Shutdown(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
		if err := observed.Shutdown(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	return in
}

// send sends a request and returns the status and the body, of a stream only its beginning.
func send(t *testing.T, in *service.Instance, method, path string, headers ...string) (int, http.Header, string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, in.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	limit := int64(1 << 20)
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		limit = 1
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func grant(actor, member string, scopes ...api.Scope) api.Grant {
	sum := sha256.Sum256([]byte(actor))
	return api.Grant{Actor: actor, SHA256: hex.EncodeToString(sum[:]), Member: member, Scopes: scopes}
}

// who may use each route: without a token, and with the tokens below. A route that is missing
// here fails the test.
var access = map[string]struct{ none, member, reader, operator bool }{
	"POST /v1/members/{member}/licenses":                      {member: true},
	"GET /v1/members/{member}/licenses":                       {member: true, reader: true, operator: true},
	"GET /v1/members/{member}/licenses/{license}":             {member: true, reader: true, operator: true},
	"GET /v1/members/{member}/licenses/{license}/explanation": {member: true, reader: true, operator: true},
	"GET /v1/members/{member}/history":                        {member: true, reader: true, operator: true},
	"GET /v1/members/{member}/history/changes":                {member: true, reader: true, operator: true},
	"POST /v1/members/{member}/licenses/{license}/renewals":   {member: true},
	"POST /v1/members/{member}/licenses/{license}/downloads":  {member: true},
	"POST /v1/members/{member}/licenses/{license}/plays":      {member: true},
	"POST /v1/members/{member}/licenses/{license}/release":    {member: true},
	"POST /v1/members/{member}/licenses/{license}/revocation": {operator: true},
	"POST /v1/members/{member}/tokens":                        {member: true},
	"GET /v1/members/{member}/devices":                        {member: true, reader: true, operator: true},
	"GET /v1/licenses/expiring":                               {operator: true},
	"GET /v1/studios/{studio}/use":                            {operator: true},
	"GET /v1/promises":                                        {operator: true},
	"GET /v1/readmodels":                                      {operator: true},
	"GET /openapi.json":                                       {true, true, true, true},
	"GET /openapi.yaml":                                       {true, true, true, true},
	"GET /openapi-3.0.json":                                   {true, true, true, true},
	"GET /openapi-3.0.yaml":                                   {true, true, true, true},
	"GET /livez":                                              {true, true, true, true},
	"GET /readyz":                                             {true, true, true, true},
	"GET /metrics":                                            {operator: true},
	"GET /{$}":                                                {operator: true},
	"GET /dashboard/":                                         {operator: true},
	"GET /dashboard/events":                                   {operator: true},
	"POST /dashboard/faults/{id}":                             {operator: true},
}

// TestEveryRouteAsksForItsToken goes through all routes that there are, on loopback and on all
// addresses, with each kind of token.
func TestEveryRouteAsksForItsToken(t *testing.T) {
	tokens, err := api.NewTokens([]api.Grant{
		grant("device", "m-1", api.Read, api.Write),
		grant("reports", "", api.Read),
		grant("operator", "", api.Read, api.Admin, api.Operate),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		in := start(t, func(c *service.Config) { c.Listen, c.Tokens = listen, tokens })
		seen := map[string]bool{}
		for _, route := range in.Routes() {
			seen[route.Pattern] = true
			want, known := access[route.Pattern]
			if !known {
				t.Errorf("%s is not in the table: say who may use it", route.Pattern)
				continue
			}
			method, path, _ := strings.Cut(route.Pattern, " ")
			path = strings.NewReplacer("{member}", "m-1", "{license}", "lic-1", "{id}", "x", "{$}", "").Replace(path)
			for _, caller := range []struct {
				name, header string
				may          bool
				refused      int
			}{
				{"no token", "", want.none, 401},
				{"wrong token", "Bearer guess", want.none, 401},
				{"no base64", "Basic %", want.none, 401},
				{"device", "Bearer device", want.member, 403},
				{"reports", "Bearer reports", want.reader, 403},
				{"operator", "Bearer operator", want.operator, 403},
			} {
				status, header, body := send(t, in, method, path, "Authorization", caller.header, "Idempotency-Key", "k", "Sec-Fetch-Site", "same-origin")
				admitted := status != 401 && !(status == 403 && strings.Contains(body, "#forbidden"))
				if admitted != caller.may || !caller.may && status != caller.refused {
					t.Errorf("%s on %s, %s: %d, admitted %v, want %v: %.200s", route.Pattern, listen, caller.name, status, admitted, caller.may, body)
				}
				if status == 401 && len(header.Values("WWW-Authenticate")) != 2 {
					t.Errorf("%s: a 401 must say how to authenticate: %v", route.Pattern, header)
				}
			}
		}
		for _, pattern := range slices.Sorted(maps.Keys(access)) {
			if !seen[pattern] {
				t.Errorf("there is no route %s", pattern)
			}
		}
	}
}

// TestAPageOfAnotherSiteCannotUseTheService: neither by a name that it gives to the address
// (DNS rebinding), nor by sending requests that change something.
func TestAPageOfAnotherSiteCannotUseTheService(t *testing.T) {
	in := start(t, func(c *service.Config) { c.Hosts = []string{"licenses.internal"} })
	const list = "/v1/members/m-1/licenses"
	for _, c := range []struct {
		name, method, path string
		headers            []string
		want               int
	}{
		{"another name", "GET", list, []string{"Host", "evil.example"}, 421},
		{"another name with a port", "GET", list, []string{"Host", "evil.example:8080"}, 421},
		{"another name, the page", "GET", "/dashboard/", []string{"Host", "evil.example"}, 421},
		{"another name, metrics", "GET", "/metrics", []string{"Host", "localhost.evil.example"}, 421},
		{"another name, nothing there", "GET", "/x", []string{"Host", "evil.example"}, 421},
		{"localhost", "GET", list, []string{"Host", "LOCALHOST.:80"}, 200},
		{"IPv6", "GET", list, []string{"Host", "[::1]:80"}, 200},
		{"a name that was given", "GET", list, []string{"Host", "licenses.internal"}, 200},
		{"health by another name", "GET", "/readyz", []string{"Host", "pod-1"}, 200},
		{"cross-site", "POST", list, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"same-site", "POST", list, []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"another origin", "POST", list, []string{"Origin", "https://evil.example"}, 403},
		{"a program", "POST", list, nil, 400},
		{"a button, cross-site", "POST", "/dashboard/faults/x", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a button, typed", "POST", "/dashboard/faults/x", []string{"Sec-Fetch-Site", "none"}, 403},
		{"a button without the header", "POST", "/dashboard/faults/x", nil, 403},
		{"a button of another origin", "POST", "/dashboard/faults/x", []string{"Origin", "https://evil.example"}, 403},
		{"a button of the page", "POST", "/dashboard/faults/x", []string{"Sec-Fetch-Site", "same-origin"}, 404},
		{"a button of an old browser's page", "POST", "/dashboard/faults/x", []string{"Origin", in.URL()}, 404},
	} {
		if status, _, body := send(t, in, c.method, c.path, c.headers...); status != c.want {
			t.Errorf("%s: %d, want %d: %.200s", c.name, status, c.want, body)
		}
	}
}

// TestOneCallerHasARate: the second caller is not refused for what the first one does.
func TestOneCallerHasARate(t *testing.T) {
	tokens, err := api.NewTokens([]api.Grant{grant("a", "", api.Read), grant("b", "", api.Read)})
	if err != nil {
		t.Fatal(err)
	}
	in := start(t, func(c *service.Config) { c.Tokens, c.CallerRate = tokens, 0.001 })
	const list = "/v1/members/m-1/licenses"
	if status, _, body := send(t, in, "GET", list, "Authorization", "Bearer a"); status != 200 {
		t.Fatalf("the first: %d %s", status, body)
	}
	status, header, body := send(t, in, "GET", list, "Authorization", "Bearer a")
	if status != 429 || header.Get("Retry-After") == "" || header.Get("Backstay-Refused") != "overload" || !strings.Contains(body, "#too-many-requests") {
		t.Errorf("the second: %d %v %s", status, header, body)
	}
	if status, _, body := send(t, in, "GET", list, "Authorization", "Bearer b"); status != 200 {
		t.Errorf("another caller: %d %s", status, body)
	}
}

// TestEveryErrorIsAProblem: also where nothing is, and where a method is not allowed.
func TestEveryErrorIsAProblem(t *testing.T) {
	in := start(t, nil)
	for _, c := range []struct {
		method, path, kind string
		want               int
	}{
		{"GET", "/v2", "no-route", 404},
		{"DELETE", "/v1/members/m/licenses", "no-method", 405},
		{"OPTIONS", "/v1/members/m/licenses/l/plays", "no-method", 405},
		{"POST", "/v1/members/m/licenses", "malformed", 400},
		{"GET", "/v1/members/m/licenses?limit=0", "invalid", 422},
	} {
		status, header, body := send(t, in, c.method, c.path, "Idempotency-Key", "k")
		var p api.Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Errorf("%s %s: %v: %s", c.method, c.path, err, body)
			continue
		}
		if status != c.want || p.Type != api.Kind(c.kind).Type() || p.Title == "" || p.Status != c.want || p.Detail == "" || p.Outcome == "" || header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, body)
		}
		if c.want == 405 && header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", c.method, c.path)
		}
	}
}

func readiness(t *testing.T, in *service.Instance) (int, service.Readiness) {
	t.Helper()
	status, _, body := send(t, in, "GET", "/readyz")
	var r service.Readiness
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return status, r
}

func of(r service.Readiness, name string) service.Component {
	for _, c := range r.Components {
		if c.Name == name {
			return c
		}
	}
	return service.Component{}
}

// TestReadinessNamesItsComponents: what is required makes the service not ready, and what is
// not makes it degraded.
func TestReadinessNamesItsComponents(t *testing.T) {
	var data string
	in := start(t, func(c *service.Config) { data = c.Data })
	status, r := readiness(t, in)
	if status != 200 || r.Status != "ready" || of(r, "event-store").State != service.StateOK || of(r, "event-store").Since.IsZero() {
		t.Fatalf("%d %+v", status, r)
	}
	for _, name := range []string{"data_folder", "outbox", "schema", "server"} {
		if !of(r, name).Required {
			t.Errorf("%s is not required: %+v", name, of(r, name))
		}
	}
	for _, name := range []string{"event-store", "disk", "front", "membership", "catalog", "key-service"} {
		if c := of(r, name); c.Name == "" || c.Required {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if err := os.Rename(data, data+"-gone"); err != nil {
		t.Fatal(err)
	}
	if status, r = readiness(t, in); status != 503 || r.Status != "not_ready" || of(r, "data_folder").State != service.StateFailed {
		t.Errorf("the data folder is gone: %d %+v", status, r)
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if status, r = readiness(t, in); status != 503 || !strings.Contains(of(r, "data_folder").Why, "replaced") {
		t.Errorf("another data folder: %d %+v", status, of(r, "data_folder"))
	}
	if status, _, _ := send(t, in, "GET", "/livez"); status != 200 {
		t.Errorf("live: %d", status)
	}
}

// TestReasonsAreForOperators: without a token, readiness names no files and no addresses.
func TestReasonsAreForOperators(t *testing.T) {
	tokens, err := api.NewTokens([]api.Grant{grant("operator", "", api.Operate)})
	if err != nil {
		t.Fatal(err)
	}
	var data string
	in := start(t, func(c *service.Config) { c.Tokens, data = tokens, c.Data })
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if _, _, body := send(t, in, "GET", "/readyz"); strings.Contains(body, data) || !strings.Contains(body, "data_folder") {
		t.Errorf("without a token: %s", body)
	}
	if _, _, body := send(t, in, "GET", "/readyz", "Authorization", "Bearer operator"); !strings.Contains(body, data) {
		t.Errorf("with a token: %s", body)
	}
}

// TestMetricsNameWhatOperatorsAsk: the outbox, the disk, the decisions, the process.
func TestMetricsNameWhatOperatorsAsk(t *testing.T) {
	in := start(t, nil)
	send(t, in, "GET", "/v1/members/m-1/licenses")
	_, _, body := send(t, in, "GET", "/metrics")
	for _, name := range []string{"licensesvc_outbox_entries", "licensesvc_outbox_size_bytes", "licensesvc_outbox_oldest_age_seconds", "licensesvc_outbox_stored_total",
		"licensesvc_promises_open", "licensesvc_disk_read_only", "licensesvc_disk_free_bytes", "licensesvc_store_log_size_bytes", "licensesvc_decisions_total",
		"licensesvc_component_state", "licensesvc_front_pressure", "go_goroutines", "process_resident_memory_bytes"} {
		if !strings.Contains(body, "\n"+name) {
			t.Errorf("there is no metric %s", name)
		}
	}
	if !strings.Contains(body, `operation="list-licenses"`) {
		t.Error("the list was not counted as a decision")
	}
}
