package chaostest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/chaos/telemetry"
	"github.com/backstay-go/backstay/internal/observe"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/dashboard"
	"github.com/backstay-go/backstay/licensesvc/service"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

// System is a license service with everything that it depends on. It is safe for concurrent use.
type System struct {
	target   Target
	setup    scenario.Setup
	recorder *recorder
	observed *observe.Providers
	marks    chaos.Listener
	backend  *backend
	servers  *server.Set
	proxies  scenario.Proxies
	service  *service.Instance
	clients  *clients
	asked    counter

	watching sync.WaitGroup
	set      *policyfile.Set // from the policy file; nil until one was deployed
	watched  context.Context
	unwatch  context.CancelFunc
	deployed chan error
}

// counter counts, by dependency, the calls that were started.
type counter struct{ calls sync.Map } // string: *atomic.Uint64

// Handle implements resilience.Listener.
func (c *counter) Handle(_ context.Context, e resilience.Event) context.Context {
	if e.Kind == resilience.CallStarted {
		n, _ := c.calls.LoadOrStore(e.Dependency, new(atomic.Uint64))
		n.(*atomic.Uint64).Add(1)
	}
	return nil
}

func (c *counter) of(dependency string) uint64 {
	n, ok := c.calls.Load(dependency)
	if !ok {
		return 0
	}
	return n.(*atomic.Uint64).Load()
}

// build starts everything, the dependencies first.
func (s *System) build(ctx context.Context) (err error) {
	if s.observed, err = observe.Start(ctx, "licensesvc", s.target.Getenv); err != nil {
		return err
	}
	if s.marks, err = telemetry.New(s.observed.Meter, s.observed.Tracer); err != nil {
		return err
	}
	if s.backend, err = s.target.backend(ctx, s.setup, s.recorder); err != nil {
		return err
	}
	if s.servers, err = server.Start(ctx, server.Config{Tracer: s.observed.Service}); err != nil {
		return err
	}
	injector := s.setup.Injector
	urls := map[string]string{}
	for _, name := range []string{upstream.Membership, upstream.Catalog, upstream.KeyService} {
		address, err := s.proxies.HTTP(ctx, name, "", s.servers.Address(name), operation, injector)
		if err != nil {
			return err
		}
		// The TCP proxy is in front of the HTTP proxy, so that faults can act on connections and
		// requests.
		if address, err = s.proxies.TCP(ctx, name, "", address, injector); err != nil {
			return err
		}
		urls[name] = "http://" + address
	}
	cfg := service.Config{
		Listen: s.target.Listen, Data: filepath.Join(s.setup.Dir, "data"), Store: s.backend.opener,
		Membership: urls[upstream.Membership], Catalog: urls[upstream.Catalog], Keys: urls[upstream.KeyService],
		Transport: func(name string) http.RoundTripper {
			return &recordedTransport{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, recorder: s.recorder, dependency: name}
		},
		Deadline: s.setup.Scenario.Deadline, Observed: s.observed, Log: s.target.Log,
		Clock: injector.Point(Clock, "", nil).Clock(ctx, nil), Listeners: []resilience.Listener{&s.asked},
		// An enumeration harms each call of one request. Nothing else may call the store meanwhile.
		NoReadModels: len(s.setup.Protocols) > 0,
	}
	if s.target.Faults != nil {
		cfg.Faults = s.target.Faults(injector)
	}
	if s.service, err = service.Start(ctx, cfg); err != nil {
		return err
	}
	s.clients = newClients(s.service.URL(), s.setup.Scenario, s.setup.Run)
	return s.watch(ctx)
}

// operation names the operation that a request asks of a dependency.
func operation(r *http.Request) string { return r.Method }

// policies returns the path of the policy file that the service watches.
func (s *System) policies() string { return filepath.Join(s.setup.Dir, "policies", "policies.yaml") }

// watch watches the policy file.
func (s *System) watch(ctx context.Context) error {
	if len(s.setup.Scenario.Actions) == 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(s.policies()), 0o700); err != nil {
		return err
	}
	s.watched, s.unwatch = context.WithCancel(context.WithoutCancel(ctx))
	return nil
}

// deploy opens the policy file when it first exists, and watches it from then on.
func (s *System) deploy() {
	if s.set != nil {
		return // The file is watched already.
	}
	set, err := s.service.OpenPolicies(s.policies())
	if err == nil {
		s.set = set
		s.watching.Go(func() {
			err := set.Watch(s.watched, func(_ []policyfile.Problem, err error) { s.keepOutcome(err) })
			if s.watched.Err() == nil {
				s.keepOutcome(err)
			}
		})
	}
	s.keepOutcome(err)
}

// keepOutcome keeps the result of the latest deployment.
func (s *System) keepOutcome(err error) {
	select {
	case <-s.deployed:
	default:
	}
	s.deployed <- err
}

// Act implements scenario.Actor.
func (s *System) Act(ctx context.Context, a scenario.Action) error {
	if a.Do == ActRestore {
		return s.service.Update(service.Policies(s.backend.opener.Policy()))
	}
	select { // This discards the result of an earlier deployment.
	case <-s.deployed:
	default:
	}
	// The whole file is replaced in one step, as in a deployment.
	next := s.policies() + ".next"
	if err := os.WriteFile(next, []byte(a.With["policies"]), 0o600); err != nil {
		return err
	}
	if err := os.Rename(next, s.policies()); err != nil {
		return err
	}
	s.deploy()
	select {
	case err := <-s.deployed:
		if refused := a.With["refused"] == "yes"; refused != (err != nil) {
			return fmt.Errorf("refused: %t, and the service said: %v", refused, err)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(10 * time.Second):
		return errors.New("the service did not see the file within 10 s")
	}
}

// URL returns the base address of the service.
func (s *System) URL() string { return s.service.URL() }

// Store describes in a few words where the events are stored.
func (s *System) Store() string { return s.backend.name }

// Recorder returns the recorder of the guards' events.
func (s *System) Recorder() *dashboard.Recorder { return s.service.Recorder() }

// Guards returns the guards of the dependencies.
func (s *System) Guards() []*resilience.Guard { return s.service.Guards() }

// Handle implements chaos.Listener. It turns a fault into an event of the span and a metric.
func (s *System) Handle(ctx context.Context, e chaos.Event) { s.marks.Handle(ctx, e) }

// Labels implements scenario.System.
func (s *System) Labels() scenario.Labels {
	return scenario.Labels{
		About: fmt.Sprintf("%d members ask the license service, on %s, for licenses, renewals, plays and more.", s.clients.members, s.backend.name),
		Kinds: kinds, Outcomes: outcomes, Sources: sources,
		Dependencies: []string{app.EventStore, upstream.Membership, upstream.Catalog, upstream.KeyService},
	}
}

// Dependencies implements scenario.DependencyReporter.
func (s *System) Dependencies() []scenario.Dependency {
	var all []scenario.Dependency
	for _, g := range s.service.Guards() {
		now := g.Snapshot()
		all = append(all, scenario.Dependency{Name: now.Dependency, State: now.Breaker.String(), Permits: now.InFlight, Limit: now.Limit,
			Calls: s.asked.of(now.Dependency), Attempts: s.recorder.attempts(now.Dependency)})
	}
	if s.backend.nodes != nil {
		all = append(all, s.backend.nodes()...)
	}
	return all
}

// ApplyFaults implements scenario.FaultApplier.
func (s *System) ApplyFaults(ctx context.Context) error {
	if s.backend.harm == nil {
		return nil
	}
	return s.backend.harm(ctx)
}

// Send implements scenario.System.
func (s *System) Send(ctx context.Context, n int) load.Sample { return s.clients.send(ctx, n) }

// Judge implements scenario.System.
func (s *System) Judge(ctx context.Context, _ []load.Sample) ([]report.Check, error) {
	r := run{answers: s.clients.answers(), recorder: s.recorder}
	var err error
	var back *report.Check
	if s.backend.check != nil {
		c := s.backend.check(ctx)
		back = &c
	}
	r.drained, r.pending = s.settle(ctx)
	// This comes before the history is read, so that a repeat that was carried out twice is found.
	again := s.clients.oneCommand(ctx)
	if r.history, err = readHistory(ctx, s.backend.store, s.clients.everybody()); err != nil {
		return nil, err
	}
	checks := append(r.judge(), again)
	if !s.clients.single {
		s.clients.stopKeeping()
	}
	if back != nil {
		checks = append(checks, *back)
	}
	return checks, nil
}

// settle waits until the journal is empty, or until it is clear that it will not become empty.
func (s *System) settle(ctx context.Context) (time.Duration, int) {
	began := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for s.service.App().Pending() > 0 && time.Since(began) < 20*time.Second && ctx.Err() == nil {
		<-tick.C
	}
	return time.Since(began), s.service.App().Pending()
}

// Close implements scenario.System. It ends the service first.
func (s *System) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var errs []error
	if s.unwatch != nil {
		s.unwatch()
		s.watching.Wait()
		if s.set != nil {
			errs = append(errs, s.set.Close())
		}
	}
	if s.clients != nil {
		s.clients.http.CloseIdleConnections()
	}
	if s.service != nil {
		errs = append(errs, s.service.Shutdown(ctx))
	}
	errs = append(errs, s.proxies.Close(ctx))
	if s.servers != nil {
		errs = append(errs, s.servers.Shutdown(ctx))
	}
	if s.backend != nil {
		errs = append(errs, s.backend.end())
	}
	if s.observed != nil {
		errs = append(errs, s.observed.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
