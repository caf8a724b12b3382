package rest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/resilience"
)

// echoed answers with what the server saw of a request.
type echoed struct {
	URI, Host string
	Header    http.Header
}

func mirror(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"7"`)
	_ = json.NewEncoder(w).Encode(echoed{r.RequestURI, r.Host, r.Header})
}

func typed(t *testing.T, cfg rest.ClientConfig) *rest.Client {
	t.Helper()
	c, err := rest.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// TestPathsEscapeTheirArguments: whatever a user sends as an argument names no other path.
func TestPathsEscapeTheirArguments(t *testing.T) {
	s, g := serve(t, mirror), guard(t)
	c := typed(t, rest.ClientConfig{BaseURL: s.URL + "/api/"})
	for _, tt := range []struct {
		path string
		args []any
		want string // empty: refused
	}{
		{"/v1/members/{id}", []any{"m-1"}, "/api/v1/members/m-1"},
		{"/v1/members/{id}", []any{"../admin/all"}, "/api/v1/members/..%2Fadmin%2Fall"},
		{"/v1/members/{id}", []any{"m-1?admin=true"}, "/api/v1/members/m-1%3Fadmin=true"},
		{"/v1/members/{id}", []any{"a b#c%2F"}, "/api/v1/members/a%20b%23c%252F"},
		{"/v1/members/{id}", []any{"\r\nX: y"}, "/api/v1/members/%0D%0AX:%20y"},
		{"/v1/{a}/x/{b}?q=1", []any{7, time.Second}, "/api/v1/7/x/1s?q=1"},
		{"/files/{path...}", []any{"a b/c"}, "/api/files/a%20b/c"},
		{"/titles/{$}", nil, "/api/titles/"},
		{"/files/{path...}", []any{"a/../c"}, ""},
		{"/v1/members/{id}", []any{".."}, ""},
		{"/v1/members/{id}", []any{""}, ""},
		{"/v1/members/{id}", nil, ""},
		{"/v1/members/{id", []any{1}, ""},
		{"/v1/members", []any{resilience.FallbackValue("of another type")}, ""},
	} {
		res, err := rest.Get[echoed](t.Context(), c, g, tt.path, tt.args...)
		if tt.want == "" {
			var unsent *rest.SendError
			if !errors.As(err, &unsent) || unsent.Sent {
				t.Errorf("%s %q: %v, %v", tt.path, tt.args, res.Value.URI, err)
			}
			continue
		}
		if err != nil || res.Value.URI != tt.want {
			t.Errorf("%s %q became %s, want %s; %v", tt.path, tt.args, res.Value.URI, tt.want, err)
		}
	}
	if _, err := rest.Get[echoed](t.Context(), nil, g, "/"); err == nil {
		t.Error("a nil client calls")
	}
}

// TestTypedHeaders: the request's win over the client's, and those over JSON's.
func TestTypedHeaders(t *testing.T) {
	s, g := serve(t, mirror), guard(t)
	c := typed(t, rest.ClientConfig{BaseURL: s.URL, Header: http.Header{"accept": {"application/vnd.x+json"}, "Content-Type": {"application/merge-patch+json"}, "X-All": {"a"}}})
	res, err := rest.Call[rest.Answer[echoed]](t.Context(), c, g, rest.Request{Method: "PATCH", Path: "/x?a=1", Query: url.Values{"b": {"2 3"}}, Body: 1,
		Header: http.Header{"If-Match": {`"6"`}, "x-all": {"b"}, "Host": {"other.test"}}})
	if err != nil {
		t.Fatal(err)
	}
	got := res.Value.Value
	for name, want := range map[string]string{"Accept": "application/vnd.x+json", "Content-Type": "application/merge-patch+json", "X-All": "b", "If-Match": `"6"`} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if got.URI != "/x?a=1&b=2+3" || got.Host != "other.test" || res.Value.Header.Get("ETag") != `"7"` || res.Value.Status != 200 {
		t.Errorf("%+v %v %d", got, res.Value.Header, res.Value.Status)
	}
}

// TestBaseURLsThatLoseSomethingAreRefused: none of it is dropped without a word.
func TestBaseURLsThatLoseSomethingAreRefused(t *testing.T) {
	for _, base := range []string{"http://x/api#frag", "http://x/api#", "http://x/api?key=1", "http://x/api?", "http://user:secret@x", "x/api", "ftp://x"} {
		_, err := rest.NewClient(rest.ClientConfig{BaseURL: base})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", base, err)
		}
	}
	for _, addresses := range [][]string{{"http://x/#f"}, {"http://x", "http://x/"}, {"http://x", "http://X"}} {
		if _, err := rest.NewBalancer(rest.BalancerConfig{Addresses: addresses}); err == nil {
			t.Errorf("%q were taken", addresses)
		}
	}
	g := guard(t)
	for _, base := range []http.RoundTripper{&rest.Transport{Guard: g}, rest.Hosts{}} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://x.test", nil)
		if resp, err := (&rest.Transport{Guard: g, Base: base}).RoundTrip(r); err == nil {
			resp.Body.Close()
			t.Errorf("%T was taken as a base", base)
		}
	}
}

// TestRepeatsMatrix: a POST is repeated if and only if its operation is idempotent, and it
// has a key or RepeatWithoutKey names it; whatever the route's pattern looks like.
func TestRepeatsMatrix(t *testing.T) {
	for _, route := range []string{"POST /orders", "/orders", ""} {
		for _, idempotent := range []bool{true, false} {
			for _, key := range []string{"", "k"} {
				for _, said := range []bool{true, false} {
					for _, method := range []string{"POST", "PATCH", "PUT", "GET"} {
						want := int64(1)
						if idempotent && (key != "" || said && method == "POST" || method == "PUT" || method == "GET") {
							want = 2
						}
						name := fmt.Sprintf("%s on %q, idempotent %v, key %q, said %v", method, route, idempotent, key, said)
						matrixCase(t, name, method, route, key, idempotent, said, want)
					}
				}
			}
		}
	}
}

func matrixCase(t *testing.T, name, method, route, key string, idempotent, said bool, want int64) {
	t.Helper()
	var n atomic.Int64
	base := roundTrips(func(r *http.Request) (*http.Response, error) {
		n.Add(1)
		return &http.Response{StatusCode: 502, Body: http.NoBody, Header: http.Header{}}, nil
	})
	op := resilience.OperationPolicy{Timeout: 5 * time.Second, Idempotent: idempotent, Retry: &resilience.RetryPolicy{MaxAttempts: 2, BaseDelay: time.Microsecond}}
	g, err := resilience.New(resilience.Policy{Name: "stock", Bulkhead: resilience.BulkheadPolicy{Limit: 4}, Default: op, Operations: map[string]resilience.OperationPolicy{"order": op}})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	tr := &rest.Transport{Guard: g, Base: base}
	if route != "" {
		tr.Routes = map[string]string{route: "order"}
	}
	if said {
		tr.RepeatWithoutKey = []string{"POST /orders"}
	}
	r, _ := http.NewRequestWithContext(t.Context(), method, "http://stock.test/orders", strings.NewReader("{}"))
	header := http.Header{}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
		header.Set("Idempotency-Key", key)
	}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if n.Load() != want {
		t.Errorf("%s: %d requests, want %d", name, n.Load(), want)
	}
	n.Store(0)
	c, err := rest.NewClient(rest.ClientConfig{BaseURL: "http://stock.test", Base: base})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rest.Call[any](t.Context(), c, g, rest.Request{Method: method, Path: "/orders", Header: header, RepeatWithoutKey: said && method == "POST"}); err == nil {
		t.Error("an answer")
	}
	if n.Load() != want {
		t.Errorf("%s, typed: %d requests, want %d", name, n.Load(), want)
	}
}

// TestTimeoutsSaySo: os.IsTimeout, net.Error and url.Error (go-retryablehttp#142).
func TestTimeoutsSaySo(t *testing.T) {
	for name, op := range map[string]resilience.OperationPolicy{
		"total":             {Timeout: 50 * time.Millisecond},
		"attempt":           {Timeout: 5 * time.Second, AttemptTimeout: 50 * time.Millisecond},
		"attempts, retried": {Timeout: 5 * time.Second, AttemptTimeout: 50 * time.Millisecond, Idempotent: true, Retry: &resilience.RetryPolicy{MaxAttempts: 2, BaseDelay: time.Millisecond}},
	} {
		onAll(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, func(t *testing.T, s *service, base http.RoundTripper) {
			tr := &rest.Transport{Guard: guard(t, func(p *resilience.Policy) { p.Default = op }), Base: base}
			resp, err := tr.Client().Get(s.URL)
			if err == nil {
				resp.Body.Close()
				t.Fatal("an answer")
			}
			var wrapped *url.Error
			if !os.IsTimeout(err) || !errors.As(err, &wrapped) || !wrapped.Timeout() {
				t.Errorf("%s is no timeout: %v", name, err)
			}
		})
	}
	for _, err := range []error{rest.ErrStalled, &rest.SendError{Err: rest.ErrStalled}} {
		if !os.IsTimeout(err) {
			t.Errorf("%v is no timeout", err)
		}
	}
}

// TestExtremeBounds: no sum overflows, and no answer becomes an empty one.
func TestExtremeBounds(t *testing.T) {
	for _, size := range []int{10, 100_000} {
		text := `"` + strings.Repeat("x", size) + `"`
		onEach(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }, func(t *testing.T, s *service, base *rest.Base) {
			base.WithAge(math.MaxInt64)
			g := guard(t)
			for _, most := range []int64{math.MaxInt64, math.MaxInt64 - 1, 1 << 40} {
				r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
				resp, err := (&rest.Transport{Guard: g, Base: base, MaxBytes: most, Stall: math.MaxInt64}).RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(resp.Body); err != nil || string(got) != text {
					t.Errorf("%d of %d bytes: %v", len(got), len(text), err)
				}
				resp.Body.Close()
				if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
					t.Errorf("after Close a Read says %v", err)
				}
				c := typed(t, rest.ClientConfig{BaseURL: s.URL, Base: base, MaxBytes: most})
				if res, err := rest.Get[string](t.Context(), c, g, "/"); err != nil || len(res.Value) != size {
					t.Errorf("typed: %d of %d, %v", len(res.Value), size, err)
				}
			}
			if n := s.conns.Load(); n > 2 {
				t.Errorf("%d connections: an endless age ends", n)
			}
		})
	}
}

// TestRetryAfterOfAnySize: the longest of waits is none too short to be kept.
func TestRetryAfterOfAnySize(t *testing.T) {
	for _, value := range []string{"3600", "2147483648", "4000000000", "99999999999", "1" + strings.Repeat("0", 400), "3600, 3600", "0, 3600", "3600.5", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(503)
		})
		resp, err := client(t, &rest.Transport{Guard: guard(t)}).Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if n := s.requests.Load(); n != 1 {
			t.Errorf("Retry-After %.30q: %d requests", value, n)
		}
	}
}

// TestHostsKnowDefaultPorts: with and without, they are one host.
func TestHostsKnowDefaultPorts(t *testing.T) {
	g := guard(t)
	tr := &rest.Transport{Guard: g, Base: roundTrips(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: http.NoBody, Header: http.Header{}}, nil
	})}
	hosts := rest.Hosts{"catalog": tr, "keys:443": tr, "odd:8080": tr}
	for address, want := range map[string]bool{
		"http://catalog": true, "http://CATALOG:80/": true, "https://catalog:443": true, "http://catalog:443": false, "https://keys": true, "https://keys:443": true,
		"http://keys": false, "http://odd": false, "http://odd:8080": true, "http://other": false,
	} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", address, nil)
		resp, err := hosts.RoundTrip(r)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestUnusableAnswersSayWhatTheyWere: with status and content type; a GET is never said to
// have been processed.
func TestUnusableAnswersSayWhatTheyWere(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>")
	})
	c := typed(t, rest.ClientConfig{BaseURL: s.URL})
	_, err := rest.Get[int](t.Context(), c, guard(t), "/")
	var unusable *rest.SendError
	if !errors.As(err, &unusable) || unusable.Status != 200 || !strings.Contains(err.Error(), "200, text/html") || strings.Contains(err.Error(), "processed") {
		t.Errorf("%v", err)
	}
	if text := (&rest.SendError{Method: "GET", Sent: true, Err: io.EOF}).Error(); strings.Contains(text, "processed") {
		t.Error(text)
	}
	if text := (&rest.SendError{Method: "POST", Sent: true, Err: io.EOF}).Error(); !strings.Contains(text, "may have been processed") {
		t.Error(text)
	}
}
