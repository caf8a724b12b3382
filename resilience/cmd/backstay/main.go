package main

import (
	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/internal/cli"
)

func main() { cli.Main(program) }

// tool is what the commands share.
type tool struct{ *cli.Streams }

// program is the command line.
func program(streams *cli.Streams) *cobra.Command {
	t := tool{streams}
	root := &cobra.Command{Use: "backstay", Short: "Check, explain and try policy files",
		Long: `Check policy files, explain what their policies do, and replay recorded incidents under
other policies. FILE and RECORD can be - for standard input.`}
	root.AddCommand(t.check(), t.explain(), t.simulate(), t.schema())
	return root
}
