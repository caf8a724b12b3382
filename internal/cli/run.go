package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/backstay-go/backstay/internal/suggest"
	"github.com/backstay-go/backstay/internal/version"
)

// second is how long after the first signal another one is still the same request: timeout(1)
// signals the process and its group.
const second = time.Second

// Main runs a program with the arguments of this process and exits with its status. SIGINT and
// SIGTERM end the command's context; a second one ends the process. A closed pipe ends nothing:
// a run still ends with its report.
func Main(build func(*Streams) *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	signal.Ignore(syscall.SIGPIPE)
	context.AfterFunc(ctx, func() { time.AfterFunc(second, stop) })
	streams := Process()
	os.Exit(Run(ctx, build(streams), streams, os.Args[1:]))
}

// Run runs a program's command line and returns its exit status. It prints the error of the
// command, if it has one, to the error stream.
func Run(ctx context.Context, root *cobra.Command, streams *Streams, args []string) int {
	prepare(root, streams)
	root.SetArgs(args)
	ran, err := root.ExecuteContextC(ctx)
	var ended *Error
	switch {
	case err == nil:
		return OK
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		streams.say(root, "interrupted")
		return Interrupted
	case !errors.As(err, &ended):
		streams.say(root, err.Error())
		fmt.Fprintf(streams.Err, "See %s --help.\n", ran.CommandPath())
		return Usage
	case ended.Err != nil:
		streams.say(root, err.Error())
	}
	return ended.Status
}

func (s *Streams) say(root *cobra.Command, text string) {
	name := root.Name()
	fmt.Fprintf(s.Err, "%s %s\n", s.Style(s.Err).Bold(name+":"), Printable(strings.TrimPrefix(text, name+": ")))
}

// prepare adds to a root command what all programs have in common.
func prepare(root *cobra.Command, streams *Streams) {
	root.SilenceUsage, root.SilenceErrors = true, true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.Version = version.String()
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	root.SetFlagErrorFunc(flagError)
	root.Long = strings.TrimRight(root.Long, "\n") + "\n\n" + statuses
	for _, c := range append(root.Commands(), root) {
		if c.HasSubCommands() && c.RunE == nil && c.Run == nil {
			// A command group without a subcommand is an error, so that a script that lost its
			// argument fails.
			c.Args, c.RunE = cobra.ArbitraryArgs, chooseOne
		}
	}
}

const statuses = `Exit status: 0 done or yes; 1 the answer is no, or it failed; 2 it can't run as given;
3 undecided; 130 interrupted.`

// chooseOne is the action of a command that only groups others: an error that asks for a
// subcommand.
func chooseOne(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		c.SetOut(c.ErrOrStderr())
		if err := c.Help(); err != nil {
			return err
		}
		return Printed(Usage)
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return fmt.Errorf("there is no command %q%s", args[0], suggest.Phrase(args[0], slices.Values(names)))
}

// flagError adds a suggestion for the flag that was probably meant.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	known := map[string]bool{}
	c.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = !f.Hidden })
	name := suggest.Nearest(unknown.GetSpecifiedName(), maps.Keys(known))
	if name == "" {
		return err
	}
	return fmt.Errorf("%w; did you mean --%s?", err, name)
}

// Format is how a command prints its result.
type Format string

// The formats of --output.
const (
	Text Format = "text"
	JSON Format = "json"
)

// AddTo adds the flag -o, --output to a command.
func (f *Format) AddTo(c *cobra.Command) {
	*f = Text
	c.Flags().VarP(f, "output", "o", "how to print the result: text, or json for programs")
}

// String implements pflag.Value.
func (f *Format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *Format) Type() string { return "FORMAT" }

// Set implements pflag.Value.
func (f *Format) Set(text string) error {
	switch Format(text) {
	case Text, JSON:
		*f = Format(text)
		return nil
	}
	return fmt.Errorf("there are text and json%s", suggest.Phrase(text, slices.Values([]string{string(Text), string(JSON)})))
}
