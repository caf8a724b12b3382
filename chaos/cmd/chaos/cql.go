package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cqlproxy"
	"github.com/backstay-go/backstay/chaos/internal/accept"
	"github.com/backstay-go/backstay/internal/cli"
)

// cqlFlags are the flags of chaos cql: one of listen, upstream, name and advertised for
// each node.
type cqlFlags struct {
	listen, upstream, name, advertised []string
	dependency, plan                   string
	shown                              string // the plan's name in messages
	text                               []byte // the plan's text
	maxFrameBytes                      int
	page                               pageFlags
}

func (t tool) cql() *cobra.Command {
	var f cqlFlags
	c := &cobra.Command{
		Use: "cql --listen ADDR --upstream ADDR [--listen ADDR --upstream ADDR]... [--plan FILE]", Short: "a proxy inside Cassandra's protocol that follows the plan, until interrupted", Args: cobra.NoArgs,
		Long: "Listen before Cassandra nodes, pass requests on, and do to them what the plan says.\nThe plan begins with the start; every rule ends by itself. Drivers find the nodes at\nthe addresses listened on; give each node its own address with the same port,\nlike 127.1.0.1:9042 and 127.1.0.2:9042. Without a plan requests pass.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := f.config()
			if err == nil {
				err = f.page.check(false)
			}
			if err != nil {
				return err
			}
			var plan chaos.Plan
			if f.plan != "" {
				if f.shown, f.text, err = t.ReadFile(f.plan); err != nil {
					return err
				}
				if plan, err = parsePlan(f.shown, f.text, namesAt(chaos.CQL, cfg.Known())); err != nil {
					return err
				}
			}
			if err := here(plan, chaos.CQL, t.Err); err != nil {
				return err
			}
			return f.follow(c.Context(), plan, cfg, t)
		},
	}
	c.Flags().StringArrayVar(&f.listen, "listen", nil, "host:port on loopback for a node; once for each")
	c.Flags().StringArrayVar(&f.upstream, "upstream", nil, "host:port of a node; once for each, in the order of --listen")
	c.Flags().StringArrayVar(&f.name, "name", nil, "what rules call a node, in the same order; default: its upstream address")
	c.Flags().StringArrayVar(&f.advertised, "advertised", nil, "ip:port by which the cluster tells drivers of a node, in the same order; default: its upstream address")
	c.Flags().StringVar(&f.dependency, "dependency", "cassandra", "name of the nodes in the plan")
	c.Flags().StringVar(&f.plan, "plan", "", "file of the plan")
	c.Flags().IntVar(&f.maxFrameBytes, "max-frame-bytes", 0, "longest body of a frame; default 256 MiB, the protocol's limit")
	f.page.add(c.Flags(), "")
	return c
}

// config combines the flags that belong to the same node.
func (f cqlFlags) config() (cqlproxy.Config, error) {
	cfg := cqlproxy.Config{Dependency: f.dependency, MaxFrameBytes: f.maxFrameBytes}
	if len(f.listen) != len(f.upstream) {
		return cfg, fmt.Errorf("%d --listen and %d --upstream: give one of each for each node", len(f.listen), len(f.upstream))
	}
	for flag, values := range map[string][]string{"--name": f.name, "--advertised": f.advertised} {
		if len(values) != 0 && len(values) != len(f.upstream) {
			return cfg, fmt.Errorf("%d %s and %d --upstream: give one for each node, or none", len(values), flag, len(f.upstream))
		}
	}
	for i, upstream := range f.upstream {
		if !accept.Loopback(f.listen[i]) {
			return cfg, fmt.Errorf("--listen %q: give a port on loopback, such as 127.1.0.1:9042", f.listen[i])
		}
		n := cqlproxy.Node{Listen: f.listen[i], Upstream: upstream}
		if len(f.name) > 0 {
			n.Name = f.name[i]
		}
		if len(f.advertised) > 0 {
			n.Advertised = f.advertised[i]
		}
		cfg.Nodes = append(cfg.Nodes, n)
	}
	return cfg, cfg.Check()
}

// follow proxies until the context ends, and prints each fault.
func (f cqlFlags) follow(ctx context.Context, plan chaos.Plan, cfg cqlproxy.Config, t tool) (err error) {
	out, errs := t.Out, t.Err
	page, err := openPage(ctx, f.page, out)
	if err != nil {
		return cli.Failed(err)
	}
	defer page.closed(ctx, &err)
	injector, err := chaos.New(plan, chaos.Config{DeadMan: f.page.deadMan, Listeners: []chaos.Listener{page, chaos.ListenerFunc(func(_ context.Context, e chaos.Event) {
		fmt.Fprintf(out, "%8s  %s: %s at %s: %s %s\n", e.Elapsed.Round(1e6), e.Rule, e.Kind, e.Call.Node, e.Call.Operation, e.Call.Table)
	})}})
	if err != nil {
		return cli.Failed(err)
	}
	page.keeps(injector.KeepAlive)
	cfg.Injector = injector
	cfg.OnError = func(err error) { fmt.Fprintln(errs, err) }
	proxy, err := cqlproxy.Start(ctx, cfg)
	if err != nil {
		return cli.Failed(err)
	}
	injector.Start() // before the addresses are printed, so that every connection meets the plan
	for i, addr := range proxy.Addrs() {
		fmt.Fprintf(out, "%s at %s, to %s\n", cfg.Dependency, addr, cfg.Nodes[i].Upstream)
	}
	f.checkTables(ctx, proxy, plan, t)
	<-ctx.Done()
	chosen := injector.Stats().ByRule
	injector.Stop()
	if err := end(f.dependency, proxy.Close); err != nil {
		return cli.Failed(err)
	}
	s := proxy.Stats()
	fmt.Fprintf(out, "%d connections, %d bytes up, %d bytes down\n", s.Accepted, s.Up, s.Down)
	for _, rule := range slices.Sorted(maps.Keys(chosen)) {
		fmt.Fprintf(out, "%s: chosen %d times\n", rule, chosen[rule])
	}
	return nil
}

// checkTables prints a warning for rules that name keyspaces or tables that do not exist. They
// may be created later, so the command goes on.
func (f cqlFlags) checkTables(ctx context.Context, proxy *cqlproxy.Proxy, plan chaos.Plan, t tool) {
	named := slices.ContainsFunc(plan.Rules, func(r chaos.Rule) bool { return r.Where.Keyspace != "" || r.Where.Table != "" })
	if !named {
		return
	}
	known, err := proxy.Known(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(t.Err, "%v\nkeyspaces and tables of the plan were not checked\n", err)
	}
	// The text is read again, because a plan does not keep its lines.
	if _, err := chaos.Parse(f.shown, f.text, namesAt(chaos.CQL, known)); err != nil {
		fmt.Fprintf(t.Err, "%v\nsuch a rule does nothing until it is there\n", err)
	}
}
