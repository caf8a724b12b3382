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

	"github.com/backstay-go/backstay/clients/rest/server"
	"github.com/backstay-go/backstay/resilience"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// These are the limits of one request, and the limits of how many requests run and wait at once.
const (
	maxBody       = 64 << 10
	headerTimeout = 5 * time.Second
	idleTimeout   = time.Minute
	maxTime       = 10 * time.Second
	maxRunning    = 256
	maxWaiting    = 1024
)

// Config says where the servers listen.
type Config struct {
	// Membership, Catalog and Keys are the addresses to listen on, host:port.
	// Default: 127.0.0.1:0, a free port on loopback.
	Membership, Catalog, Keys string
	// Secret is the secret from which keys are derived, at least 16 bytes. Default: a fixed
	// secret, so that a restarted server returns the same keys. A service for real titles must
	// set a secret.
	Secret []byte
	// Tracer returns the provider of one server's spans by the server's name. Default: no spans
	// are made.
	Tracer func(name string) trace.TracerProvider
	_      struct{}
}

// Set is the three running servers. It is safe for concurrent use. The caller that
// started it must shut it down. A panic in a handler ends that connection only.
type Set struct {
	servers map[string]*running
	names   []string
}

type running struct {
	server  *server.Server
	guard   *resilience.Guard
	address string
	drain   context.CancelFunc
	done    chan struct{}
	err     error // once done is closed
}

// Start listens on all three addresses, then serves. If it returns an error, nothing is left
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

func (s *Set) start(ctx context.Context, name, address string, handler http.Handler, tracer func(string) trace.TracerProvider) error {
	if address == "" {
		address = "127.0.0.1:0"
	}
	var lc net.ListenConfig
	listen, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("%s: cannot listen on %s: %w; choose a free host:port", name, address, err)
	}
	if tracer != nil {
		handler = otelhttp.NewHandler(handler, name, otelhttp.WithTracerProvider(tracer(name)),
			otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})),
			otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string {
				if r.Pattern != "" {
					return r.Pattern
				}
				return r.Method + " " + name
			}))
	}
	r := &running{address: listen.Addr().String(), done: make(chan struct{})}
	if err := r.guarded(name, handler); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", name, err), listen.Close())
	}
	ctx, r.drain = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(r.done)
		r.err = errors.Join(r.server.Run(ctx, listen), r.guard.Close())
	}()
	s.servers[name] = r
	s.names = append(s.names, name)
	return nil
}

// guarded puts the handler behind its service's guard. A request that can't be served within the
// caller's time is refused before it begins, and the answer is marked as a refusal.
func (r *running) guarded(name string, handler http.Handler) (err error) {
	r.guard, err = resilience.New(resilience.Policy{
		Name:     name,
		Bulkhead: resilience.BulkheadPolicy{Limit: maxRunning, Queue: maxWaiting},
		Default:  resilience.OperationPolicy{Timeout: maxTime},
	})
	if err != nil {
		return err
	}
	handler, err = server.NewHandler(http.MaxBytesHandler(handler, maxBody), server.HandlerConfig{Guard: r.guard})
	if err == nil {
		r.server, err = server.NewServer(server.ServerConfig{
			HTTP:   &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout},
			Linger: -1, // clients have stopped calling before the servers are shut down
		})
	}
	if err != nil {
		return errors.Join(err, r.guard.Close())
	}
	return nil
}

// Address returns the host:port that the named server listens on, or "" if there
// is no server of that name: membership, catalog, key-service.
func (s *Set) Address(name string) string {
	if r := s.servers[name]; r != nil {
		return r.address
	}
	return ""
}

// URL returns the base address of the named server.
func (s *Set) URL(name string) string { return "http://" + s.Address(name) }

// Names returns the servers' names in the order they were started.
func (s *Set) Names() []string { return append([]string(nil), s.names...) }

// Shutdown ends the servers. It is graceful until the context ends, and immediate after that. It
// returns when all servers have ended.
func (s *Set) Shutdown(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(s.names))
	for i, name := range s.names {
		wg.Go(func() {
			r := s.servers[name]
			r.drain()
			select {
			case <-r.done:
			case <-ctx.Done():
				errs[i] = r.server.Close()
				<-r.done
			}
			if r.err != nil {
				errs[i] = errors.Join(errs[i], fmt.Errorf("%s: %w", name, r.err))
			}
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
	// This fails only if the client has disconnected, and then there is nobody to answer.
	_ = json.NewEncoder(w).Encode(problem{Title: http.StatusText(status), Status: status, Detail: detail})
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	// As in fail, the client has disconnected if this fails.
	_ = json.NewEncoder(w).Encode(v)
}

// read decodes a JSON body strictly. If it returns false, it has already answered with an error.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		fail(w, http.StatusBadRequest, "the body is not the JSON that is expected here: "+err.Error())
		return false
	}
	return true
}
