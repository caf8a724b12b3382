package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/export"
	"github.com/backstay-go/backstay/licensesvc/wire"
)

// exportFlags are the flags of the export command.
type exportFlags struct {
	read       readFlags
	to, format string
	fileRows   int64
	output     cli.Format
}

func (t tool) export() *cobra.Command {
	var f exportFlags
	c := &cobra.Command{
		Use: "export --to DIR", Short: "copy the events to files for analysis, as JSON Lines or Parquet", Args: cobra.NoArgs,
		Long: `Copy the events of a store to files in a folder, also while the service runs. Run it again
to add what is new since. The file manifest.json lists the files that count; it is
replaced when a file is complete, so a run can be killed at any time, and the next one
goes on.

A folder that holds something else is refused, and so is one with the events of another
store, or of this store before it was restored.`,
		Example: "  licensesvc export --data ./data --to ./events --format parquet",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.read.check(); err != nil {
				return err
			}
			if f.to == "" {
				return errors.New("--to is missing: name the folder of the export")
			}
			return cli.Failed(t.runExport(c.Context(), f))
		},
	}
	c.Flags().StringVar(&f.to, "to", "", "folder of the export (required); it is made if it does not exist")
	c.Flags().StringVar(&f.format, "format", string(export.Parquet), "how rows are written: jsonl or parquet")
	c.Flags().Int64Var(&f.fileRows, "file-rows", 250_000, "how many rows a file has at most, rounded up to 1,000")
	f.read.addTo(c)
	f.output.AddTo(c)
	return c
}

func (t tool) runExport(ctx context.Context, f exportFlags) (err error) {
	format, err := export.ParseFormat(f.format)
	if err != nil {
		return cli.BadInput(fmt.Errorf("--format %q: %w", f.format, err))
	}
	if f.fileRows < 1 {
		return cli.BadInput(fmt.Errorf("--file-rows %d: give at least 1", f.fileRows))
	}
	codec, err := wire.New()
	if err != nil {
		return err
	}
	s, err := f.read.open(ctx, t.Getenv)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	dir, err := export.OpenDir(f.to)
	if err != nil {
		return cli.BadInput(err)
	}
	began := time.Now()
	sum, err := export.Run(ctx, export.Config{Source: s, Epoch: s.Epoch(), Dir: dir, Format: format, Decoder: codec, StreamPrefix: app.Stream(""), FileRows: f.fileRows, OnProgress: t.exportProgress(began)})
	switch {
	case errors.Is(err, export.ErrOther), errors.Is(err, export.ErrDamaged), errors.Is(err, eventstore.ErrCorrupt):
		return cli.BadInput(err)
	case err != nil:
		return err
	}
	if sum.Unreadable > 0 {
		fmt.Fprintf(t.Err, "%d rows have a payload that is damaged; their columns hold only what the store knows\n", sum.Unreadable)
	}
	if f.output == cli.JSON {
		return t.WriteJSON(sum)
	}
	_, err = fmt.Fprintf(t.Out, "%d rows in %d files were added; %s has %d rows\n", sum.Rows, sum.Files, f.to, sum.Total)
	return err
}

// exportProgress shows the progress on a terminal, on one line, at most five times a second.
func (t tool) exportProgress(began time.Time) func(export.Progress) {
	terminal, ok := t.Err.(*os.File)
	if !ok || !isatty.IsTerminal(terminal.Fd()) {
		return nil
	}
	shown := began
	return func(p export.Progress) {
		last := p.Slice == eventstore.Slices-1 && p.Behind == 0
		if !last && time.Since(shown) < 200*time.Millisecond {
			return
		}
		shown = time.Now()
		rate := float64(p.Rows) / max(time.Since(began).Seconds(), 0.001)
		line := fmt.Sprintf("slice %d of %d: %d rows, %.0f rows/s", p.Slice+1, eventstore.Slices, p.Rows, rate)
		if p.Behind > 0 {
			line += fmt.Sprintf(", at least %d left in the slice", p.Behind)
		}
		fmt.Fprintf(terminal, "\r\x1b[K%s", line)
		if last {
			fmt.Fprintln(terminal)
		}
	}
}
