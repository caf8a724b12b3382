package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/readmodel"
	"github.com/backstay-go/backstay/licensesvc/service"
)

// readModelFlags are the flags of the commands below readmodels.
type readModelFlags struct {
	data         string
	stream       string
	cancel, back bool
	format       cli.Format
}

func (t tool) readModels() *cobra.Command {
	c := &cobra.Command{Use: "readmodels", Short: "show the views that queries read, rebuild them, and see to events that can't be applied", Args: cobra.NoArgs,
		Long: `The views of a data folder are made from the events, in files of their own, by the service
that uses the folder. These commands read the files, and leave requests in them, which the
service carries out within a second, or when it starts.`}
	var f readModelFlags
	list := t.onReadModels(&cobra.Command{Use: "list --data DIR", Short: "list the views: how far they are, and what waits; the status is 1 if something waits", Args: cobra.NoArgs}, &f, t.listReadModels)
	f.format.AddTo(list)
	rebuild := t.onReadModels(&cobra.Command{Use: "rebuild --data DIR MODEL", Short: "make a view again while the present one serves", Args: cobra.ExactArgs(1),
		Long: `Make the view MODEL again from all events, in a file of its own, while the present one
serves. When it is complete it takes the present one's place in one step. The one that was
replaced is kept until the next rebuild: --back makes it serve again.`}, &f, t.rebuildReadModel)
	rebuild.Flags().BoolVar(&f.cancel, "cancel", false, "end a rebuild, and remove its file")
	rebuild.Flags().BoolVar(&f.back, "back", false, "go back to the view that the last rebuild replaced")
	retry := t.onReadModels(&cobra.Command{Use: "retry --data DIR MODEL", Short: "try events again that could not be applied", Args: cobra.ExactArgs(1)}, &f,
		func(ctx context.Context, op *readmodel.Operator, args []string, f readModelFlags) error {
			return t.retryReadModel(ctx, op, args[0], f, false)
		})
	retry.Flags().StringVar(&f.stream, "stream", "", "only this stream; default: all that wait")
	skip := t.onReadModels(&cobra.Command{Use: "skip --data DIR --stream STREAM MODEL", Short: "leave out the event at which a stream waits, for good", Args: cobra.ExactArgs(1),
		Long: `Leave out the event at which a stream waits, and go on with the next one. The view then lacks
the effect of that event until it is rebuilt; list counts what was skipped.`}, &f,
		func(ctx context.Context, op *readmodel.Operator, args []string, f readModelFlags) error {
			return t.retryReadModel(ctx, op, args[0], f, true)
		})
	skip.Flags().StringVar(&f.stream, "stream", "", "the stream (required)")
	c.AddCommand(list, rebuild, retry, skip)
	return c
}

// onReadModels returns a command that works on the read models of a data folder.
func (t tool) onReadModels(c *cobra.Command, f *readModelFlags, do func(ctx context.Context, op *readmodel.Operator, args []string, f readModelFlags) error) *cobra.Command {
	c.Flags().StringVar(&f.data, "data", "", "data folder of the service (required)")
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case f.data == "":
			return errors.New("--data is missing: name the service's data folder")
		case f.cancel && f.back:
			return errors.New("give --cancel or --back, not both")
		case c.Name() == "skip" && f.stream == "":
			return errors.New("--stream is missing: name the stream whose event is left out")
		}
		op, err := readmodel.OpenOperator(c.Context(), service.ViewsIn(f.data))
		if err != nil {
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, readmodel.ErrNewer) || errors.Is(err, readmodel.ErrDamaged) {
				return cli.BadInput(err)
			}
			return cli.Failed(err)
		}
		return cli.Failed(errors.Join(do(c.Context(), op, args, *f), op.Close()))
	}
	return c
}

func (t tool) listReadModels(ctx context.Context, op *readmodel.Operator, _ []string, f readModelFlags) error {
	list, err := op.List(ctx)
	if err != nil {
		return err
	}
	waits := false
	for _, l := range list {
		waits = waits || len(l.Parked) > 0
	}
	status := cli.OK
	if waits {
		status = cli.No
	}
	if f.format == cli.JSON {
		if err := t.WriteJSON(map[string]any{"views": list}); err != nil {
			return err
		}
		return conclude(status)
	}
	for _, l := range list {
		fmt.Fprintln(t.Out, cli.Printable(describe(l, time.Now())))
		for _, p := range l.Parked {
			fmt.Fprintln(t.Out, cli.Printable(fmt.Sprintf("  waits: %s version %d since %s, %d events, tried %d times: %s: %s", p.Stream, p.Version, p.Since.Format(time.RFC3339), p.Waiting, p.Tries, p.Cause, firstLine(p.Reason))))
		}
	}
	return conclude(status)
}

// conclude ends a command whose result has been printed.
func conclude(status int) error {
	if status == cli.OK {
		return nil
	}
	return cli.Printed(status)
}

// describe describes a view in one line.
func describe(l readmodel.Listed, now time.Time) string {
	text := fmt.Sprintf("%-10s v%d  %-8s  %d events", l.Model, l.Version, l.State, l.Events)
	switch {
	case l.Progress != nil && l.Progress.Total > 0:
		text += fmt.Sprintf(" of %d (%.0f %%), %.0f/s, %s left", l.Progress.Total, 100*float64(l.Events)/float64(l.Progress.Total), l.Progress.Rate,
			time.Duration(l.Progress.LeftSeconds*float64(time.Second)).Round(time.Second))
	case !l.AsOf.IsZero():
		text += fmt.Sprintf(", %s old", now.Sub(l.AsOf).Round(time.Second))
	}
	if l.Skipped > 0 {
		text += fmt.Sprintf(", %d events skipped", l.Skipped)
	}
	if !l.Running && l.State != "kept" {
		text += ", no service works on it"
	}
	if l.Why != "" {
		text += ": " + firstLine(l.Why)
	}
	return text
}

// firstLine returns the first line of a text, such as of a panic with its stack.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func (t tool) rebuildReadModel(ctx context.Context, op *readmodel.Operator, args []string, f readModelFlags) error {
	what := readmodel.Rebuild
	switch {
	case f.cancel:
		what = readmodel.Cancel
	case f.back:
		what = readmodel.Back
	}
	if err := op.Ask(ctx, args[0], what); err != nil {
		return err
	}
	fmt.Fprintf(t.Err, "asked for: %s of %s; see licensesvc readmodels list\n", what, cli.Printable(args[0]))
	return nil
}

func (t tool) retryReadModel(ctx context.Context, op *readmodel.Operator, model string, f readModelFlags, skip bool) error {
	n, err := op.Retry(ctx, model, f.stream, skip)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.Err, "asked for: %d streams of %s; see licensesvc readmodels list\n", n, cli.Printable(model))
	return nil
}
