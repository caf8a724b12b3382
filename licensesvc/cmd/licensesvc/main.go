package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/internal/cli"
)

func main() { cli.Main(program) }

// tool holds what all commands need.
type tool struct{ *cli.Streams }

// program returns the root command.
func program(streams *cli.Streams) *cobra.Command {
	t := tool{streams}
	root := &cobra.Command{Use: "licensesvc", Short: "Licenses for offline viewing, on dependencies that fail",
		Long: "Serve licenses for offline viewing, and show how the service stands when what it depends\non does not."}
	root.AddCommand(t.serve(), t.demo(), t.backup(), t.restore(), t.verify(), t.decisions(), t.history(), t.replay(), t.export(), t.readModels(), t.rules(), t.schema())
	return root
}

// command turns a function that takes a context into the function of a cobra command. An error
// without an exit status counts as a failure.
func command(do func(ctx context.Context) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, _ []string) error { return cli.Failed(do(c.Context())) }
}
