package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/licensesvc/chaostest"
)

// errUndecided: a run ended and nobody can tell whether it is well.
var errUndecided = errors.New("undecided")

// targets are the systems that scenarios can be run against.
func targets() map[string]scenario.Target {
	return map[string]scenario.Target{chaostest.TargetService: chaostest.Target{}, chaostest.TargetStore: chaostest.EventStore{}, scenario.TargetHTTP: scenario.HTTPTarget{}}
}

func scenarioCommands(out, errs io.Writer) []*cobra.Command {
	var seed uint64
	var dir, again string
	// A replay keeps the report that it replays, to be compared with.
	flags := func(folder *string, otherwise string, c *cobra.Command) *cobra.Command {
		c.Flags().Uint64Var(&seed, "seed", 0, "decides load and faults; 0 is the scenario's")
		c.Flags().StringVar(folder, "report", otherwise, "folder of the report: a page, JSON and JUnit")
		return c
	}
	run := flags(&dir, "out/chaos", &cobra.Command{Use: "run FILE|NAME", Short: "play a scenario, from a file or the library; judge and report", Args: cobra.ExactArgs(1),
		Long: "Start the system that the scenario names (or stand before the one that it describes), send\nits load, play its faults, judge, and write a report.\n\nExit status: 0 passed, 1 failed, 3 undecided, 2 wrong usage or a bad scenario.",
		RunE: func(c *cobra.Command, args []string) error {
			s, err := find(args[0], errs)
			if err != nil {
				return err
			}
			return play(c.Context(), s, seed, dir, "chaos run "+args[0], out)
		}})
	replay := flags(&again, "out/chaos/again", &cobra.Command{Use: "replay REPORT.json", Short: "play what a report tells of again, with its seed", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			rep, err := report.ReadJSON(args[0])
			if err != nil {
				return err
			}
			if rep.Source == "" {
				return fmt.Errorf("%s does not hold its scenario: run it by its command, %s", args[0], rep.Command)
			}
			s, err := scenario.Parse(args[0], []byte(rep.Source), hasTarget)
			if err != nil {
				fmt.Fprintln(errs, err)
				return errFound
			}
			if seed == 0 {
				seed = rep.Seed
			}
			return play(c.Context(), s, seed, again, "chaos replay "+args[0], out)
		}})
	return []*cobra.Command{run, replay, enumerateCommand(out, errs),
		{Use: "scenarios [NAME]", Short: "list the library, or print one of it to copy", Args: cobra.MaximumNArgs(1),
			RunE: func(_ *cobra.Command, args []string) error { return scenarios(args, out) }},
		{Use: "compare A.json B.json", Short: "what got better from report A to report B, and what worse", Args: cobra.ExactArgs(2),
			RunE: func(_ *cobra.Command, files []string) error { return compare(files[0], files[1], out) }},
	}
}

// hasTarget holds a scenario against the system that it names.
func hasTarget(s scenario.Scenario) error {
	t, ok := targets()[s.TargetName()]
	if !ok {
		says := fmt.Sprintf("is %q", s.Target)
		if s.Target == "" {
			says = "is missing"
		}
		return &chaos.PlanError{Problems: []chaos.Problem{{Field: "target", Message: fmt.Sprintf("%s: there are %s and %s, and %s for a system that the scenario describes under http",
			says, chaostest.TargetService, chaostest.TargetStore, scenario.TargetHTTP)}}}
	}
	return t.Check(s)
}

// find reads a scenario from a file, or takes it from the library, and tells what is wrong.
func find(arg string, errs io.Writer) (s scenario.Scenario, err error) {
	if _, missing := os.Stat(arg); missing == nil {
		s, err = scenario.Load(arg, hasTarget)
	} else if s, err = chaostest.Named(arg); err != nil {
		err = fmt.Errorf("%s is no file, and %w", arg, err)
	}
	if err != nil {
		fmt.Fprintln(errs, err)
		if errors.Is(err, chaos.ErrPlan) && !isScenario(arg) {
			fmt.Fprintln(errs, "a scenario has a load, and faults; a plan of rules alone is none. One to begin with: chaos scenarios slow-dependency")
		}
		return s, errFound
	}
	return s, nil
}

// play plays a scenario and tells the verdict.
func play(ctx context.Context, s scenario.Scenario, seed uint64, dir, command string, out io.Writer) error {
	if err := report.Writable(dir); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %s of load\n", s.Name, s.Length())
	rep, err := scenario.Play(ctx, s, scenario.Config{Target: targets()[s.TargetName()], Seed: seed, Command: command, Out: out})
	var bad *chaos.PlanError
	switch {
	case errors.As(err, &bad), errors.Is(err, scenario.ErrConfig):
		return err
	case err != nil:
		return &failure{err}
	}
	// Saved first, as the reader of out may be gone, and told whatever came of that.
	page, err := rep.Save(dir, s.Name)
	fmt.Fprintf(out, "%s\nVerdict: %s, seed %d. Report: %s\n", rep.Text(), rep.Verdict, rep.Seed, page)
	if err != nil {
		return &failure{err}
	}
	switch rep.Verdict {
	case report.Passed:
		return nil
	case report.Undecided:
		return errUndecided
	}
	return &failure{fmt.Errorf("%s failed", s.Name)}
}

func scenarios(args []string, out io.Writer) error {
	if len(args) == 1 {
		s, err := chaostest.Named(args[0])
		if err == nil {
			_, err = io.WriteString(out, s.String())
		}
		return err
	}
	all, err := chaostest.Library()
	if err != nil {
		return &failure{err}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, s.Length(), s.Title)
	}
	return w.Flush()
}

func compare(a, b string, out io.Writer) error {
	before, err := report.ReadJSON(a)
	if err != nil {
		return err
	}
	after, err := report.ReadJSON(b)
	if err != nil {
		return err
	}
	for file, rep := range map[string]*report.Report{a: before, b: after} {
		if rep.Verdict == report.Undecided {
			fmt.Fprintf(out, "%s is undecided: what it measured may be the machine's doing, and proves nothing\n", file)
		}
	}
	if before.Name != after.Name {
		fmt.Fprintf(out, "%s is of %s, %s of %s: what differs may be the scenario's doing\n", a, before.Name, b, after.Name)
	}
	c := report.Compare(before, after)
	fmt.Fprint(out, c.Text())
	if len(c.Worse) > 0 {
		return &failure{fmt.Errorf("%d got worse", len(c.Worse))}
	}
	return nil
}
