package rest_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/clients/rest/cache"
	"github.com/backstay-go/backstay/resilience"
)

// A catalog that fails: its last answer stands in, and says how old it is.
func ExampleTransport() {
	up := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "Capstan, part 2")
	}))
	defer server.Close()

	guard, err := resilience.New(resilience.Policy{
		Name: "catalog", Bulkhead: resilience.BulkheadPolicy{Limit: 8},
		Default: resilience.OperationPolicy{Timeout: 5 * time.Second},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()
	kept, err := cache.New(cache.Config{StaleIfError: time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer kept.Close()
	transport := &rest.Transport{Guard: guard, Base: rest.NewBase(8), Cache: kept}
	defer transport.CloseIdleConnections()

	for range 2 {
		resp, err := transport.Client().Get(server.URL + "/titles/2")
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		status, _ := cache.Of(resp)
		fmt.Printf("%s (stale: %v, because of %d)\n", body, status.Stale, status.ForwardStatus)
		up = false
	}
	// Output:
	// Capstan, part 2 (stale: false, because of 200)
	// Capstan, part 2 (stale: true, because of 503)
}

// An answer that is no success, as an error.
func ExampleCheck() {
	resp := httptest.NewRecorder()
	resp.Header().Set("Content-Type", "application/problem+json")
	resp.WriteHeader(http.StatusForbidden)
	_, _ = io.WriteString(resp, `{"type":"https://example.com/out-of-credit","title":"No credit","detail":"30 are needed","balance":12}`)

	err := rest.Check(resp.Result())
	var problem *rest.Problem
	if errors.As(err, &problem) {
		fmt.Println(problem.Type, problem.Members["balance"])
	}
	fmt.Println(err)
	// Output:
	// https://example.com/out-of-credit 12
	// rest: status 403: No credit: 30 are needed
}
