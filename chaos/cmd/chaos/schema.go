package main

import (
	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/cli"
)

func (t tool) schema() *cobra.Command {
	return &cobra.Command{Use: "schema plan|scenario", Short: "print the JSON Schema of a kind of file, for editors",
		Args: cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs), ValidArgs: []string{"plan", "scenario"},
		RunE: func(_ *cobra.Command, args []string) error {
			text := chaos.Schema(nil, "A plan of faults")
			if args[0] == "scenario" {
				text = chaos.Schema(&scenario.Scenario{}, "A scenario")
			}
			if _, err := t.Out.Write(text); err != nil {
				return cli.Failed(err)
			}
			return nil
		}}
}
