package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/chaos"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
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
	root := &cobra.Command{Use: "chaos", Short: "Plans of faults: check, explain, follow",
		SilenceUsage: true, SilenceErrors: true, CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true}}
	root.AddCommand(
		&cobra.Command{Use: "check PLAN...", Short: "print what is wrong", Args: cobra.MinimumNArgs(1),
			RunE: func(_ *cobra.Command, files []string) error { return check(files, errs) }},
		&cobra.Command{Use: "explain PLAN", Short: "the timeline, in words and drawn", Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, files []string) error {
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
	err := root.ExecuteContext(ctx)
	var failed *failure
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFound):
		return 2
	case errors.Is(err, errUndecided):
		return 3
	case errors.As(err, &failed):
		fmt.Fprintln(errs, "chaos:", err)
		return 1
	}
	fmt.Fprintf(errs, "chaos: %v; see chaos --help\n", err)
	return 2
}

func load(file string, errs io.Writer) (chaos.Plan, error) {
	plan, err := chaos.Load(file)
	if err != nil {
		fmt.Fprintln(errs, err)
		return plan, errFound
	}
	return plan, nil
}

func check(files []string, errs io.Writer) error {
	var bad error
	for _, file := range files {
		if _, err := load(file, errs); err != nil {
			bad = err
		}
	}
	return bad
}
