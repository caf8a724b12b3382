package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/resilience/record"
	"github.com/backstay-go/backstay/resilience/simulate"
)

func (t tool) simulate() *cobra.Command {
	var o simulate.Options
	var policy, page string
	var env, strict bool
	var format cli.Format
	c := &cobra.Command{
		Use: "simulate --policy FILE RECORD", Short: "replay a recorded incident under other policies",
		Long: "Simulate runs the calls of a record through guards of the policies, in virtual time, and\n" +
			"compares what happened with what would have. The same record, file and seed give the\n" +
			"same report. A Cassandra session of the file is replayed by the guards that it has.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			all, _, err := t.load(policy, env)
			if err != nil {
				return cli.BadInput(err)
			}
			policies, err := all.guarding()
			if err != nil {
				return cli.BadInput(fmt.Errorf("%s: %w", policy, err))
			}
			t.tellSessions(all)
			rec, err := t.readRecord(args[0], strict)
			if err != nil {
				return err
			}
			report, err := simulate.Replay(c.Context(), rec, policies, o)
			switch {
			case errors.Is(err, simulate.ErrReplay):
				return cli.BadInput(err)
			case err != nil:
				return cli.Failed(err)
			}
			if page != "" {
				if err := writeWhole(page, report.WriteHTML); err != nil {
					return cli.Failed(err)
				}
			}
			if format == cli.JSON {
				return t.WriteJSON(report)
			}
			return cli.Failed(report.WriteText(t.Out))
		},
	}
	format.AddTo(c)
	f := c.Flags()
	f.StringVar(&policy, "policy", "", "the policy `FILE` to try (required)")
	f.Uint64Var(&o.Seed, "seed", 1, "decides jitter and what is drawn")
	f.Float64Var(&o.Load, "load", 1, "how many calls come for each one of the record, on average, up to 100")
	f.IntVar(&o.Workers, "workers", 0, "how many attempts the dependency works on at once; more wait (default: the load changes nothing)")
	f.DurationVar(&o.Within, "within", 0, "what counts as in time (default: the operation's timeout in the policy)")
	f.Float64Var(&o.Unknown, "unknown", 0, "the share of calls, 0 to 1, that no last good value is remembered for")
	f.StringVar(&page, "html", "", "write a page with plots to `FILE`")
	f.BoolVar(&strict, "strict", false, "refuse a record with lines that can't be read, instead of leaving them out")
	envFlag(c, &env)
	if err := c.MarkFlagRequired("policy"); err != nil {
		panic(err) // the flag is defined above
	}
	return c
}

// tellSessions tells what is made of a file's sessions.
func (t tool) tellSessions(all policies) {
	for _, session := range slices.Sorted(maps.Keys(all.sessions)) {
		var guards []string
		for _, g := range all.sessions[session].Guards() {
			guards = append(guards, g.Name)
		}
		note := ""
		if len(guards) > 1 {
			note = "; what went on from one to another, as degraded reads do, comes to each as recorded"
		}
		fmt.Fprintf(t.Err, "backstay: the session %s is replayed by the guards that it has: %s%s\n", session, strings.Join(guards, ", "), note)
	}
}

// readRecord reads a record. Lines that can't be read are named and left out; if strict is
// set, they are an error. Errors have status 2.
func (t tool) readRecord(file string, strict bool) (record.Record, error) {
	from := t.In
	if file != cli.Stdin {
		f, err := os.Open(file)
		if err != nil {
			return record.Record{}, cli.BadInput(err)
		}
		defer f.Close()
		from = f
	}
	rec, err := record.ReadAll(from)
	switch {
	case err != nil:
		return rec, cli.BadInput(fmt.Errorf("%s: %w", file, err))
	case strict && len(rec.Faults) > 0:
		return rec, cli.BadInput(fmt.Errorf("%s: %w; correct the record, or replay it without --strict", file, errors.Join(rec.Faults...)))
	}
	for _, fault := range rec.Faults {
		fmt.Fprintf(t.Err, "backstay: %s: %v; it is left out\n", file, fault)
	}
	return rec, nil
}

// writeWhole writes a file that appears when it is whole. What is there and no plain file (a
// link, a device, a pipe) is written through, and stays what it is.
func writeWhole(file string, write func(io.Writer) error) (err error) {
	if info, err := os.Lstat(file); err == nil && !info.Mode().IsRegular() {
		return writeThrough(file, write)
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".backstay-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", file, errors.Join(err, os.Remove(f.Name())))
		}
	}()
	if err := errors.Join(write(f), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

func writeThrough(file string, write func(io.Writer) error) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
