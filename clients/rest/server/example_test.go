package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/backstay-go/backstay/clients/rest/server"
	"github.com/backstay-go/backstay/resilience"
)

// A service with a limit, a queue and deadlines, which ends without losing a request.
func Example() {
	guard, err := resilience.New(resilience.Policy{
		Name:     "api",
		Bulkhead: resilience.BulkheadPolicy{Limit: 64, Queue: 128, Adaptive: &resilience.AdaptivePolicy{Objective: 500 * time.Millisecond}},
		Default:  resilience.OperationPolicy{Timeout: 2 * time.Second},
		Operations: map[string]resilience.OperationPolicy{
			"search": {Timeout: 5 * time.Second, Criticality: resilience.SheddablePlus},
		},
	})
	if err != nil {
		panic(err)
	}
	defer guard.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/titles/{id}", func(w http.ResponseWriter, r *http.Request) {
		_, timed := r.Context().Deadline()
		_, _ = fmt.Fprintf(w, "title %s, with a deadline: %v", r.PathValue("id"), timed)
	})
	api, err := server.NewHandler(mux, server.HandlerConfig{
		Guard:  guard,
		Routes: map[string]string{"GET /v1/search": "search"},
		Trust:  server.Networks(netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")),
	})
	if err != nil {
		panic(err)
	}

	// Health stays outside the guard, or a busy service would seem dead.
	all := http.NewServeMux()
	all.Handle("/", api)
	srv, err := server.NewServer(server.ServerConfig{HTTP: &http.Server{Handler: all}, Linger: 10 * time.Millisecond})
	if err != nil {
		panic(err)
	}
	all.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if srv.Draining() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
		}
	})

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background()) // signal.NotifyContext in a program
	ended := make(chan error)
	go func() { ended <- srv.Run(ctx, l) }()

	resp, err := http.Get("http://" + l.Addr().String() + "/v1/titles/7")
	if err != nil {
		panic(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	fmt.Println(string(body))
	stop()
	fmt.Println("ended:", <-ended)
	// Output:
	// title 7, with a deadline: true
	// ended: <nil>
}
