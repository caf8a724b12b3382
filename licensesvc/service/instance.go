package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/clients/rest/server"
	"github.com/backstay-go/backstay/internal/observe"
	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/app/journal"
	"github.com/backstay-go/backstay/licensesvc/app/token"
	"github.com/backstay-go/backstay/licensesvc/dashboard"
	"github.com/backstay-go/backstay/licensesvc/diskwatch"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/telemetry"
)

// propagator passes on the trace, and the baggage by which faults select requests.
var propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})

// defaultDeadline limits the time of a request.
const defaultDeadline = 2 * time.Second

// Config holds the parts of a service.
type Config struct {
	// Listen is the address of the API and the dashboard. Default: 127.0.0.1:8080.
	Listen string
	// Data is the folder of the journal and the signing key. Required.
	Data string
	// Store opens the event store, which the service closes. Required.
	Store StoreOpener
	// Policies replace the default policies, by guard. See Policies.
	Policies map[string]resilience.Policy
	// Membership, Catalog and Keys are base addresses. Required.
	Membership, Catalog, Keys string
	// Transport returns the transport of requests to a dependency. Nil: a transport that suits
	// the guard.
	Transport func(dependency string) http.RoundTripper
	// Wrap wraps the whole handler. Nil: it is not wrapped.
	Wrap func(http.Handler) http.Handler
	// Deadline limits the time of a request. Default: 0, which means 2 s.
	Deadline time.Duration
	// Notice is how long the service continues as before after it has become not ready, so
	// that load balancers can stop sending requests. Default: 0, no time.
	Notice time.Duration
	// Drain is how long requests that have begun may take during Shutdown before they are cut
	// off. Default: 0, which means 10 s.
	Drain time.Duration
	// Trust reports whether the Backstay headers of a request count. Nil: they count from
	// callers on loopback.
	Trust func(*http.Request) bool
	// Tokens decides which caller may do what. Nil: every caller may do everything.
	Tokens *api.Tokens
	// Limits says when the disk counts as short.
	Limits diskwatch.Limits
	// Faults are shown on the dashboard, with buttons. Nil: the dashboard has none.
	Faults dashboard.Faults
	// Clock returns the time that is recorded. Nil: time.Now.
	Clock func() time.Time
	// Observed is where spans and metrics go. Required.
	Observed *observe.Providers
	// Listeners receive the events of the guards, in addition to the listeners that the
	// service adds.
	Listeners []resilience.Listener
	// Log receives what an operator should know. Required.
	Log *slog.Logger
	_   struct{}
}

// Instance is a running service. It is safe for concurrent use. The caller that started it
// must call Shutdown.
type Instance struct {
	cfg       Config
	store     eventstore.GuardedStore
	app       *app.Service
	clients   *upstream.Clients
	journal   *journal.Journal
	telemetry *telemetry.Telemetry
	recorder  *dashboard.Recorder
	dashboard *dashboard.Dashboard
	monitor   *diskwatch.Monitor
	traffic   *traffic
	own       *resilience.Guard // of the service itself
	http      *server.Server
	listen    net.Listener
	draining  atomic.Bool
	drain     context.CancelFunc

	background sync.WaitGroup
	stop       context.CancelFunc
	served     chan struct{}
	serveErr   error // read after served is closed
}

// Start makes a service and serves. If it returns an error, nothing is left running.
func Start(ctx context.Context, cfg Config) (_ *Instance, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Deadline == 0 {
		cfg.Deadline = defaultDeadline
	}
	in := &Instance{cfg: cfg, recorder: &dashboard.Recorder{}, traffic: &traffic{}, served: make(chan struct{}), stop: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, in.release())
		}
	}()
	if in.telemetry, err = telemetry.New(telemetry.Config{TracerProvider: cfg.Observed.Tracer, MeterProvider: cfg.Observed.Meter}); err != nil {
		return nil, err
	}
	if err := in.assemble(ctx); err != nil {
		return nil, err
	}
	handler, err := in.handler()
	if err != nil {
		return nil, err
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:8080"
	}
	var lc net.ListenConfig
	if in.listen, err = lc.Listen(ctx, "tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; choose a free host:port with --listen", cfg.Listen, err)
	}
	in.http, err = server.NewServer(server.ServerConfig{
		HTTP:   &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn)},
		Notice: cfg.Notice, Limit: cfg.Drain,
	})
	if err != nil {
		return nil, errors.Join(err, in.listen.Close())
	}
	serving, drain := context.WithCancel(context.WithoutCancel(ctx))
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	in.drain, in.stop = drain, stop
	go func() {
		defer close(in.served)
		in.serveErr = in.http.Run(serving, in.listen)
	}()
	in.background.Go(func() { in.ended("drain the journal", in.app.Run(running)) })
	in.background.Go(func() { in.ended("watch the disk", in.monitor.Run(running)) })
	return in, nil
}

func (c Config) check() error {
	var errs []error
	if c.Data == "" {
		errs = append(errs, errors.New("no data folder: give one with --data"))
	}
	if c.Store == nil {
		errs = append(errs, errors.New("service: Store is nil: give SQLite or Cassandra"))
	}
	if c.Observed == nil || c.Log == nil {
		errs = append(errs, errors.New("service: Observed and Log are required"))
	}
	return errors.Join(errs...)
}

// assemble opens what the service needs, beginning with the disk.
func (in *Instance) assemble(ctx context.Context) error {
	cfg := in.cfg
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return fmt.Errorf("data folder: %w; choose one that can be written with --data", err)
	}
	policies := Policies(cfg.Store.Policy())
	if err := CheckPolicies(cfg.Policies, policies); err != nil {
		return err
	}
	policies[api.Name] = api.Policy(cfg.Deadline)
	maps.Copy(policies, cfg.Policies)
	in.warn(policies)
	if err := in.open(ctx, policies); err != nil {
		return err
	}
	signer, err := token.Open(filepath.Join(cfg.Data, "token.key"))
	if err != nil {
		return err
	}
	in.app, err = app.New(app.Config{Store: in.store, Upstream: in.clients, Journal: in.journal, Signer: signer, Log: cfg.Log, Clock: cfg.Clock,
		Full: func() string {
			if f := in.monitor.Forecast(); f.State == diskwatch.Full {
				return f.Why
			}
			return ""
		}})
	if err != nil {
		return err
	}
	for _, g := range append(in.Guards(), in.own) {
		if err := in.telemetry.Watch(g); err != nil {
			return err
		}
	}
	return nil
}

// warn logs operations whose attempts may last as long as a whole request. The request's
// deadline then always comes first, and the circuit breaker of the operation never sees a
// hang.
func (in *Instance) warn(policies map[string]resilience.Policy) {
	for guard, p := range policies {
		for name, op := range p.Operations {
			attempt := op.Timeout
			if op.AttemptTimeout > 0 {
				attempt = min(attempt, op.AttemptTimeout)
			}
			if guard != api.Name && attempt < time.Minute && attempt >= in.cfg.Deadline {
				in.cfg.Log.Warn("a request ends before an attempt times out, so the circuit breaker would not see a dependency that hangs: raise --deadline, or lower the timeout",
					"guard", guard, "operation", name, "attempt", attempt, "deadline", in.cfg.Deadline)
			}
		}
	}
}

// open opens everything that has a policy, and the files.
func (in *Instance) open(ctx context.Context, policies map[string]resilience.Policy) (err error) {
	cfg := in.cfg
	if in.own, err = resilience.New(policies[api.Name]); err != nil {
		return err
	}
	listeners := append([]resilience.Listener{in.telemetry, in.recorder}, cfg.Listeners...)
	if in.store, err = cfg.Store.Open(ctx, StoreSetup{Policy: policies[app.EventStore], Listeners: listeners, Observed: cfg.Observed}); err != nil {
		in.store = nil
		return err
	}
	upstreams := maps.Clone(policies)
	delete(upstreams, app.EventStore)
	delete(upstreams, api.Name)
	in.clients, err = upstream.New(upstream.Config{Membership: cfg.Membership, Catalog: cfg.Catalog, Keys: cfg.Keys, Listeners: listeners, Transport: in.transport, Policies: upstreams})
	if err != nil {
		return err
	}
	if in.journal, err = journal.Open(journal.Config{Path: filepath.Join(cfg.Data, "journal")}); err != nil {
		return err
	}
	in.monitor, err = diskwatch.NewMonitor(ctx, diskwatch.MonitorConfig{Disk: diskwatch.Disk(cfg.Data), Limits: cfg.Limits,
		Events: func(ctx context.Context) (int64, error) {
			stats, err := in.store.Stats(ctx)
			return stats.Events, err
		}})
	return err
}

// transport makes a client span of every request, and passes the trace on.
func (in *Instance) transport(dependency string) http.RoundTripper {
	var base http.RoundTripper
	if in.cfg.Transport != nil {
		base = in.cfg.Transport(dependency)
	}
	if base == nil {
		base = rest.NewBase(64)
	}
	return &traced{RoundTripper: otelhttp.NewTransport(base, otelhttp.WithTracerProvider(in.cfg.Observed.Tracer), otelhttp.WithPropagators(propagator),
		otelhttp.WithMeterProvider(in.cfg.Observed.Meter)), base: base}
}

// traced is a round tripper with tracing that can close the one that it wraps.
type traced struct {
	http.RoundTripper
	base http.RoundTripper
}

func (t *traced) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// handler serves the API, the dashboard and the metrics.
func (in *Instance) handler() (http.Handler, error) {
	cfg := in.cfg
	handler, err := api.New(api.Config{App: in.app, Guard: in.own, Trust: cfg.Trust, Tokens: cfg.Tokens, Ready: in.notReady, OnRequest: in.traffic.record, Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	if in.dashboard, err = in.page(); err != nil {
		return nil, err
	}
	spans := otelhttp.NewHandler(handler, "licensesvc", otelhttp.WithTracerProvider(cfg.Observed.Tracer), otelhttp.WithMeterProvider(cfg.Observed.Meter),
		otelhttp.WithPropagators(propagator),
		otelhttp.WithFilter(func(r *http.Request) bool { return r.URL.Path != "/livez" && r.URL.Path != "/readyz" }),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string {
			if r.Pattern != "" {
				return r.Pattern
			}
			return r.Method
		}))
	mux := http.NewServeMux()
	mux.Handle("/", spans)
	mux.Handle("/dashboard/", in.dashboard)
	mux.Handle("GET /metrics", cfg.Observed.Metrics)
	mux.Handle("GET /{$}", http.RedirectHandler("/dashboard/", http.StatusFound))
	var all http.Handler = mux
	if cfg.Wrap != nil {
		all = cfg.Wrap(all)
	}
	return all, nil
}

func (in *Instance) notReady() string {
	if in.draining.Load() {
		return "draining"
	}
	if err := in.journal.Err(); err != nil {
		return err.Error()
	}
	return ""
}

// ended logs why a background task ended, unless it was cancelled.
func (in *Instance) ended(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		in.cfg.Log.Error("ended", "task", what, "error", err)
	}
}

// Address returns the host:port on which the service listens.
func (in *Instance) Address() string { return in.listen.Addr().String() }

// URL returns the base address.
func (in *Instance) URL() string { return "http://" + in.Address() }

// App returns the service that decides.
func (in *Instance) App() *app.Service { return in.app }

// Guards returns the guards of the dependencies: those of the event store, then membership,
// catalog and key service.
func (in *Instance) Guards() []*resilience.Guard {
	return append(in.store.Guards(), in.clients.Guards()...)
}

// Recorder returns the recorder of what the guards did.
func (in *Instance) Recorder() *dashboard.Recorder { return in.recorder }

// Served returns a channel that is closed when the server has ended. The server ends by itself
// only when it can't continue; Shutdown then returns the reason.
func (in *Instance) Served() <-chan struct{} { return in.served }

// Shutdown ends the service in steps: it is no longer ready, then answers close their
// connections, then no new connection is accepted, then the requests that have begun end, then
// everything else. The context limits the whole. Shutdown returns an error if that cuts
// something off.
func (in *Instance) Shutdown(ctx context.Context) error {
	in.draining.Store(true)
	err := in.dashboard.Close()
	in.drain()
	select {
	case <-in.served:
	case <-ctx.Done():
		err = errors.Join(err, in.http.Close())
		<-in.served
	}
	err = errors.Join(err, in.serveErr)
	in.stop()
	in.background.Wait()
	return errors.Join(err, in.release())
}

// release closes everything that assemble and Start have opened so far.
func (in *Instance) release() error {
	var errs []error
	if in.journal != nil {
		errs = append(errs, in.journal.Close())
	}
	if in.clients != nil {
		errs = append(errs, in.clients.Close())
	}
	if in.store != nil {
		errs = append(errs, in.store.Close())
	}
	if in.own != nil {
		errs = append(errs, in.own.Close())
	}
	if in.telemetry != nil {
		errs = append(errs, in.telemetry.Close())
	}
	return errors.Join(errs...)
}
