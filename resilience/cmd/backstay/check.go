package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	sessions "github.com/backstay-go/backstay/clients/cassandra/policyfile"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

func (t *tool) check() *cobra.Command {
	var env bool
	c := &cobra.Command{
		Use: "check FILE...", Short: "print what is wrong or doubtful, as a linter does",
		Long: "Check prints one line a finding: file:line:column: severity: field problem; change.\n" +
			"The status is 1 if there is an error. Warnings alone are no failure.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			bad := false
			for _, file := range files {
				_, findings, err := load(file, t.overrides(env))
				for _, f := range findings {
					fmt.Fprintln(t.out, f)
				}
				var refused *policyfile.Error
				if err != nil && !errors.As(err, &refused) {
					fmt.Fprintf(t.errs, "backstay: %v\n", err)
				}
				bad = bad || err != nil
			}
			if bad {
				return errSaid
			}
			return nil
		},
	}
	envFlag(c, &env)
	return c
}

func envFlag(c *cobra.Command, env *bool) {
	c.Flags().BoolVar(env, "env", false, "apply the overrides of this environment (BACKSTAY_POLICY_..., BACKSTAY_CASSANDRA_...)")
}

// overrides is the environment, if it is to count.
func (t *tool) overrides(env bool) []string {
	if env {
		return t.environ
	}
	return nil
}

func (t *tool) schema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "print the JSON Schema of policy files, for editors", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if _, err := t.out.Write(sessions.Schema()); err != nil {
				return t.failed(err)
			}
			return nil
		},
	}
}
