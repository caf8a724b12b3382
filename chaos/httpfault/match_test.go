package httpfault_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/httpfault"
)

// TestRulesMatchRequests: by the operation that the configuration or the route names, by
// method, path and node, and by the attempt that the request says it is.
func TestRulesMatchRequests(t *testing.T) {
	named := func(r *http.Request) string { return "plan of " + r.URL.Path[1:] }
	for name, c := range map[string]struct {
		change    func(*chaos.Rule)
		operation func(*http.Request) string
		attempt   string // header
		harmed    bool
	}{
		"the operation's name":       {func(r *chaos.Rule) { r.Where.Operation = "plan of m1" }, named, "", true},
		"another operation":          {func(r *chaos.Rule) { r.Where.Operation = "plan of m2" }, named, "", false},
		"the route":                  {func(r *chaos.Rule) { r.Where.Operation = "PUT /{member}" }, nil, "", true},
		"another route":              {func(r *chaos.Rule) { r.Where.Operation = "GET /{member}" }, nil, "", false},
		"method and path":            {func(r *chaos.Rule) { r.Where.Method, r.Where.Path = "PUT", "/m*" }, nil, "", true},
		"another method":             {func(r *chaos.Rule) { r.Where.Method = "GET" }, nil, "", false},
		"another path":               {func(r *chaos.Rule) { r.Where.Path = "/n*" }, nil, "", false},
		"the node":                   {func(r *chaos.Rule) { r.Where.Node = "node1" }, nil, "", true},
		"another node":               {func(r *chaos.Rule) { r.Where.Node = "node2" }, nil, "", false},
		"the second attempt":         {func(r *chaos.Rule) { r.When.Per, r.When.Nth = chaos.PerRequest, 2 }, nil, "2", true},
		"a hedge":                    {func(r *chaos.Rule) { r.When.Per, r.When.Nth = chaos.PerRequest, 2 }, nil, "2;hedge", true},
		"the third":                  {func(r *chaos.Rule) { r.When.Per, r.When.Nth = chaos.PerRequest, 2 }, nil, "3", false},
		"no attempt is the first":    {func(r *chaos.Rule) { r.When.Per, r.When.Nth = chaos.PerRequest, 1 }, nil, "", true},
		"nonsense is the first, too": {func(r *chaos.Rule) { r.When.Per, r.When.Nth = chaos.PerRequest, 1 }, nil, "-2", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := rule(chaos.Status, func(w *chaos.What) { w.Status = 503 })
			c.change(&r)
			cfg := httpfault.Config{Dependency: "membership", Node: "node1", Operation: c.operation, Injector: inject(t, r)}
			mux := http.NewServeMux()
			mux.Handle("PUT /{member}", httpfault.Handler(right, cfg))
			w, req := httptest.NewRecorder(), httptest.NewRequest("PUT", "/m1", nil)
			req.Header.Set("Backstay-Attempt", c.attempt)
			mux.ServeHTTP(w, req)
			if harmed := w.Code == 503; harmed != c.harmed {
				t.Errorf("status %d; want it harmed: %t", w.Code, c.harmed)
			}
		})
	}
}

// TestADamagedAnswerIsACopy: what a handler wrote stays its own, and it may write it again.
func TestADamagedAnswerIsACopy(t *testing.T) {
	own := []byte(text)
	h := httpfault.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 2 {
			if _, err := w.Write(own); err != nil {
				t.Error(err)
			}
		}
	}), httpfault.Config{Dependency: "membership", Injector: inject(t, rule(chaos.Corrupt, func(w *chaos.What) { w.Bytes = 3 }))})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	body, err := io.ReadAll(w.Body)
	if err != nil || string(own) != text || len(body) != 2*len(text) || string(body[:len(text)]) == text || string(body[len(text):]) == text {
		t.Errorf("the handler's own is %q; it sent %q, %v", own, body, err)
	}
	if string(body[:len(text)]) == string(body[len(text):]) {
		t.Errorf("the same damage twice: %q", body)
	}
}
