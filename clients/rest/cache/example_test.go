package cache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/clients/rest/cache"
	"github.com/backstay-go/backstay/resilience"
)

// The second request is answered from the cache: it needs no permit and no server.
func ExampleNew() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60, stale-if-error=3600")
		_, _ = io.WriteString(w, "a title")
	}))
	defer server.Close()
	remembered, err := cache.New(cache.Config{MaxBytes: 16 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := resilience.New(resilience.Policy{
		Name:     "catalog",
		Bulkhead: resilience.BulkheadPolicy{Limit: 20},
		Default:  resilience.OperationPolicy{Timeout: time.Minute},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()
	base := rest.NewBase(20)
	defer base.CloseIdleConnections()
	client := http.Client{Transport: &rest.Transport{Guard: guard, Base: base, Cache: remembered}}
	for range 2 {
		resp, err := client.Get(server.URL + "/titles/t-1")
		if err != nil {
			fmt.Println(err)
			return
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		status, _ := cache.Of(resp)
		fmt.Println(string(text), err, status.Hit)
	}
	// Output:
	// a title <nil> false
	// a title <nil> true
}
