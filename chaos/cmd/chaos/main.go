package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/internal/strictyaml"
)

func main() { cli.Main(program) }

// tool holds what the commands share.
type tool struct{ *cli.Streams }

// program returns the command line.
func program(streams *cli.Streams) *cobra.Command {
	t := tool{streams}
	root := &cobra.Command{Use: "chaos", Short: "Faults by plan, and scenarios that end in a verdict",
		Long: `A plan says which faults happen to which calls and when. A scenario adds a load, checks
and a verdict. A plan:

  rules:
    - where: {dependency: catalog}
      when: {from: 10s, to: 30s}
      what: {kind: latency, delay: 300ms}

  chaos check plan.yaml                    what is wrong with it
  chaos explain plan.yaml                  what it does, and when
  chaos proxy --dependency catalog --upstream 127.0.0.1:7001 plan.yaml
  chaos cql --listen 127.1.0.1:9042 --upstream 10.0.0.1:9042 --plan plan.yaml
  chaos scenarios                          the library
  chaos run hang                           one of them, against the license service

FILE can be - for standard input.`}
	root.AddCommand(t.check(), t.explain(), t.proxy(), t.cql(), t.schema(),
		t.run(), t.replay(), t.enumerate(), t.scenarios(), t.compare())
	return root
}

// problems holds everything that is wrong with a file, as the reader of plans or of scenarios
// found it.
type problems struct {
	File     string          `json:"file"`
	Problems []chaos.Problem `json:"problems"`
}

func (t tool) check() *cobra.Command {
	var format cli.Format
	c := &cobra.Command{Use: "check FILE...", Short: "print what is wrong with plans and scenarios", Args: cobra.MinimumNArgs(1),
		Long: "Read plans and scenarios, and print what is wrong with them. The status is 1 if something is.",
		RunE: func(_ *cobra.Command, files []string) error {
			all, status := []problems{}, cli.OK
			for _, file := range files {
				_, _, err := t.read(file)
				var bad *chaos.PlanError
				switch {
				case err == nil:
					continue
				case errors.As(err, &bad):
					all, status = append(all, problems{file, bad.Problems}), max(status, cli.No)
				default:
					status = cli.Usage
				}
				if format == cli.Text || bad == nil {
					fmt.Fprintln(t.Err, cli.Printable(err.Error()))
				}
			}
			return t.Conclude(format, all, status)
		}}
	format.AddTo(c)
	return c
}

func (t tool) explain() *cobra.Command {
	return &cobra.Command{Use: "explain FILE", Short: "the timeline of a plan or a scenario, in words and drawn", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			plan, s, err := t.read(files[0])
			if err != nil {
				return cli.BadInput(err)
			}
			if s != nil {
				plan = s.Plan()
			}
			explain(plan, t.Out)
			return nil
		}}
}

// read reads a plan or a scenario. The scenario is nil if the file is a plan.
func (t tool) read(file string) (chaos.Plan, *scenario.Scenario, error) {
	shown, text, err := t.ReadFile(file)
	if err != nil {
		return chaos.Plan{}, nil, err
	}
	if isScenario(text) {
		s, err := scenario.Parse(shown, text, hasTarget)
		return chaos.Plan{}, &s, err
	}
	plan, err := chaos.Parse(shown, text)
	return plan, nil, err
}

// plan reads a plan, and runs further checks on it. Its errors have status 2.
func (t tool) plan(file string, checks ...func(chaos.Plan) error) (chaos.Plan, error) {
	shown, text, err := t.ReadFile(file)
	if err != nil {
		return chaos.Plan{}, err
	}
	return parsePlan(shown, text, checks...)
}

// parsePlan reads the text of a plan, as plan does.
func parsePlan(shown string, text []byte, checks ...func(chaos.Plan) error) (chaos.Plan, error) {
	if isScenario(text) {
		return chaos.Plan{}, cli.BadInput(fmt.Errorf("%s is a scenario, and this takes a plan, which has rules and no load: \"chaos run %s\" plays it", shown, shown))
	}
	plan, err := chaos.Parse(shown, text, checks...)
	return plan, cli.BadInput(err)
}

// namesAt checks the names in a plan's rules for one place. Names in rules for other places are
// not known here.
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

// here refuses a plan that has no effect at a place. It prints which of its rules are for
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
		return cli.BadInput(fmt.Errorf("no rule of the plan can happen here, on %s: %s", place, strings.Join(idle, ", ")))
	}
	fmt.Fprintf(errs, "rules for other places than %s, which do nothing here: %s\n", place, strings.Join(idle, ", "))
	return nil
}

// isScenario distinguishes a scenario from a plan: a scenario has a load, or faults.
func isScenario(text []byte) bool {
	keys := strictyaml.Keys(text)
	return slices.Contains(keys, "load") || slices.Contains(keys, "faults")
}
