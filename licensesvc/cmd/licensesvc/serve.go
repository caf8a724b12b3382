package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	restserver "github.com/backstay-go/backstay/clients/rest/server"
	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/internal/observe"
	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/decision"
	"github.com/backstay-go/backstay/licensesvc/rulefile"
	"github.com/backstay-go/backstay/licensesvc/service"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

// serveFlags are the flags of the serve command.
type serveFlags struct {
	listen, data              string
	membership, catalog, keys string
	tokens                    string
	deadline, drain, notice   time.Duration
	trust, hosts              []string
	callerRate                float64
	store                     storeFlags
	policies, rules           string
	decisions                 decision.Config
	decisionsMiB              int64
}

func (t tool) serve() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use: "serve --data DIR", Short: "serve on a data folder until interrupted", Args: cobra.NoArgs,
		Long: `Serve licenses over HTTP until interrupted. Events are kept in DIR/events.db, or
in Cassandra with --store cassandra, in a keyspace that exists.

Without --membership, --catalog and --keys the service starts small servers of
its own for them on loopback. Set OTEL_EXPORTER_OTLP_ENDPOINT to see traces.`,
		Example: "  licensesvc serve --listen 127.0.0.1:8080 --data ./data",
		RunE:    command(func(ctx context.Context) error { return serve(ctx, f, t) }),
	}
	c.Flags().StringVar(&f.listen, "listen", "127.0.0.1:8080", "host:port of the API and the dashboard")
	c.Flags().StringVar(&f.data, "data", "", "folder of the events, the journal and the signing key; made if need be")
	c.Flags().StringVar(&f.membership, "membership", "", "base address of the membership service")
	c.Flags().StringVar(&f.catalog, "catalog", "", "base address of the catalog")
	c.Flags().StringVar(&f.keys, "keys", "", "base address of the key service")
	f.store.addTo(c)
	c.Flags().BoolVar(&f.store.keepSchema, "keep-schema", false, "refuse a store that lacks schema steps, instead of taking them at the start (see licensesvc schema)")
	c.Flags().StringVar(&f.store.remote, "remote-dc", "", "data centre that answers what is only shown while --local-dc can't; default: none")
	c.Flags().StringVar(&f.policies, "policies", "", "YAML file with policies of the guards; watched, and swapped only when valid (variables BACKSTAY_POLICY_... override its fields)")
	c.Flags().StringVar(&f.rules, "rules", "", "YAML file with the rules that decide (see licensesvc rules); watched, and taken only when valid")
	c.Flags().StringVar(&f.tokens, "tokens", "", "YAML file with a list of grants (actor, sha256, scopes, member); needed unless --listen is on loopback")
	c.Flags().StringSliceVar(&f.hosts, "host", nil, "names of the service in requests, besides localhost and IP addresses; needed only without --tokens")
	c.Flags().Float64Var(&f.callerRate, "caller-rate", 0, "requests per second of one caller (a token, or without tokens an address); 0: no bound")
	c.Flags().Float64Var(&f.decisions.Sample, "decisions-sample", 1, "share of the members whose grants are recorded in DIR/decisions; refusals always are")
	c.Flags().Int64Var(&f.decisionsMiB, "decisions-mib", decision.DefaultMaxBytes>>20, "size of the recorded decisions; the oldest go first")
	c.Flags().DurationVar(&f.decisions.MaxAge, "decisions-for", decision.DefaultMaxAge, "how long decisions are kept")
	c.Flags().DurationVar(&f.deadline, "deadline", 2*time.Second, "how long a request may take")
	c.Flags().StringSliceVar(&f.trust, "trust", nil, "networks (10.0.0.0/8) of callers whose deadline and criticality count; default: loopback")
	c.Flags().DurationVar(&f.notice, "notice", 0, "how long to go on as before once /readyz says not ready, so that balancers look elsewhere")
	c.Flags().DurationVar(&f.drain, "drain", 10*time.Second, "how long requests that were begun may take at the end")
	return c
}

func (f serveFlags) check() error {
	var errs []error
	if f.data == "" {
		errs = append(errs, errors.New("--data is missing: name a folder for the events"))
	}
	if local, err := service.OnLoopback(f.listen); err != nil {
		errs = append(errs, fmt.Errorf("--listen %w", err))
	} else if f.tokens == "" && !local {
		errs = append(errs, fmt.Errorf("--listen %s can be reached from elsewhere: give --tokens, or listen on 127.0.0.1", f.listen))
	}
	given := 0
	for _, upstream := range []struct{ flag, address string }{{"--membership", f.membership}, {"--catalog", f.catalog}, {"--keys", f.keys}} {
		if upstream.address == "" {
			continue
		}
		given++
		if u, err := url.Parse(upstream.address); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			errs = append(errs, fmt.Errorf("%s %q: give a base address such as http://127.0.0.1:7001", upstream.flag, upstream.address))
		}
	}
	if given != 0 && given != 3 {
		errs = append(errs, errors.New("give all of --membership, --catalog and --keys, or none"))
	}
	if err := f.store.check(); err != nil {
		errs = append(errs, err)
	}
	if f.deadline < 100*time.Millisecond {
		errs = append(errs, fmt.Errorf("--deadline %s: give 100ms or more", f.deadline))
	}
	if _, err := f.trusted(); err != nil {
		errs = append(errs, err)
	}
	if f.callerRate < 0 {
		errs = append(errs, fmt.Errorf("--caller-rate %g: give requests per second, or 0 for no bound", f.callerRate))
	}
	if f.decisions.Sample <= 0 || f.decisions.Sample > 1 {
		errs = append(errs, fmt.Errorf("--decisions-sample %g: give a share above 0 and up to 1", f.decisions.Sample))
	}
	if f.decisionsMiB < 1 || f.decisions.MaxAge <= 0 {
		errs = append(errs, fmt.Errorf("--decisions-mib %d and --decisions-for %s: give 1 or more, and a duration above zero", f.decisionsMiB, f.decisions.MaxAge))
	}
	if f.notice < 0 {
		errs = append(errs, fmt.Errorf("--notice %s: give a duration of zero or more", f.notice))
	}
	if f.drain <= 0 {
		errs = append(errs, fmt.Errorf("--drain %s: give a duration above zero", f.drain))
	}
	if err := errors.Join(errs...); err != nil {
		return cli.BadInput(err)
	}
	return nil
}

// trusted returns a function that reports whether a request comes from a network whose headers
// are trusted. Nil means the default.
func (f serveFlags) trusted() (func(*http.Request) bool, error) {
	if len(f.trust) == 0 {
		return nil, nil
	}
	var networks []netip.Prefix
	for _, text := range f.trust {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("--trust %q: give a network such as 10.0.0.0/8", text)
		}
		networks = append(networks, network)
	}
	return restserver.Networks(networks...), nil
}

// recorded returns how decisions are recorded.
func (f serveFlags) recorded() decision.Config {
	cfg := f.decisions
	cfg.MaxBytes = f.decisionsMiB << 20
	return cfg
}

// serve serves until the context ends.
func serve(ctx context.Context, f serveFlags, t tool) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	opener := f.store.opener(f.data)
	given, err := t.given(f, opener)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(t.Err, nil))
	observed, err := observe.Start(ctx, "licensesvc", t.Getenv)
	if err != nil {
		return err
	}
	// Work that continues after the context has ended has a separate time limit.
	ending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	context.AfterFunc(ctx, func() { time.AfterFunc(f.notice+f.drain+5*time.Second, cancel) })
	defer func() { err = errors.Join(err, observed.Shutdown(ending)) }()
	if f.membership == "" {
		servers, err := server.Start(ctx, server.Config{Tracer: observed.Service})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, servers.Shutdown(ending)) }()
		f.membership, f.catalog, f.keys = servers.URL("membership"), servers.URL("catalog"), servers.URL("key-service")
		log.Info("own servers", "membership", f.membership, "catalog", f.catalog, "keys", f.keys)
	}
	if err := os.MkdirAll(f.data, 0o700); err != nil {
		return cli.BadInput(fmt.Errorf("--data: %w; name a folder that can be made and written", err))
	}
	in, err := service.Start(ctx, service.Config{
		Listen: f.listen, Data: f.data, Store: opener, Membership: f.membership, Catalog: f.catalog, Keys: f.keys,
		Deadline: f.deadline, Notice: f.notice, Drain: f.drain, Trust: given.trust, Tokens: given.tokens, Hosts: f.hosts, CallerRate: f.callerRate, Policies: given.policies, Rules: given.rules, Decisions: f.recorded(), Observed: observed, Log: log,
	})
	if err != nil {
		return err
	}
	var watching sync.WaitGroup
	if f.policies != "" {
		watching.Go(func() { watchPolicies(ctx, f.policies, in, log) })
	}
	defer watching.Wait()
	log.Info("serving", "api", in.URL()+"/v1", "dashboard", in.URL()+"/dashboard/", "data", f.data)
	select {
	case <-ctx.Done():
		log.Info("draining", "for_at_most", f.drain)
	case <-in.Served():
		time.AfterFunc(f.drain, cancel)
	}
	return in.Shutdown(ending)
}

// given is what flags and files give to the service.
type given struct {
	trust    func(*http.Request) bool
	tokens   *api.Tokens
	policies map[string]resilience.Policy
	rules    *rulefile.Watched
}

// given reads the files that the flags name.
func (t tool) given(f serveFlags, opener service.StoreOpener) (g given, err error) {
	if g.trust, err = f.trusted(); err != nil {
		return g, cli.BadInput(err)
	}
	if g.tokens, err = t.loadTokens(f.tokens); err != nil {
		return g, err
	}
	if g.policies, err = loadPolicies(f.policies, service.Policies(opener.Policy())); err != nil {
		return g, err
	}
	g.rules, err = openRules(f.rules)
	return g, err
}

func (t tool) loadTokens(file string) (*api.Tokens, error) {
	if file == "" {
		return nil, nil
	}
	shown, text, err := t.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--tokens: %w", err)
	}
	tokens, err := api.ParseTokens(shown, text)
	return tokens, cli.BadInput(err)
}

func loadPolicies(file string, own map[string]resilience.Policy) (map[string]resilience.Policy, error) {
	if file == "" {
		return nil, nil
	}
	policies, err := service.LoadPolicies(file, own)
	if err != nil {
		return nil, cli.BadInput(fmt.Errorf("--policies %s: %w", file, err))
	}
	return policies, nil
}

func openRules(file string) (*rulefile.Watched, error) {
	if file == "" {
		return nil, nil
	}
	rules, err := rulefile.Open(file)
	if err != nil {
		return nil, cli.BadInput(fmt.Errorf("--rules %s: %w", file, err))
	}
	return rules, nil
}

// watchPolicies applies changes of the file until the context ends. A file with errors is logged
// and changes nothing.
func watchPolicies(ctx context.Context, file string, in *service.Instance, log *slog.Logger) {
	set, err := in.OpenPolicies(file)
	if err != nil {
		log.Error("policies are not watched", "error", err)
		return
	}
	doubts(log, set.Warnings())
	err = set.Watch(ctx, func(warnings []policyfile.Problem, err error) {
		if err != nil {
			log.Error("policies stay as they are", "error", err)
			return
		}
		doubts(log, warnings)
		log.Info("policies changed", "file", file)
	})
	if err := set.Close(); err != nil {
		log.Error("close policies", "error", err)
	}
	if ctx.Err() == nil {
		log.Error("policies are not watched any more", "error", err)
	}
}

// doubts logs the warnings about a policy file.
func doubts(log *slog.Logger, warnings []policyfile.Problem) {
	for _, w := range warnings {
		log.Warn("doubtful policy", "problem", w.String())
	}
}
