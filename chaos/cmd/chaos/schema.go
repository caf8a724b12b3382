package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/scenario"
)

func schemaCommand(out io.Writer) *cobra.Command {
	return &cobra.Command{Use: "schema plan|scenario", Short: "print the JSON Schema of a kind of file, for editors",
		Args: cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs), ValidArgs: []string{"plan", "scenario"},
		RunE: func(_ *cobra.Command, args []string) error {
			text := chaos.Schema(nil, "A plan of faults")
			if args[0] == "scenario" {
				text = chaos.Schema(&scenario.Scenario{}, "A scenario")
			}
			if _, err := out.Write(text); err != nil {
				return &failure{err}
			}
			return nil
		}}
}
