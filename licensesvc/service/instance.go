package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"github.com/backstay-go/backstay/clients/rest/server"
	resttelemetry "github.com/backstay-go/backstay/clients/rest/telemetry"
	"github.com/backstay-go/backstay/internal/observe"
	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/app/journal"
	"github.com/backstay-go/backstay/licensesvc/app/token"
	"github.com/backstay-go/backstay/licensesvc/dashboard"
	"github.com/backstay-go/backstay/licensesvc/decision"
	"github.com/backstay-go/backstay/licensesvc/diskwatch"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/rulefile"
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
	// Hosts lists names of the service, in addition to localhost and IP addresses. Without
	// tokens requests for other names are refused.
	Hosts []string
	// CallerRate is how many requests per second one caller may make: one token, or without
	// tokens one address. Default: 0, no bound.
	CallerRate float64
	// Rules is the file of the rules that decide, which the service watches. Nil:
	// license.DefaultRules.
	Rules *rulefile.Watched
	// Decisions bounds and samples the log of decisions, which is in the folder decisions of Data.
	// The service sets its Dir, Full and Log.
	Decisions decision.Config
	// NoReadModels leaves out the read models, which read the store in the background. Requests
	// for them are then answered with problem type "building". Default: they are kept.
	NoReadModels bool
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
	cfg   Config
	parts *components

	store     eventstore.GuardedStore
	app       *app.Service
	clients   *upstream.Clients
	journal   *journal.Journal
	telemetry *telemetry.Telemetry
	recorder  *dashboard.Recorder
	monitor   *diskwatch.Monitor
	watched   *storeWatch
	headroom  *headroom
	traffic   *traffic
	views     api.Views
	own       *resilience.Guard // of the service itself

	api       *api.API
	dashboard *dashboard.Dashboard
	front     *api.Front

	http     *server.Server
	listen   net.Listener
	draining atomic.Bool
	drain    context.CancelFunc
	served   chan struct{}
	serveErr error // read after served is closed
}

// Start makes a service and serves. If it returns an error, nothing is left running.
func Start(ctx context.Context, cfg Config) (_ *Instance, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	in := &Instance{cfg: cfg.withDefaults(), parts: newComponents(cfg.Log), recorder: &dashboard.Recorder{}, traffic: newTraffic(), headroom: newHeadroom(),
		served: make(chan struct{}), drain: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, in.parts.close())
		}
	}()
	for _, step := range []func(context.Context) error{in.open, in.decide, in.view, in.door, in.serve} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	in.parts.start(ctx)
	return in, nil
}

func (c Config) withDefaults() Config {
	if c.Deadline == 0 {
		c.Deadline = defaultDeadline
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8080"
	}
	return c
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
	if local, err := OnLoopback(c.withDefaults().Listen); err != nil {
		errs = append(errs, fmt.Errorf("service: Listen is %w", err))
	} else if !local && c.Tokens == nil {
		errs = append(errs, fmt.Errorf("service: Listen is %s, which can be reached from elsewhere: give Tokens, or listen on 127.0.0.1", c.Listen))
	}
	return errors.Join(errs...)
}

// open opens the files, the guards, the store and the clients, and adds them to the components.
func (in *Instance) open(ctx context.Context) (err error) {
	cfg := in.cfg
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return fmt.Errorf("data folder: %w; choose one that can be written with --data", err)
	}
	folder, err := folderHealth(cfg.Data)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	in.parts.add(component{name: "data_folder", required: true, health: folder})
	policies := Policies(cfg.Store.Policy())
	if err := CheckPolicies(cfg.Policies, policies); err != nil {
		return err
	}
	policies[api.Name] = api.Policy(cfg.Deadline)
	maps.Copy(policies, cfg.Policies)
	in.warn(policies)
	if in.telemetry, err = telemetry.New(telemetry.Config{TracerProvider: cfg.Observed.Tracer, MeterProvider: cfg.Observed.Meter}); err != nil {
		return err
	}
	in.parts.add(component{name: "telemetry", close: in.telemetry.Close})
	if in.own, err = resilience.New(policies[api.Name]); err != nil {
		return err
	}
	in.parts.add(component{name: "front", health: in.headroom.health, run: in.headroom.run, close: in.own.Close, meters: in.headroom.meters()})
	listeners := append([]resilience.Listener{in.telemetry, in.recorder}, cfg.Listeners...)
	if err := in.openStore(ctx, policies[app.EventStore], listeners); err != nil {
		return err
	}
	upstreams := maps.Clone(policies)
	delete(upstreams, app.EventStore)
	delete(upstreams, api.Name)
	observer, err := resttelemetry.New(resttelemetry.Config{MeterProvider: cfg.Observed.Meter, Propagator: propagator})
	if err != nil {
		return err
	}
	in.clients, err = upstream.New(upstream.Config{Membership: cfg.Membership, Catalog: cfg.Catalog, Keys: cfg.Keys, Listeners: listeners, Observer: observer, Transport: cfg.Transport, Policies: upstreams})
	if err != nil {
		return err
	}
	in.parts.add(component{name: "clients", close: in.clients.Close})
	for _, g := range in.clients.Guards() {
		in.parts.add(component{name: g.Name(), health: guardHealth(fallbacks[g.Name()], g)})
	}
	for _, g := range append(in.Guards(), in.own) {
		if err := in.telemetry.Watch(g); err != nil {
			return err
		}
	}
	return nil
}

// openStore opens the store, and watches it and the disk.
func (in *Instance) openStore(ctx context.Context, policy resilience.Policy, listeners []resilience.Listener) error {
	store, err := in.cfg.Store.Open(ctx, StoreSetup{Policy: policy, Listeners: listeners, Observed: in.cfg.Observed})
	if err != nil {
		return err
	}
	in.store, in.watched = store, &storeWatch{store: store}
	in.parts.add(component{name: eventstore.Name, health: in.watched.health, close: store.Close, meters: in.watched.meters()})
	in.parts.add(component{name: "schema", required: true, health: in.watched.schema})
	for _, g := range store.Guards() {
		in.parts.add(component{name: g.Name() + ".guard", health: guardHealth(fallbacks[eventstore.Name], g)})
	}
	in.monitor, err = diskwatch.NewMonitor(ctx, diskwatch.MonitorConfig{Disk: diskwatch.Disk(cmp.Or(in.cfg.Store.Folder(), in.cfg.Data)), Limits: in.cfg.Limits, Store: in.watched.look})
	if err != nil {
		return err
	}
	if found := in.watched.found.Load(); found != nil {
		for _, w := range found.Warnings {
			in.cfg.Log.Warn("the store endangers what it holds", "problem", w)
		}
	}
	in.parts.add(component{name: "disk", health: in.diskHealth, run: in.monitor.Run, meters: in.diskMeters()})
	return nil
}

// decide makes what decides, and its outbox.
func (in *Instance) decide(context.Context) (err error) {
	if in.journal, err = journal.Open(journal.Config{Path: filepath.Join(in.cfg.Data, "journal")}); err != nil {
		return err
	}
	closeJournal := component{name: "journal", close: in.journal.Close}
	in.parts.add(closeJournal)
	signer, err := token.Open(filepath.Join(in.cfg.Data, "token.key"))
	if err != nil {
		return err
	}
	decisions, err := in.openDecisions()
	if err != nil {
		return err
	}
	var rules license.Rules
	if in.cfg.Rules != nil {
		rules = in.cfg.Rules.Rules().Rules
	}
	in.app, err = app.New(app.Config{Store: in.store, Rules: rules, Tracer: in.cfg.Observed.Tracer, Decisions: decisions, Upstream: in.clients, Journal: in.journal, Signer: signer, Log: in.cfg.Log, Clock: in.cfg.Clock,
		Full: func() string {
			if f := in.monitor.Forecast(); f.State == diskwatch.Full {
				return f.Why
			}
			return ""
		}})
	if err != nil {
		return err
	}
	in.addRules()
	in.parts.add(component{name: "outbox", required: true, health: in.outboxHealth, run: in.app.Run, meters: in.outboxMeters()})
	return nil
}

// serve listens and serves. It adds what drains, which is closed first.
func (in *Instance) serve(ctx context.Context) (err error) {
	cfg := in.cfg
	var lc net.ListenConfig
	if in.listen, err = lc.Listen(ctx, "tcp", cfg.Listen); err != nil {
		return fmt.Errorf("cannot listen on %s: %w; choose a free host:port with --listen", cfg.Listen, err)
	}
	var handler http.Handler = in.front
	if cfg.Wrap != nil {
		handler = cfg.Wrap(handler)
	}
	in.http, err = server.NewServer(server.ServerConfig{
		HTTP:   &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn)},
		Notice: cfg.Notice, Limit: cfg.Drain,
	})
	if err != nil {
		return errors.Join(err, in.listen.Close())
	}
	in.parts.add(component{name: "server", required: true, health: func() health {
		if in.draining.Load() {
			return health{StateFailed, "draining"}
		}
		return ok()
	}, meters: in.traffic.meters()})
	if err := in.parts.meter(cfg.Observed.Meter.Meter("github.com/backstay-go/backstay/licensesvc")); err != nil {
		return errors.Join(err, in.listen.Close())
	}
	serving, drain := context.WithCancel(context.WithoutCancel(ctx))
	in.drain = drain
	go func() {
		defer close(in.served)
		in.serveErr = in.http.Run(serving, in.listen)
	}()
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
	return errors.Join(err, in.serveErr, in.parts.close())
}
