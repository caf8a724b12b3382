package routes_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/internal/routes"
)

func TestFind(t *testing.T) {
	var table routes.Table[string]
	if _, ok := table.Find(httptest.NewRequest("GET", "/a", nil), ""); ok {
		t.Error("an empty table found something")
	}
	for _, pattern := range []string{"GET /a/{id}", "POST /a/", "example.com/b", "/c/{rest...}"} {
		if err := table.Add(pattern, pattern); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ method, url, host, want string }{
		{"GET", "/a/1", "", "GET /a/{id}"},
		{"HEAD", "/a/1", "", "GET /a/{id}"},
		{"GET", "/a/1/2", "", ""},
		{"POST", "/a/1/2", "", "POST /a/"},
		{"GET", "/b", "example.com", "example.com/b"},
		{"GET", "/b", "example.org", ""},
		{"PUT", "/c/x/y", "", "/c/{rest...}"},
		{"PUT", "/c", "", ""}, // ServeMux would redirect
		{"GET", "/none", "", ""},
	} {
		got, ok := table.Find(httptest.NewRequest(c.method, c.url, nil), c.host)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s %s on %q: %q, %t, want %q", c.method, c.url, c.host, got, ok, c.want)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	var table routes.Table[int]
	if err := table.Add("GET /a/{id}", 1); err != nil {
		t.Fatal(err)
	}
	for pattern, why := range map[string]string{"GET a": "missing /", "": "pattern", "GET /a/{name}": "conflicts", "GET /{": "/{"} {
		if err := table.Add(pattern, 2); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v", pattern, err)
		}
	}
	if got, ok := table.Find(httptest.NewRequest("GET", "/a/x", nil), ""); !ok || got != 1 {
		t.Errorf("after refusals: %d, %t", got, ok)
	}
}
