package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/tcpproxy"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// errFound: a plan has problems, which were printed.
var errFound = errors.New("there are problems")

// failure is a command that began and failed.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// run runs the command line and returns the exit status.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	root := &cobra.Command{Use: "chaos", Short: "Plans of faults: check, explain, follow",
		SilenceUsage: true, SilenceErrors: true, CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true}}
	root.AddCommand(
		&cobra.Command{Use: "check PLAN...", Short: "print what is wrong", Args: cobra.MinimumNArgs(1),
			RunE: func(_ *cobra.Command, files []string) error { return check(files, errs) }},
		&cobra.Command{Use: "explain PLAN", Short: "the timeline, in words and drawn", Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, files []string) error {
				plan, err := load(files[0], errs)
				if err == nil {
					explain(plan, out)
				}
				return err
			}},
		proxyCommand(out, errs))
	root.AddCommand(scenarioCommands(out, errs)...)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	var failed *failure
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFound):
		return 2
	case errors.Is(err, errUndecided):
		return 3
	case errors.As(err, &failed):
		fmt.Fprintln(errs, "chaos:", err)
		return 1
	}
	fmt.Fprintf(errs, "chaos: %v; see chaos --help\n", err)
	return 2
}

func load(file string, errs io.Writer) (chaos.Plan, error) {
	plan, err := chaos.Load(file)
	if err != nil {
		fmt.Fprintln(errs, err)
		return plan, errFound
	}
	return plan, nil
}

func check(files []string, errs io.Writer) error {
	var bad error
	for _, file := range files {
		if _, err := load(file, errs); err != nil {
			bad = err
		}
	}
	return bad
}

func proxyCommand(out, errs io.Writer) *cobra.Command {
	var cfg tcpproxy.Config
	var api, config string
	var seed uint64
	c := &cobra.Command{
		Use: "proxy --upstream ADDR --dependency NAME PLAN", Short: "a TCP proxy that follows the plan, until interrupted", Args: cobra.MaximumNArgs(1),
		Long: "Listen, pass connections on, and do to them what the plan says of the dependency.\nThe plan begins with the start; every rule ends by itself.\n\nWith --api and without a plan: proxies and toxics by Toxiproxy's HTTP interface.",
		RunE: func(c *cobra.Command, files []string) error {
			if api != "" && len(files) == 0 {
				if !loopback(api) {
					return fmt.Errorf("--api %q: give a port on loopback, such as 127.0.0.1:8474", api)
				}
				return control(c.Context(), api, config, seed, out)
			}
			if len(files) != 1 || api != "" {
				return errors.New("give a PLAN, or --api without one")
			}
			plan, err := load(files[0], errs)
			if err != nil {
				return err
			}
			if err := cfg.Check(); err != nil {
				return err
			}
			if !loopback(cfg.Listen) {
				return fmt.Errorf("--listen %q: give a port on loopback, such as 127.0.0.1:9000", cfg.Listen)
			}
			if err := plan.CheckNames(chaos.Known{Dependencies: []string{cfg.Dependency}}); err != nil {
				fmt.Fprintln(errs, err)
				return errFound
			}
			return follow(c.Context(), plan, cfg, out, errs)
		},
	}
	c.Flags().StringVar(&cfg.Listen, "listen", "127.0.0.1:0", "host:port on loopback; port 0 is a free one")
	c.Flags().StringVar(&cfg.Upstream, "upstream", "", "host:port that connections go to")
	c.Flags().StringVar(&cfg.Dependency, "dependency", "", "name of the upstream in the plan")
	c.Flags().StringVar(&api, "api", "", "host:port on loopback for Toxiproxy's HTTP interface")
	c.Flags().StringVar(&config, "config", "", "with --api: JSON file of proxies to begin with")
	c.Flags().Uint64Var(&seed, "seed", 0, "with --api: decides which connections a toxicity below 1 hits")
	return c
}

// follow proxies until the context ends, and tells each fault.
func follow(ctx context.Context, plan chaos.Plan, cfg tcpproxy.Config, out, errs io.Writer) error {
	injector, err := chaos.New(plan, chaos.Config{Listeners: []chaos.Listener{chaos.ListenerFunc(func(_ context.Context, e chaos.Event) {
		fmt.Fprintf(out, "%8s  %s: %s\n", e.Elapsed.Round(1e6), e.Rule, e.Kind)
	})}})
	if err != nil {
		return &failure{err}
	}
	cfg.Injector = injector
	cfg.Failed = func(err error) { fmt.Fprintln(errs, err) }
	proxy, err := tcpproxy.Start(ctx, cfg)
	if err != nil {
		return &failure{err}
	}
	fmt.Fprintf(out, "%s at %s, to %s\n", cfg.Dependency, proxy.Addr(), cfg.Upstream)
	injector.Start()
	<-ctx.Done()
	injector.Stop()
	if err := proxy.Close(); err != nil {
		return &failure{err}
	}
	s := proxy.Stats()
	fmt.Fprintf(out, "%d connections, %d bytes up, %d bytes down\n", s.Accepted, s.Up, s.Down)
	return nil
}
