package toxiproxy

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzToxic: whatever is sent as a toxic, the answer is JSON; a refused toxic is not there
// and its answer says why, and one that is taken can be read, changed and removed.
func FuzzToxic(f *testing.F) {
	for _, seed := range []string{
		`{"type": "latency", "attributes": {"latency": 100, "jitter": 10}}`,
		`{"name": "b", "type": "bandwidth", "stream": "upstream", "toxicity": 0.5, "attributes": {"rate": 0}}`,
		`{"type": "slicer", "attributes": {"average_size": 64, "size_variation": 32, "delay": 10}}`,
		`{"type": "timeout", "attributes": {"timeout": 9223372036854775807}}`, `{"type": "noop", "toxicity": -1}`,
		`{"type": "limit_data", "attributes": {"bytes": -1}}`, `{"type": "reset_peer", "toxicity": 0}`, `[]`, `null`, `{`, `{"name": "a/b", "type": "noop"}`,
	} {
		f.Add(seed)
	}
	api, err := New(f.Context(), Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = api.Close() })
	do := func(t *testing.T, method, path, body string) (int, map[string]any) {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		var answer map[string]any
		if w.Code != http.StatusNoContent {
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatalf("%s %s: %d, %v: %s", method, path, w.Code, err, w.Body)
			}
		}
		return w.Code, answer
	}
	f.Fuzz(func(t *testing.T, body string) {
		if code, answer := do(t, "POST", "/proxies", `{"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}`); code != http.StatusCreated {
			t.Fatal(code, answer)
		}
		defer do(t, "DELETE", "/proxies/p", "")
		code, toxic := do(t, "POST", "/proxies/p/toxics", body)
		_, proxy := do(t, "GET", "/proxies/p", "")
		toxics, _ := proxy["toxics"].([]any)
		if code != http.StatusOK {
			if text, _ := toxic["error"].(string); code < 400 || code > 499 || text == "" || len(toxics) != 0 {
				t.Fatalf("%d %v; %v", code, toxic, proxy)
			}
			return
		}
		name, _ := toxic["name"].(string)
		if len(toxics) != 1 || name == "" {
			t.Fatalf("%v; %v", toxic, proxy)
		}
		if name == "." || name == ".." {
			return // an address can't hold these; a reset removes them
		}
		for _, step := range []string{"GET", "POST", "DELETE"} {
			if code, answer := do(t, step, "/proxies/p/toxics/"+url.PathEscape(name), `{}`); code > 299 {
				t.Fatalf("%s: %d %v", step, code, answer)
			}
		}
	})
}
