package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/chaostest"
)

func (t tool) enumerate() *cobra.Command {
	cfg := scenario.EnumerateConfig{}
	var file string
	var verbose bool
	var set map[string]string
	c := &cobra.Command{Use: "enumerate REQUEST [FILE]", Short: "every fault at every call of a request: what its caller gets", Args: cobra.RangeArgs(1, 2),
		Long: `Make the request once to see which calls it makes, then once for each fault at each of
them, to that call alone and to all after it. FILE is a scenario that names the system and
its settings; without one it is the license service, whose requests are request,
first-request, renew, download, play, release, show and explain. On Cassandra, whose
three nodes all runs share, statements are harmed inside the protocol:

  chaos enumerate --set store=cassandra --protocol cql request

The status is 1 if an answer was wrong or late.`,
		RunE: func(c *cobra.Command, args []string) error {
			cfg.Request = args[0]
			cfg.Scenario = scenario.Scenario{Name: "enumerate", Target: chaostest.TargetService, Seed: 1, Settings: map[string]string{"members": "1", "warm": "no"}}
			if len(args) == 2 {
				var err error
				if cfg.Scenario, err = t.find(args[1]); err != nil {
					return err
				}
			}
			cfg.Scenario.Settings = maps.Clone(cfg.Scenario.Settings)
			if cfg.Scenario.Settings == nil {
				cfg.Scenario.Settings = map[string]string{}
			}
			maps.Copy(cfg.Scenario.Settings, set)
			cfg.Target = targets()[cfg.Scenario.TargetName()]
			if verbose {
				cfg.OnRun = func(done, all int, c scenario.Cell) {
					fmt.Fprintf(t.Out, "%d/%d %s, %s: %s (%s, %s) %s\n", done, all, c.Point, c.Fault, c.Means, c.Outcome, c.Took.Round(1e6), c.Detail)
				}
			}
			table, err := scenario.Enumerate(c.Context(), cfg)
			if table != nil {
				fmt.Fprint(t.Out, table.Text())
			}
			switch {
			case errors.Is(err, scenario.ErrConfig):
				return cli.BadInput(err)
			case err != nil: // The file is for whole tables.
				return cli.Failed(err)
			}
			if file != "" {
				text, err := json.MarshalIndent(table, "", "  ")
				if err == nil {
					err = os.WriteFile(file, append(text, '\n'), 0o644)
				}
				if err != nil {
					return cli.Failed(err)
				}
			}
			if bad := table.Bad(); len(bad) > 0 {
				return cli.Failed(fmt.Errorf("%d answers were wrong or late", len(bad)))
			}
			return nil
		}}
	c.Flags().StringSliceVar(&cfg.Protocols, "protocol", nil, "only faults of these: process, http, tcp, cql; default all")
	c.Flags().StringArrayVar(&cfg.Faults, "fault", nil, "only this one, by its name in the table without \", once\"; can be given again; default all that apply")
	c.Flags().StringToStringVar(&set, "set", map[string]string{}, "settings of the system in place of the scenario's, such as store=cassandra")
	c.Flags().IntVar(&cfg.Workers, "workers", 4, "systems that run at once")
	c.Flags().StringVar(&file, "json", "", "file for the table as JSON")
	c.Flags().BoolVar(&verbose, "verbose", false, "tell each run")
	return c
}
