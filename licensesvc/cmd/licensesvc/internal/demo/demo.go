package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/httpfault"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/tcpproxy"
	"github.com/backstay-go/backstay/chaos/telemetry"
	"github.com/backstay-go/backstay/licensesvc/cmd/licensesvc/internal/instance"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
)

// ErrFailed: the verdict is not "passed". The report says why.
var ErrFailed = errors.New("the demonstration did not pass")

// Run runs the demonstration. The error matches ErrFailed if it ran and did not
// pass; then its data is kept, and named.
func Run(ctx context.Context, cfg Config) (err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := os.MkdirTemp("", "backstay-demo-")
	if err != nil {
		return fmt.Errorf("a folder for the run's data: %w", err)
	}
	h := &house{cfg: cfg, dir: dir, witness: newWitness()}
	defer func() {
		err = errors.Join(err, h.close(context.WithoutCancel(ctx)))
		if err == nil || ctx.Err() != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		} else {
			fmt.Fprintf(cfg.Out, "The run's data is kept in %s\n", dir)
		}
	}()
	if err := h.build(ctx); err != nil {
		return err
	}
	fmt.Fprintf(cfg.Out, "License service on %s at %s, page at %s/dashboard/\n", h.backend.Name, h.service.URL(), h.service.URL())
	rep, err := h.play(ctx)
	if err != nil {
		return err
	}
	page, err := rep.Save(cfg.Report, "demo")
	if err != nil {
		return err
	}
	tell(cfg.Out, rep, page)
	if cfg.Terminal {
		fmt.Fprintln(cfg.Out, "The service stays up until Ctrl-C.")
		<-ctx.Done()
	}
	if rep.Verdict != report.Passed {
		return fmt.Errorf("%w: verdict %s; see %s", ErrFailed, rep.Verdict, page)
	}
	return nil
}

// house is all that runs in a demonstration.
type house struct {
	cfg      Config
	dir      string
	witness  *witness
	observed *instance.Observed
	backend  *Backend
	faults   *faults
	servers  *server.Set
	proxies  []func(context.Context) error
	service  *instance.Instance
}

// build starts everything, dependencies first.
func (h *house) build(ctx context.Context) (err error) {
	if h.observed, err = instance.Observe(ctx, "licensesvc", h.cfg.Getenv); err != nil {
		return err
	}
	if h.backend, err = h.cfg.Open(ctx, h.dir); err != nil {
		return err
	}
	if h.cfg.Plan != nil {
		h.backend.Plan = *h.cfg.Plan
	}
	marks, err := telemetry.New(h.observed.Meter)
	if err != nil {
		return err
	}
	injector, err := chaos.New(h.backend.Plan, chaos.Config{Listeners: []chaos.Listener{marks}})
	if err != nil {
		return err
	}
	h.faults = &faults{injector: injector}
	if h.servers, err = server.Start(ctx, server.Config{Tracer: h.observed.Tracer}); err != nil {
		return err
	}
	urls := map[string]string{}
	for _, name := range []string{upstream.Catalog, upstream.KeyService} {
		proxy, err := tcpproxy.Start(ctx, tcpproxy.Config{Dependency: name, Upstream: h.servers.Address(name), Injector: injector})
		if err != nil {
			return err
		}
		h.proxies = append(h.proxies, func(context.Context) error { return proxy.Close() })
		urls[name] = "http://" + proxy.Addr()
	}
	if urls[upstream.Membership], err = h.reverse(ctx, upstream.Membership, injector); err != nil {
		return err
	}
	h.service, err = instance.Start(ctx, instance.Config{
		Listen: h.cfg.Listen, Data: filepath.Join(h.dir, "data"), Store: newHarmed(h.backend.Store, h.witness, injector),
		Membership: urls[upstream.Membership], Catalog: urls[upstream.Catalog], Keys: urls[upstream.KeyService],
		Transport: func(name string) http.RoundTripper {
			return &watched{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, witness: h.witness, dependency: name}
		},
		StorePolicy: h.backend.Policy, Deadline: Deadline, Faults: h.faults, Observed: h.observed, Log: h.cfg.Log,
	})
	return err
}

// reverse is a chaos proxy that speaks HTTP.
func (h *house) reverse(ctx context.Context, name string, injector *chaos.Injector) (string, error) {
	target, err := url.Parse(h.servers.URL(name))
	if err != nil {
		return "", err
	}
	var lc net.ListenConfig
	listen, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("proxy before %s: %w", name, err)
	}
	carrier := &http.Transport{MaxIdleConnsPerHost: 64}
	proxy := &http.Server{ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(h.cfg.Log.Handler(), slog.LevelDebug),
		Handler: httpfault.Handler(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: carrier},
			httpfault.Config{Dependency: name, Injector: injector})}
	served := make(chan error, 1)
	go func() { served <- proxy.Serve(listen) }()
	h.proxies = append(h.proxies, func(ctx context.Context) error {
		err := proxy.Shutdown(ctx)
		carrier.CloseIdleConnections()
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	})
	return "http://" + listen.Addr().String(), nil
}

// close ends everything, the service first.
func (h *house) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var errs []error
	if h.faults != nil {
		h.faults.injector.Stop()
	}
	if h.service != nil {
		errs = append(errs, h.service.Shutdown(ctx))
	}
	for _, end := range h.proxies {
		errs = append(errs, end(ctx))
	}
	if h.servers != nil {
		errs = append(errs, h.servers.Shutdown(ctx))
	}
	if h.backend != nil {
		errs = append(errs, h.backend.Close(ctx))
	}
	if h.observed != nil {
		errs = append(errs, h.observed.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// play plays the load and the plan, and judges.
func (h *house) play(ctx context.Context) (*report.Report, error) {
	seed := h.cfg.Seed
	if seed == 0 {
		seed = h.backend.Plan.Seed
	}
	schedule, err := load.Schedule(h.backend.Stages, seed)
	if err != nil {
		return nil, err
	}
	player, err := load.New(load.Config{Schedule: schedule})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(h.cfg.Out, "%d requests of %d members in %s; plan: %s\n\n", len(schedule), members, load.Length(h.backend.Stages), h.backend.Plan.Name)
	crowd := newCrowd(h.service.URL(), seed)
	defer crowd.http.CloseIdleConnections()
	telling, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var nodes error
	h.faults.begin()
	view := newLive(h.cfg, player, h.backend.Plan, h.service.Recorder(), h.service.Guards())
	wg.Go(func() { view.run(telling) })
	if h.backend.Begin != nil {
		wg.Go(func() { nodes = h.backend.Begin(telling, h.faults.injector) })
	}
	played, err := player.Play(ctx, crowd.send)
	stop()
	wg.Wait()
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, fmt.Errorf("interrupted after %d requests: there is no verdict", len(played.Samples))
	case nodes != nil && !errors.Is(nodes, context.Canceled):
		return nil, nodes
	}
	r := run{plan: h.backend.Plan, injected: h.faults.injector.Stats().ByRule, load: played, answers: crowd.answers(), witness: h.witness}
	r.drained, r.pending = h.settle(ctx)
	if r.history, err = readHistory(ctx, h.backend.Store); err != nil {
		return nil, err
	}
	if h.backend.Check != nil {
		c := h.backend.Check(ctx)
		r.nodes = &c
	}
	return h.report(r, seed), nil
}

// settle waits until the journal is empty, or it is clear that it will not be.
func (h *house) settle(ctx context.Context) (time.Duration, int) {
	began := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for h.service.App().Pending() > 0 && time.Since(began) < 20*time.Second && ctx.Err() == nil {
		<-tick.C
	}
	return time.Since(began), h.service.App().Pending()
}
