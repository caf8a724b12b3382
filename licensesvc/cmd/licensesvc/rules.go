package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/internal/plural"
	"github.com/backstay-go/backstay/internal/strictyaml"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/rulefile"
)

// rules groups the commands about files of rules.
func (t tool) rules() *cobra.Command {
	c := &cobra.Command{Use: "rules", Short: "check, explain and compare files of rules",
		Long: "Check, explain and compare files with the rules of the service. A file may be - for\nstandard input."}
	c.AddCommand(t.rulesCheck(), t.rulesExplain(), t.rulesDiff())
	return c
}

func (t tool) rulesCheck() *cobra.Command {
	var format cli.Format
	c := &cobra.Command{
		Use: "check FILE...", Short: "name every problem of files of rules", Args: cobra.MinimumNArgs(1),
		Long: `Check files of rules. Each problem is named with its line, column and an excerpt. The
exit status is 1 if a file has problems, and 2 if one can't be read.`,
		Example: "  licensesvc rules check rules.yaml",
		RunE:    func(_ *cobra.Command, files []string) error { return t.checkRules(files, format) },
	}
	format.AddTo(c)
	return c
}

// checkedRules is what rules check found in a file.
type checkedRules struct {
	File     string               `json:"file"`
	Versions []string             `json:"versions"`
	Problems []strictyaml.Problem `json:"problems"`
}

func (t tool) checkRules(files []string, format cli.Format) error {
	status := cli.OK
	found := []checkedRules{}
	for _, file := range files {
		shown, text, err := t.ReadFile(file)
		if err != nil {
			return err
		}
		rules, err := rulefile.Parse(shown, text)
		c := checkedRules{File: shown, Versions: rules.Rules.Versions(), Problems: append([]strictyaml.Problem{}, strictyaml.Problems(err)...)}
		found = append(found, c)
		if err != nil {
			status = cli.No
		}
		switch {
		case format == cli.JSON:
		case err != nil:
			fmt.Fprintln(t.Out, cli.Printable(err.Error()))
		default:
			fmt.Fprintf(t.Out, "%s: good; %s, %s decides now\n", cli.Printable(shown), plural.Count(len(c.Versions), "version"), cli.Printable(rules.VersionAt(time.Now())))
		}
	}
	return t.Conclude(format, found, status)
}

func (t tool) rulesExplain() *cobra.Command {
	var s license.Subject
	var at string
	var format cli.Format
	c := &cobra.Command{
		Use: "explain FILE", Short: "say which rule answers for each limit and term, and why", Args: cobra.ExactArgs(1),
		Long: `Say which rule of a file answers for each limit and each term of a download, and why the
other rules do not. What is not given is not known: rules that name any do not hold then.`,
		Example: "  licensesvc rules explain rules.yaml --plan basic --studio meridian --title meridian-002 --at 2027-01-15",
		RunE: func(_ *cobra.Command, args []string) error {
			var err error
			if s.At, err = timeOf(at, time.Now()); err != nil {
				return err
			}
			return t.explainRules(args[0], s, format)
		},
	}
	c.Flags().StringVar(&s.Plan, "plan", "", "plan of the member")
	c.Flags().StringVar(&s.Studio, "studio", "", "studio of the title")
	c.Flags().StringVar(&s.Title, "title", "", "id of the title")
	c.Flags().StringVar(&s.Country, "country", "", "country of the device, two upper-case letters")
	c.Flags().StringVar(&s.DeviceKind, "device-kind", "", "kind of the device, such as phone")
	c.Flags().StringVar(&at, "at", "", "time of the decision, such as 2027-01-31 or 2027-01-31T08:00:00Z; default: now")
	format.AddTo(c)
	return c
}

// timeOf reads a date or a time. An empty text is now.
func timeOf(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now.UTC(), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return now, fmt.Errorf("--at %q: give a date such as 2027-01-31, or a time such as 2027-01-31T08:00:00Z", text)
}

func (t tool) explainRules(file string, s license.Subject, format cli.Format) error {
	rules, err := t.readRules(file)
	if err != nil {
		return err
	}
	e := rules.Explain(s)
	if format == cli.JSON {
		return t.WriteJSON(e)
	}
	fmt.Fprintf(t.Out, "%s\nVersion %q decides.\n\n", cli.Printable(e.Subject), cli.Printable(e.Version))
	for _, f := range e.Fields {
		fmt.Fprintf(t.Out, "%s\n  %s\n", t.Style(t.Out).Bold(f.Field), cli.Printable(f.Sentence))
		for _, other := range f.Instead {
			fmt.Fprintf(t.Out, "    %s\n", cli.Printable(other))
		}
	}
	return nil
}

func (t tool) rulesDiff() *cobra.Command {
	var format cli.Format
	c := &cobra.Command{
		Use: "diff FROM TO", Short: "say in words what differs between two files of rules", Args: cobra.ExactArgs(2),
		Long: `Say in words what differs between two files of rules. A version that is new is compared
with the one that it replaces. The exit status is 1 if something differs.`,
		Example: "  licensesvc rules diff rules-in-force.yaml rules.yaml",
		RunE:    func(_ *cobra.Command, args []string) error { return t.diffRules(args[0], args[1], format) },
	}
	format.AddTo(c)
	return c
}

func (t tool) diffRules(from, to string, format cli.Format) error {
	before, noBefore := t.readRules(from)
	after, noAfter := t.readRules(to)
	if err := errors.Join(noBefore, noAfter); err != nil {
		return cli.BadInput(err)
	}
	changes := append([]rulefile.Change{}, rulefile.Diff(before, after)...)
	status := cli.OK
	if len(changes) > 0 {
		status = cli.No
	}
	if format == cli.Text {
		if status == cli.OK {
			fmt.Fprintln(t.Out, "The rules are the same.")
		}
		for _, c := range changes {
			fmt.Fprintln(t.Out, cli.Printable(c.Sentence))
		}
	}
	return t.Conclude(format, changes, status)
}

// readRules reads a file of rules that must be good.
func (t tool) readRules(file string) (rulefile.Rules, error) {
	shown, text, err := t.ReadFile(file)
	if err != nil {
		return rulefile.Rules{}, err
	}
	rules, err := rulefile.Parse(shown, text)
	return rules, cli.BadInput(err)
}
