package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/scenario"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Who read what is printed may have gone, as head does: a run still ends with its report,
	// and a proxy goes on.
	signal.Ignore(syscall.SIGPIPE)
	// The second signal ends the process at once; but who stops a process by a signal to it
	// and to its group, as timeout(1) does, means one.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
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
	root := &cobra.Command{Use: "chaos", Short: "Faults by plan, and scenarios that end in a verdict",
		Long: `A plan says which faults happen to whom and when; a scenario adds a load, checks and
a verdict. A plan:

  rules:
    - where: {dependency: catalog}
      when: {from: 10s, to: 30s}
      what: {kind: latency, delay: 300ms}

  chaos check plan.yaml                    what is wrong with it
  chaos explain plan.yaml                  what it does, and when
  chaos proxy --dependency catalog --upstream 127.0.0.1:7001 plan.yaml
  chaos cql --listen 127.1.0.1:9042 --upstream 10.0.0.1:9042 --plan plan.yaml
  chaos scenarios                          the library
  chaos run hang                           one of it, against the license service

Exit status: 0 well, 1 it failed, 2 wrong usage or a bad file, 3 undecided.`,
		SilenceUsage: true, SilenceErrors: true, CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true}}
	root.AddCommand(
		&cobra.Command{Use: "check FILE...", Short: "print what is wrong with plans and scenarios", Args: cobra.MinimumNArgs(1),
			RunE: func(_ *cobra.Command, files []string) error { return check(files, errs) }},
		&cobra.Command{Use: "explain FILE", Short: "the timeline of a plan or a scenario, in words and drawn", Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, files []string) error {
				if isScenario(files[0]) {
					s, err := find(files[0], errs)
					if err == nil {
						explain(s.Plan(), out)
					}
					return err
				}
				plan, err := load(files[0], errs)
				if err == nil {
					explain(plan, out)
				}
				return err
			}},
		proxyCommand(out, errs), cqlCommand(out, errs), schemaCommand(out))
	root.AddCommand(scenarioCommands(out, errs)...)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	ran, err := root.ExecuteContextC(ctx)
	var failed *failure
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFound):
		return 2
	case errors.Is(err, errUndecided):
		return 3
	case errors.As(err, &failed):
		fmt.Fprintln(errs, "chaos:", strings.TrimPrefix(err.Error(), "chaos: "))
		return 1
	}
	fmt.Fprintf(errs, "chaos: %v; see %s --help\n", err, ran.CommandPath())
	return 2
}

// load reads a plan, tells what is wrong with it, and what the checks find.
func load(file string, errs io.Writer, checks ...func(chaos.Plan) error) (chaos.Plan, error) {
	if isScenario(file) {
		fmt.Fprintf(errs, "%s is a scenario, and this takes a plan, which has rules and no load: \"chaos run %s\" plays it\n", file, file)
		return chaos.Plan{}, errFound
	}
	plan, err := chaos.Load(file, checks...)
	if err != nil {
		fmt.Fprintln(errs, err)
		return plan, errFound
	}
	return plan, nil
}

// namesAt checks the names in a plan's rules for a place; those for other places are for
// others.
func namesAt(place string, known chaos.Known) func(chaos.Plan) error {
	return func(plan chaos.Plan) error {
		ours := chaos.Plan{Rules: slices.Clone(plan.Rules)}
		for i, r := range plan.Rules {
			if !slices.Contains(r.Places(), place) {
				ours.Rules[i] = chaos.Rule{}
			}
		}
		return ours.CheckNames(known)
	}
}

// here refuses a plan that can do nothing at a place, and tells which of its rules are for
// other places.
func here(plan chaos.Plan, place string, errs io.Writer) error {
	var idle []string
	for i, r := range plan.Rules {
		if !slices.Contains(r.Places(), place) {
			idle = append(idle, fmt.Sprintf("%q (%s)", plan.RuleName(i), r.What.Kind))
		}
	}
	switch {
	case len(idle) == 0:
		return nil
	case len(idle) == len(plan.Rules):
		fmt.Fprintf(errs, "no rule of the plan can happen here, on %s: %s\n", place, strings.Join(idle, ", "))
		return errFound
	}
	fmt.Fprintf(errs, "rules for other places than %s, which do nothing here: %s\n", place, strings.Join(idle, ", "))
	return nil
}

// isScenario tells a scenario from a plan: it has a load, or faults.
func isScenario(file string) bool {
	text, err := os.ReadFile(file)
	keys := chaos.Keys(text)
	return err == nil && (slices.Contains(keys, "load") || slices.Contains(keys, "faults"))
}

func check(files []string, errs io.Writer) error {
	var bad error
	for _, file := range files {
		if !isScenario(file) {
			if _, err := load(file, errs); err != nil {
				bad = err
			}
			continue
		}
		if _, err := scenario.Load(file, hasTarget); err != nil {
			fmt.Fprintln(errs, err)
			bad = errFound
		}
	}
	return bad
}
