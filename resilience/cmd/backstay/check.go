package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	sessions "github.com/backstay-go/backstay/clients/cassandra/policyfile"
	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

func (t tool) check() *cobra.Command {
	var env bool
	var format cli.Format
	c := &cobra.Command{
		Use: "check FILE...", Short: "print what is wrong or doubtful, as a linter does",
		Long: "Print one line per finding: file:line:column: severity: field: problem; change.\n" +
			"The status is 1 if there is an error. Warnings alone are no failure.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error { return t.checkFiles(files, env, format) },
	}
	format.AddTo(c)
	envFlag(c, &env)
	return c
}

func (t tool) checkFiles(files []string, env bool, format cli.Format) error {
	all, status := []policyfile.Problem{}, cli.OK
	for _, file := range files {
		_, findings, err := t.load(file, env)
		var refused *policyfile.Error
		switch {
		case err == nil:
		case errors.As(err, &refused):
			status = max(status, cli.No)
		default:
			status = cli.Usage
			fmt.Fprintf(t.Err, "backstay: %v\n", err)
		}
		all = append(all, findings...)
		if format == cli.Text {
			for _, f := range findings {
				fmt.Fprintln(t.Out, cli.Printable(f.String()))
			}
		}
	}
	return t.Conclude(format, all, status)
}

func envFlag(c *cobra.Command, env *bool) {
	c.Flags().BoolVar(env, "env", false, "apply the overrides of this environment (BACKSTAY_POLICY_..., BACKSTAY_CASSANDRA_...)")
}

// overrides is the environment, if it is to count.
func (t tool) overrides(env bool) []string {
	if env {
		return t.Environ
	}
	return nil
}

func (t tool) schema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "print the JSON Schema of policy files, for editors", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := t.Out.Write(sessions.Schema())
			return cli.Failed(err)
		},
	}
}
