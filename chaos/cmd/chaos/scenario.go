package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/chaostest"
)

// targets are the systems that scenarios can be run against.
func targets() map[string]scenario.Target {
	return map[string]scenario.Target{chaostest.TargetService: chaostest.Target{Getenv: os.Getenv}, chaostest.TargetStore: chaostest.EventStore{}, scenario.TargetHTTP: scenario.HTTPTarget{}}
}

// A playing holds the options with which run and replay play a scenario.
type playing struct {
	seed     uint64
	dir      string
	traceURL string
}

func (p *playing) addTo(c *cobra.Command, dir string) *cobra.Command {
	c.Flags().Uint64Var(&p.seed, "seed", 0, "decides load and faults; 0 is the scenario's")
	c.Flags().StringVar(&p.traceURL, "trace-url", "", "address at which a trace is shown, such as http://localhost:16686/trace/{trace}; the report links it (spans are sent if OTEL_EXPORTER_OTLP_ENDPOINT is set)")
	c.Flags().StringVar(&p.dir, "report", dir, "folder of the report: a page, JSON and JUnit")
	return c
}

func (t tool) run() *cobra.Command {
	var p playing
	return p.addTo(&cobra.Command{Use: "run FILE|NAME", Short: "play a scenario, from a file or the library; judge and report", Args: cobra.ExactArgs(1),
		Long: "Start the system that the scenario names (or stand before the one that it describes), send\nits load, play its faults, judge, and write a report.",
		RunE: func(c *cobra.Command, args []string) error {
			s, err := t.find(args[0])
			if err != nil {
				return err
			}
			return t.play(c.Context(), s, p, "chaos run "+args[0])
		}}, "out/chaos")
}

func (t tool) replay() *cobra.Command {
	var p playing
	// A replay writes to another folder, so that it does not overwrite the report that it
	// replays.
	return p.addTo(&cobra.Command{Use: "replay REPORT.json", Short: "play the scenario of a report again, with its seed", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			rep, err := report.ReadJSON(args[0])
			if err != nil {
				return cli.BadInput(err)
			}
			if rep.Source == "" {
				return cli.BadInput(fmt.Errorf("%s does not hold its scenario: run it by its command, %s", args[0], rep.Command))
			}
			s, err := scenario.Parse(args[0], []byte(rep.Source), hasTarget)
			if err != nil {
				return cli.BadInput(err)
			}
			if p.seed == 0 {
				p.seed = rep.Seed
			}
			return t.play(c.Context(), s, p, "chaos replay "+args[0])
		}}, "out/chaos/again")
}

func (t tool) scenarios() *cobra.Command {
	var format cli.Format
	c := &cobra.Command{Use: "scenarios [NAME]", Short: "list the library, or print one scenario to copy", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				s, err := chaostest.Named(args[0])
				if err != nil {
					return cli.BadInput(err)
				}
				_, err = fmt.Fprint(t.Out, s.String())
				return cli.Failed(err)
			}
			return t.list(format)
		}}
	format.AddTo(c)
	return c
}

func (t tool) list(format cli.Format) error {
	all, err := chaostest.Library()
	if err != nil {
		return cli.Failed(err)
	}
	type entry struct {
		Name    string  `json:"name"`
		LengthS float64 `json:"length_s"`
		Title   string  `json:"title"`
	}
	entries := make([]entry, 0, len(all))
	for _, s := range all {
		entries = append(entries, entry{s.Name, s.Length().Seconds(), s.Title})
	}
	if format == cli.JSON {
		return t.WriteJSON(entries)
	}
	w := tabwriter.NewWriter(t.Out, 0, 0, 2, ' ', 0)
	for i, e := range entries {
		fmt.Fprintf(w, "%s\t%s\t%s\n", e.Name, all[i].Length(), e.Title)
	}
	return cli.Failed(w.Flush())
}

func (t tool) compare() *cobra.Command {
	var format cli.Format
	c := &cobra.Command{Use: "compare A.json B.json", Short: "what got better from report A to report B, and what worse", Args: cobra.ExactArgs(2),
		Long: "Compare two reports. The status is 1 if something got worse.",
		RunE: func(_ *cobra.Command, files []string) error { return t.compareReports(files[0], files[1], format) }}
	format.AddTo(c)
	return c
}

func (t tool) compareReports(a, b string, format cli.Format) error {
	before, err := report.ReadJSON(a)
	if err != nil {
		return cli.BadInput(err)
	}
	after, err := report.ReadJSON(b)
	if err != nil {
		return cli.BadInput(err)
	}
	for _, of := range []struct {
		file string
		rep  *report.Report
	}{{a, before}, {b, after}} {
		if of.rep.Verdict == report.Undecided {
			fmt.Fprintf(t.Err, "%s is undecided: what it measured may be the machine's doing, and proves nothing\n", of.file)
		}
	}
	if before.Name != after.Name {
		fmt.Fprintf(t.Err, "%s is of %s, %s of %s: what differs may be the scenario's doing\n", a, before.Name, b, after.Name)
	}
	c := report.Compare(before, after)
	if format == cli.JSON {
		err = t.WriteJSON(c)
	} else {
		_, err = fmt.Fprint(t.Out, c.Text())
	}
	if err == nil && len(c.Worse) > 0 {
		err = fmt.Errorf("%d got worse", len(c.Worse))
	}
	return cli.Failed(err)
}

// hasTarget checks a scenario against the system that it names.
func hasTarget(s scenario.Scenario) error {
	t, ok := targets()[s.TargetName()]
	if !ok {
		says := fmt.Sprintf("is %q", s.Target)
		if s.Target == "" {
			says = "is missing"
		}
		return chaos.NewPlanError(chaos.Problem{Field: "target", Message: fmt.Sprintf("%s: there are %s and %s, and %s for a system that the scenario describes under http",
			says, chaostest.TargetService, chaostest.TargetStore, scenario.TargetHTTP)})
	}
	return t.Check(s)
}

// find reads a scenario from a file, or takes it from the library. Its errors have status 2.
func (t tool) find(arg string) (s scenario.Scenario, err error) {
	if _, missing := os.Stat(arg); missing != nil && arg != cli.Stdin {
		if s, err = chaostest.Named(arg); err != nil {
			err = fmt.Errorf("%s is no file, and %w", arg, err)
		}
		return s, cli.BadInput(err)
	}
	shown, text, err := t.ReadFile(arg)
	if err != nil {
		return s, err
	}
	if s, err = scenario.Parse(shown, text, hasTarget); errors.Is(err, chaos.ErrPlan) && !isScenario(text) {
		err = fmt.Errorf("%w\na scenario has a load, and faults; a plan of rules alone is none. One to begin with: chaos scenarios slow-dependency", err)
	}
	return s, cli.BadInput(err)
}

// play plays a scenario and prints the verdict.
func (t tool) play(ctx context.Context, s scenario.Scenario, p playing, command string) error {
	if p.traceURL != "" && !strings.Contains(p.traceURL, "{trace}") {
		return cli.BadInput(fmt.Errorf("--trace-url %q: put {trace} where the trace's id goes", p.traceURL))
	}
	if err := report.Writable(p.dir); err != nil {
		return cli.BadInput(err)
	}
	fmt.Fprintf(t.Out, "%s: %s of load\n", s.Name, s.Length())
	rep, err := scenario.Play(ctx, s, scenario.Config{Target: targets()[s.TargetName()], Seed: p.seed, Command: command, Out: t.Out})
	var bad *chaos.PlanError
	switch {
	case errors.As(err, &bad), errors.Is(err, scenario.ErrConfig):
		return cli.BadInput(err)
	case err != nil && rep == nil:
		return cli.Failed(err)
	}
	rep.TraceURL = p.traceURL
	ended := err // An interrupted run has a report too, of what was seen until then.
	// The report is saved before it is printed, because printing can block if nobody reads the
	// output. It is printed even if it could not be saved.
	page, err := rep.Save(p.dir, s.Name)
	fmt.Fprintf(t.Out, "%s\nVerdict: %s, seed %d. Report: %s\n", rep.Text(), rep.Verdict, rep.Seed, page)
	if err != nil {
		return cli.Failed(err)
	}
	switch {
	case ended != nil:
		return cli.Failed(ended)
	case rep.Verdict == report.Passed:
		return nil
	case rep.Verdict == report.Undecided:
		return cli.Printed(cli.Undecided)
	}
	return cli.Failed(fmt.Errorf("%s failed", s.Name))
}
