package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/chaostest"
	"github.com/backstay-go/backstay/licensesvc/demo"
	"github.com/backstay-go/backstay/licensesvc/service"
)

func (t tool) demo() *cobra.Command {
	cfg := demo.Config{Out: t.Out, Getenv: t.Getenv, Command: "make demo"}
	var store, plan string
	var verbose bool
	c := &cobra.Command{
		Use: "demo", Short: "the demonstration: load, faults, verdict, report", Args: cobra.NoArgs,
		Long: `Start the service, what it depends on, and a chaos proxy before each; send an
open-loop load; play a plan of faults; judge; write a report.

On a terminal the service and its page stay up until Ctrl-C, under a quiet load, so
that faults can be injected on the page. What is injected there before the verdict is in
the report, and leaves the run undecided.`,
	}
	c.Flags().StringVar(&store, "store", "sqlite", "where events are kept: sqlite, or cassandra for three real nodes (needs Linux, Java 17 and Maven)")
	c.Flags().StringVar(&cfg.Listen, "listen", "127.0.0.1:0", "host:port on loopback of the API and the dashboard; port 0 is a free one")
	c.Flags().StringVar(&cfg.Report, "report", "out/demo", "folder of the report")
	c.Flags().Uint64Var(&cfg.Seed, "seed", 0, "decides the load; 0 is the plan's")
	c.Flags().StringVar(&plan, "plan", "", "YAML file with a plan of faults of your own, on the first 46 s; default: the built-in one")
	c.Flags().BoolVar(&verbose, "verbose", false, "tell what the service logs")
	c.RunE = command(func(ctx context.Context) error {
		switch local, err := service.OnLoopback(cfg.Listen); {
		case err != nil:
			return cli.BadInput(err)
		case !local:
			return cli.BadInput(fmt.Errorf("--listen %s can be reached from elsewhere, and the page has buttons that inject faults: listen on 127.0.0.1", cfg.Listen))
		}
		if err := report.Writable(cfg.Report); err != nil {
			return cli.BadInput(err)
		}
		scenario := demo.SQLite
		switch store {
		case "sqlite":
		case "cassandra":
			scenario, cfg.Command = demo.Cassandra, "make demo-cassandra"
		default:
			return cli.BadInput(fmt.Errorf("--store %q: there are sqlite and cassandra", store))
		}
		var err error
		if cfg.Scenario, err = scenario(); err != nil {
			return err
		}
		if plan != "" {
			if cfg.Scenario, err = demo.WithPlan(cfg.Scenario, plan, chaostest.Known(store, 1)); err != nil {
				return cli.BadInput(fmt.Errorf("--plan: %w", err))
			}
			cfg.Command += " (with --plan " + plan + ")"
		}
		if verbose {
			cfg.Log = slog.New(slog.NewTextHandler(t.Err, nil))
		}
		cfg.Width, cfg.Style = cli.Width(os.Stdout), t.Style(os.Stdout)
		cfg.Terminal = isatty.IsTerminal(os.Stdout.Fd()) && isatty.IsTerminal(os.Stdin.Fd())
		return demo.Run(ctx, cfg)
	})
	return c
}
