package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
)

func (t tool) backup() *cobra.Command {
	return t.onStore(&cobra.Command{Use: "backup --data DIR FILE", Short: "copy the events to a file, also while the service runs", Args: cobra.ExactArgs(1),
		Long: `Copy the events of a data folder to FILE, as of one moment, and check the copy. The
service may run meanwhile. Keep DIR/journal and DIR/token.key too: the journal holds what
the store has not taken yet, and the key signs what was promised.

This is for SQLite. On Cassandra use the cluster's own snapshots.`},
		func(ctx context.Context, data, file string) error {
			if err := sqlite.Backup(ctx, eventsIn(data), file); err != nil {
				return err
			}
			fmt.Fprintf(t.Err, "the events of %s are in %s\n", data, file)
			return nil
		})
}

func (t tool) restore() *cobra.Command {
	return t.onStore(&cobra.Command{Use: "restore --data DIR FILE", Short: "put a backup into a data folder that has no events", Args: cobra.ExactArgs(1),
		Long: `Check FILE, and make it the events of a data folder. The service must not run. A folder
that has events is refused: move DIR/events.db and the files next to it away first.

Events that came after the backup are lost. Readers of the feed notice, and begin again.`},
		func(ctx context.Context, data, file string) error {
			// SQLite would take a log that was left without its file for a part of the restored
			// store.
			if info, err := os.Lstat(eventsIn(data) + "-wal"); err == nil && info.Size() > 0 {
				if _, err := os.Lstat(eventsIn(data)); errors.Is(err, os.ErrNotExist) {
					return fmt.Errorf("%s-wal: %w: it belongs to other events; move it away", eventsIn(data), os.ErrExist)
				}
			}
			if err := sqlite.Restore(ctx, file, eventsIn(data)); err != nil {
				return err
			}
			fmt.Fprintf(t.Err, "%s holds the events of %s\n", data, file)
			return nil
		})
}

func (t tool) verify() *cobra.Command {
	return t.onStore(&cobra.Command{Use: "verify --data DIR", Short: "read all events and say what is damaged", Args: cobra.NoArgs,
		Long: "Read all events of a data folder, also while the service runs, and print what is damaged or\nmissing. The status is 1 if something is."},
		func(ctx context.Context, data, _ string) error {
			problems, err := sqlite.Verify(ctx, eventsIn(data))
			if err != nil {
				return err
			}
			for _, p := range problems {
				fmt.Fprintln(t.Out, cli.Printable(p))
			}
			if len(problems) > 0 {
				return cli.Printed(cli.No)
			}
			fmt.Fprintln(t.Out, "nothing is damaged or missing")
			return nil
		})
}

// onStore returns a command that works on the events of a data folder.
func (t tool) onStore(c *cobra.Command, do func(ctx context.Context, data, file string) error) *cobra.Command {
	var data string
	c.Flags().StringVar(&data, "data", "", "data folder of the service (required)")
	c.RunE = func(c *cobra.Command, args []string) error {
		if data == "" {
			return errors.New("--data is missing: name the service's data folder")
		}
		file := ""
		if len(args) > 0 {
			file = args[0]
		}
		err := do(c.Context(), data, file)
		switch {
		case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrExist), errors.Is(err, eventstore.ErrCorrupt):
			return cli.BadInput(err)
		}
		return cli.Failed(err)
	}
	return c
}
