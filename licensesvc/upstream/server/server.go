package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// The limits of a request that a server accepts.
const (
	maxBody       = 64 << 10
	headerTimeout = 5 * time.Second
	idleTimeout   = time.Minute
)

// Config says where the servers listen.
type Config struct {
	// Membership, Catalog and Keys are the addresses to listen on, host:port.
	// Default: 127.0.0.1:0, a free port on loopback.
	Membership, Catalog, Keys string
	// Secret is what keys are derived from. Default: a fixed secret, so that a
	// restarted server gives the same keys; anything that guards real titles
	// brings its own, at least 16 bytes.
	Secret []byte
	// Tracer makes the servers' spans. Default: none are made.
	Tracer trace.TracerProvider
	_      struct{}
}

// Set is the three running servers. It is safe for concurrent use. Who started it
// shuts it down. A panic in a handler ends that connection only.
type Set struct {
	servers map[string]*running
	names   []string
}

type running struct {
	http   *http.Server
	listen net.Listener
	done   chan error
}

// Start listens on all three addresses, then serves. On an error nothing is left
// running.
func Start(ctx context.Context, cfg Config) (*Set, error) {
	keys, err := NewKeys(cfg.Secret)
	if err != nil {
		return nil, err
	}
	s := &Set{servers: map[string]*running{}}
	for _, one := range []struct {
		name, address string
		handler       http.Handler
	}{
		{"membership", cfg.Membership, NewMembership()},
		{"catalog", cfg.Catalog, NewCatalog()},
		{"key-service", cfg.Keys, keys},
	} {
		if err := s.start(ctx, one.name, one.address, one.handler, cfg.Tracer); err != nil {
			return nil, errors.Join(err, s.Shutdown(ctx))
		}
	}
	return s, nil
}

func (s *Set) start(ctx context.Context, name, address string, handler http.Handler, tracer trace.TracerProvider) error {
	if address == "" {
		address = "127.0.0.1:0"
	}
	var lc net.ListenConfig
	listen, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("%s: cannot listen on %s: %w; choose a free host:port", name, address, err)
	}
	if tracer != nil {
		handler = otelhttp.NewHandler(handler, name, otelhttp.WithTracerProvider(tracer),
			otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})),
			otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string {
				if r.Pattern != "" {
					return r.Pattern
				}
				return r.Method + " " + name
			}))
	}
	r := &running{
		http: &http.Server{
			Handler:           http.MaxBytesHandler(handler, maxBody),
			ReadHeaderTimeout: headerTimeout,
			IdleTimeout:       idleTimeout,
		},
		listen: listen,
		done:   make(chan error, 1),
	}
	go func() { r.done <- r.http.Serve(listen) }()
	s.servers[name] = r
	s.names = append(s.names, name)
	return nil
}

// Address returns the host:port that the named server listens on, or "" if there
// is no server of that name: membership, catalog, key-service.
func (s *Set) Address(name string) string {
	if r := s.servers[name]; r != nil {
		return r.listen.Addr().String()
	}
	return ""
}

// URL returns the base address of the named server.
func (s *Set) URL(name string) string { return "http://" + s.Address(name) }

// Names returns the servers' names in the order they were started.
func (s *Set) Names() []string { return append([]string(nil), s.names...) }

// Shutdown ends the servers: gracefully while the context lives, then at once. It
// waits until all of them have ended.
func (s *Set) Shutdown(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(s.names))
	for i, name := range s.names {
		wg.Go(func() {
			r := s.servers[name]
			if err := r.http.Shutdown(ctx); err != nil {
				errs[i] = r.http.Close()
			}
			if err := <-r.done; !errors.Is(err, http.ErrServerClosed) {
				errs[i] = errors.Join(errs[i], fmt.Errorf("%s: %w", name, err))
			}
			r.done <- http.ErrServerClosed
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// problem is a problem document (RFC 9457).
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func fail(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	// The client has gone if this fails; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(problem{Title: http.StatusText(status), Status: status, Detail: detail})
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// As in fail.
	_ = json.NewEncoder(w).Encode(v)
}

// read decodes a JSON body strictly; false means that it has answered already.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		fail(w, http.StatusBadRequest, "the body is not the JSON that is expected here: "+err.Error())
		return false
	}
	return true
}
