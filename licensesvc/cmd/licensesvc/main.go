package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Who read what is printed may have gone, as head does: a service goes on, and a
	// demonstration ends with its report.
	signal.Ignore(syscall.SIGPIPE)
	// The second signal ends the process at once; but who stops a process by a signal to it
	// and to its group, as timeout(1) does, means one.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	os.Exit(run(ctx, os.Args[1:]))
}

// run runs the command line and returns the exit status.
func run(ctx context.Context, args []string) int {
	root := &cobra.Command{
		Use: "licensesvc", Short: "Licenses for offline viewing, on dependencies that fail",
		SilenceUsage: true, SilenceErrors: true, CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.AddCommand(serveCommand(), demoCommand())
	root.SetArgs(args)
	ran, err := root.ExecuteContextC(ctx)
	var wrong *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintln(os.Stderr, "licensesvc:", err)
		return 2
	case !started(err):
		fmt.Fprintf(os.Stderr, "licensesvc: %v; see %s --help\n", err, ran.CommandPath())
		return 2
	}
	fmt.Fprintln(os.Stderr, "licensesvc:", errors.Unwrap(err))
	return 1
}

// usageError is a command line that can't be run.
type usageError struct{ err error }

func usage(err error) error { return &usageError{err} }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// failure is a command that began and failed. What cobra itself returns is neither
// and so counts as wrong usage.
type failure struct{ err error }

func (e *failure) Error() string { return e.err.Error() }
func (e *failure) Unwrap() error { return e.err }

func started(err error) bool {
	var f *failure
	return errors.As(err, &f)
}

// command makes the function of a command from one that is told its context.
func command(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		err := do(c.Context(), args)
		var wrong *usageError
		if err == nil || errors.As(err, &wrong) {
			return err
		}
		return &failure{err}
	}
}
