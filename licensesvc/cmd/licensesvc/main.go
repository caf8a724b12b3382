package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/internal/cli"
)

func main() { cli.Main(program) }

// tool is what the commands share.
type tool struct{ *cli.Streams }

// program is the command line.
func program(streams *cli.Streams) *cobra.Command {
	t := tool{streams}
	root := &cobra.Command{Use: "licensesvc", Short: "Licenses for offline viewing, on dependencies that fail",
		Long: "Serve licenses for offline viewing, and show how the service stands when what it depends\non does not."}
	root.AddCommand(t.serve(), t.demo(), t.backup(), t.restore(), t.verify())
	return root
}

// command makes the function of a cobra command from one that takes a context. An error without
// a status is a failure.
func command(do func(ctx context.Context) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, _ []string) error { return cli.Failed(do(c.Context())) }
}
