package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	// The second signal ends the process at once; but who stops a process by a signal to it
	// and to its group, as timeout(1) does, means one.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// errSaid: what is wrong was printed, and the status is 1.
var errSaid = errors.New("there are errors")

// tool is what the commands share.
type tool struct {
	environ   []string
	out, errs io.Writer
}

// run runs the command line and returns the exit status.
func run(ctx context.Context, args, environ []string, out, errs io.Writer) int {
	t := &tool{environ: environ, out: out, errs: errs}
	root := &cobra.Command{
		Use: "backstay", Short: "Check, explain and try policy files",
		Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return errors.New("say what to do") },
		SilenceUsage: true, SilenceErrors: true, CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.AddCommand(t.check(), t.explain(), t.simulate(), t.schema())
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	switch err := root.ExecuteContext(ctx); {
	case err == nil:
		return 0
	case errors.Is(err, errSaid):
		return 1
	default:
		fmt.Fprintf(errs, "backstay: %v\nhint: backstay --help lists the commands, backstay COMMAND --help what each takes\n", err)
		return 2
	}
}

// failed prints an error and returns what ends the command with status 1.
func (t *tool) failed(err error) error {
	fmt.Fprintf(t.errs, "backstay: %v\n", err)
	return errSaid
}
