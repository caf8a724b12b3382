package main

import (
	"errors"
	"fmt"
	"maps"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/chaostest"
)

// enumeration holds the flags of chaos enumerate.
type enumeration struct {
	cfg     scenario.EnumerateConfig
	set     map[string]string
	verbose bool
	format  cli.Format
}

func (t tool) enumerate() *cobra.Command {
	var e enumeration
	c := &cobra.Command{Use: "enumerate REQUEST [FILE]", Short: "every fault at every call of a request: what its caller gets", Args: cobra.RangeArgs(1, 2),
		Long: `Make the request once to see which calls it makes, then once for each fault at each of
them, to that call alone and to all after it. FILE is a scenario that names the system and
its settings; without one it is the license service, whose requests are request,
first-request, renew, download, play, release, show and explain. On Cassandra, whose
three nodes all runs share, statements are harmed inside the protocol:

  chaos enumerate --set store=cassandra --protocol cql request

The status is 1 if an answer was wrong or late.`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := t.system(&e, args); err != nil {
				return err
			}
			table, err := scenario.Enumerate(c.Context(), e.cfg)
			return t.enumerated(table, err, e.format)
		}}
	c.Flags().StringSliceVar(&e.cfg.Protocols, "protocol", nil, "only faults of these: process, http, tcp, cql; default all")
	c.Flags().StringArrayVar(&e.cfg.Faults, "fault", nil, "only this one, by its name in the table without \", once\"; can be given again; default all that apply")
	c.Flags().StringToStringVar(&e.set, "set", map[string]string{}, "settings of the system in place of the scenario's, such as store=cassandra")
	c.Flags().IntVar(&e.cfg.Workers, "workers", 4, "systems that run at once")
	c.Flags().BoolVar(&e.verbose, "verbose", false, "print each run to standard error")
	e.format.AddTo(c)
	return c
}

// system takes the request, and the system that receives it, from the arguments.
func (t tool) system(e *enumeration, args []string) (err error) {
	e.cfg.Request = args[0]
	e.cfg.Scenario = scenario.Scenario{Name: "enumerate", Target: chaostest.TargetService, Seed: 1, Settings: map[string]string{"members": "1", "warm": "no"}}
	if len(args) == 2 {
		if e.cfg.Scenario, err = t.find(args[1]); err != nil {
			return err
		}
	}
	settings := map[string]string{}
	maps.Copy(settings, e.cfg.Scenario.Settings)
	maps.Copy(settings, e.set)
	e.cfg.Scenario.Settings = settings
	e.cfg.Target = targets()[e.cfg.Scenario.TargetName()]
	if e.verbose {
		e.cfg.OnRun = func(done, all int, c scenario.Cell) {
			fmt.Fprintf(t.Err, "%d/%d %s, %s: %s (%s, %s) %s\n", done, all, c.Point, c.Fault, c.Means, c.Outcome, c.Took.Round(1e6), c.Detail)
		}
	}
	return nil
}

// enumerated prints a table, even if it was not finished, and judges it.
func (t tool) enumerated(table *scenario.Table, err error, format cli.Format) error {
	var printed error
	switch {
	case table == nil:
	case format == cli.JSON:
		printed = t.WriteJSON(table)
	default:
		_, printed = fmt.Fprint(t.Out, table.Text())
	}
	switch {
	case errors.Is(err, scenario.ErrConfig):
		return cli.BadInput(err)
	case err != nil || printed != nil:
		return cli.Failed(errors.Join(err, printed))
	}
	if bad := table.Bad(); len(bad) > 0 {
		return cli.Failed(fmt.Errorf("%d answers were wrong or late", len(bad)))
	}
	return nil
}
