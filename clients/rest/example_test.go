package rest_test

import (
	"context"
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

// A typed call: the path's parameter is escaped, and the answer's headers come along.
func ExampleGet() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"7"`)
		fmt.Fprintf(w, `{"path": %q}`, r.RequestURI)
	}))
	defer server.Close()
	guard, err := resilience.New(resilience.Policy{
		Name: "membership", Bulkhead: resilience.BulkheadPolicy{Limit: 8},
		Default: resilience.OperationPolicy{Timeout: 5 * time.Second},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()
	client, err := rest.NewClient(rest.ClientConfig{BaseURL: server.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseIdleConnections()

	type member struct{ Path string }
	res, err := rest.Get[rest.Answer[member]](context.Background(), client, guard, "/v1/members/{id}", "../admin")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Value.Value.Path, res.Value.Header.Get("ETag"), res.Source)
	// Output: /v1/members/..%2Fadmin "7" live
}

// A POST that is repeated, because it has a key.
func ExampleCall() {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if requests++; requests == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer server.Close()
	guard, err := resilience.New(resilience.Policy{
		Name: "orders", Bulkhead: resilience.BulkheadPolicy{Limit: 8},
		Default: resilience.OperationPolicy{Timeout: 5 * time.Second, Idempotent: true, Retry: &resilience.RetryPolicy{}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()
	client, err := rest.NewClient(rest.ClientConfig{BaseURL: server.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseIdleConnections()

	res, err := rest.Call[any](context.Background(), client, guard, rest.Request{
		Method: "POST", Path: "/v1/orders", Body: map[string]int{"title": 2}, Header: http.Header{"Idempotency-Key": {"first"}},
	})
	fmt.Println(res.Attempts, requests, err)
	// Output: 2 2 <nil>
}

// Several addresses of one service.
func ExampleNewBalancer() {
	balancer, err := rest.NewBalancer(rest.BalancerConfig{Addresses: []string{"http://10.0.0.1:8080", "http://10.0.0.2:8080"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, backend := range balancer.Backends() {
		fmt.Println(backend.Address, backend.InFlight)
	}
	// Output:
	// http://10.0.0.1:8080 0
	// http://10.0.0.2:8080 0
}

// One http.Client for two dependencies, each with its guard.
func ExampleHosts() {
	client := &http.Client{Transport: rest.Hosts{}, CheckRedirect: rest.KeepToOrigin}
	_, err := client.Get("http://unknown.test/")
	fmt.Println(err)
	// Output: Get "http://unknown.test/": rest: no guard for the host "unknown.test": add it to Hosts
}
