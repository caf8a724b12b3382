package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/resilience/policyfile"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// errFound: a file has errors, which were printed.
var errFound = errors.New("there are errors")

// run runs the command line and returns the exit status.
func run(args []string, out, errs io.Writer) int {
	root := &cobra.Command{
		Use: "backstay", Short: "Check and explain policy files",
		SilenceUsage: true, SilenceErrors: true, CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.AddCommand(
		&cobra.Command{
			Use: "check FILE...", Short: "print what is wrong, as a linter does", Args: cobra.MinimumNArgs(1),
			RunE: func(_ *cobra.Command, files []string) error { return check(files, out, errs) },
		},
		&cobra.Command{
			Use: "explain FILE", Short: "say what the policies do, with a worked worst case", Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, files []string) error { return explainFile(files[0], out, errs) },
		},
	)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	switch err := root.Execute(); {
	case err == nil:
		return 0
	case errors.Is(err, errFound):
		return 1
	default:
		fmt.Fprintf(errs, "backstay: %v; see backstay --help\n", err)
		return 2
	}
}

// check prints the findings of each file; warnings alone are no failure.
func check(files []string, out, errs io.Writer) error {
	bad := false
	for _, file := range files {
		_, findings, err := policyfile.Load(file)
		for _, f := range findings {
			fmt.Fprintln(out, f)
		}
		if err != nil {
			bad = true
			if len(findings) == 0 {
				fmt.Fprintln(errs, err)
			}
		}
	}
	if bad {
		return errFound
	}
	return nil
}

func explainFile(file string, out, errs io.Writer) error {
	policies, _, err := policyfile.Load(file)
	if err != nil {
		fmt.Fprintln(errs, err)
		return errFound
	}
	explain(policies, out)
	return nil
}
