package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/decision"
	"github.com/backstay-go/backstay/licensesvc/service"
)

// decisionsFlags are the flags of the decisions command.
type decisionsFlags struct {
	data   string
	filter decision.Filter
	since  time.Duration
	format cli.Format
}

func (t tool) decisions() *cobra.Command {
	var f decisionsFlags
	c := &cobra.Command{
		Use: "decisions --data DIR", Short: "list how commands were decided, refusals too", Args: cobra.NoArgs,
		Long: `List the recorded decisions of a data folder, the oldest first, also while the service
runs: who asked for what, the outcome, and the reason. As JSON there is one decision per
line, with everything that it was decided on.

Records are dropped by age, by size, and when the service has no time for them. What can't
be read is counted on standard error.`,
		Example: "  licensesvc decisions --data ./data --outcome refused --since 24h\n  licensesvc decisions --data ./data --member m-17 -o json",
		RunE:    command(func(ctx context.Context) error { return t.listDecisions(ctx, f) }),
	}
	c.Flags().StringVar(&f.data, "data", "", "data folder of the service (required)")
	c.Flags().StringVar(&f.filter.Member, "member", "", "only decisions about this member")
	c.Flags().StringVar(&f.filter.License, "license", "", "only decisions about this license")
	c.Flags().StringVar(&f.filter.Command, "command", "", "only this command, such as request or play")
	c.Flags().StringVar(&f.filter.Outcome, "outcome", "", "only this outcome: "+strings.Join(decision.Outcomes(), ", "))
	c.Flags().StringVar(&f.filter.Reason, "reason", "", "only this reason, such as device_limit, or a dependency that failed")
	c.Flags().DurationVar(&f.since, "since", 0, "only what was decided in the last 24h, for example; 0: everything")
	f.format.AddTo(c)
	return c
}

func (f decisionsFlags) check() error {
	var errs []error
	if f.data == "" {
		errs = append(errs, errors.New("--data is missing: name the service's data folder"))
	}
	if f.since < 0 {
		errs = append(errs, fmt.Errorf("--since %s: give a duration of zero or more", f.since))
	}
	if f.filter.Outcome != "" && !slices.Contains(decision.Outcomes(), f.filter.Outcome) {
		errs = append(errs, fmt.Errorf("--outcome %q: give one of %s", f.filter.Outcome, strings.Join(decision.Outcomes(), ", ")))
	}
	return cli.BadInput(errors.Join(errs...))
}

func (t tool) listDecisions(ctx context.Context, f decisionsFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.since > 0 {
		f.filter.Since = time.Now().Add(-f.since)
	}
	reader, err := decision.NewReader(service.DecisionsIn(f.data))
	if err != nil {
		return err
	}
	lines := json.NewEncoder(t.Out)
	lines.SetEscapeHTML(false)
	sum, err := reader.Read(ctx, f.filter, func(r decision.Record) error {
		if f.format == cli.JSON {
			return lines.Encode(r)
		}
		_, err := fmt.Fprintln(t.Out, cli.Printable(decisionLine(r)))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return cli.BadInput(fmt.Errorf("%w: no decisions were recorded in --data %s", err, f.data))
	}
	if sum.Damaged > 0 || sum.Newer > 0 {
		fmt.Fprintf(t.Err, "left out: %d damaged, %d of a newer version of this program\n", sum.Damaged, sum.Newer)
	}
	return err
}

func decisionLine(r decision.Record) string {
	words := []string{r.At.UTC().Format(time.RFC3339), r.Member, r.Command, r.License, r.Outcome}
	if r.Reason != "" {
		words = append(words, r.Reason)
	}
	if r.Repeated {
		words = append(words, "(repeated)")
	}
	if r.CarriedOver {
		words = append(words, "(carried over)")
	}
	line := strings.Join(words, "  ")
	if r.Detail != "" {
		line += ": " + r.Detail
	}
	return line
}
