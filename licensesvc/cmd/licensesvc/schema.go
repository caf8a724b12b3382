package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/eventstore/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore/schema"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
)

// schemaFlags are the flags of the commands below schema.
type schemaFlags struct {
	data   string
	store  storeFlags
	lose   []string
	format cli.Format
}

func (t tool) schema() *cobra.Command {
	c := &cobra.Command{Use: "schema", Short: "show what the store's tables lack, and bring them up to date", Args: cobra.NoArgs,
		Long: `The tables of a store change in steps. The service takes the steps that its store lacks
when it starts, except those that remove data; with --keep-schema it takes none. These
commands show the steps, and take them before the service starts.

Name the store by --data DIR, or by --store cassandra and its flags.`}
	c.AddCommand(
		t.onSchema(&cobra.Command{Use: "status", Short: "say whether this program can work on the store; the status is 1 if not"}, t.schemaStatus),
		t.onSchema(&cobra.Command{Use: "plan", Short: "print the statements that apply would run; the status is 1 if apply would refuse"}, t.schemaPlan),
		t.onSchema(&cobra.Command{Use: "apply", Short: "take the steps that the store lacks",
			Long: `Take the steps that the store lacks, in order, while no other program does. A crash does no
harm: the next apply goes on where this one ended. A file must not be in use meanwhile. On
Cassandra the service may run, and each statement waits until all nodes agree.`}, t.schemaApply))
	return c
}

// onSchema returns a command that works on the schema of a store.
func (t tool) onSchema(c *cobra.Command, do func(ctx context.Context, db schema.Database, s schema.Schema, f schemaFlags) error) *cobra.Command {
	var f schemaFlags
	c.Args = cobra.NoArgs
	c.Flags().StringVar(&f.data, "data", "", "data folder of the service, for SQLite")
	f.store.addTo(c)
	if c.Name() != "status" {
		c.Flags().StringSliceVar(&f.lose, "lose", nil, "names of steps that may remove data")
	}
	f.format.AddTo(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		err := f.store.check()
		switch {
		case err == nil && f.store.kind == "sqlite" && f.data == "":
			err = errors.New("--data is missing: name the service's data folder, or give --store cassandra")
		case err == nil && f.store.kind != "sqlite" && f.data != "":
			err = errors.New("--data is for SQLite")
		}
		if err != nil {
			return err
		}
		s, db, closer, err := f.open(c.Context())
		if err != nil {
			return err
		}
		return cli.Failed(errors.Join(do(c.Context(), db, s, f), closer.Close()))
	}
	return c
}

// open returns the store's schema, and what must be closed in the end.
func (f schemaFlags) open(ctx context.Context) (schema.Schema, schema.Database, io.Closer, error) {
	if f.store.kind == "sqlite" {
		file, err := sqlite.OpenSchema(eventsIn(f.data))
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w; the service makes the file when it starts", err)
		}
		return sqlite.Schema(), file, file, cli.BadInput(err)
	}
	ctx, cancel := context.WithTimeout(ctx, f.store.patience)
	defer cancel()
	session, err := client.Connect(ctx, cassandra.Configured(client.Config{Hosts: f.store.hosts, Keyspace: f.store.keyspace, LocalDC: f.store.local}, cassandra.Policy()))
	if err != nil {
		return schema.Schema{}, nil, nil, cli.Failed(err)
	}
	return cassandra.Schema(), cassandra.SchemaOf(session), session, nil
}

func (t tool) schemaStatus(ctx context.Context, db schema.Database, s schema.Schema, f schemaFlags) error {
	st, err := s.Status(ctx, db)
	if err != nil {
		return err
	}
	return t.tellSchema(st, f)
}

// tellSchema prints a status. The answer is no if the schema does not fit.
func (t tool) tellSchema(st schema.Status, f schemaFlags) error {
	var err error
	if f.format == cli.JSON {
		err = t.WriteJSON(st)
	} else {
		_, err = fmt.Fprintln(t.Out, cli.Printable(st.String()))
	}
	if err == nil && !st.OK() {
		return cli.Printed(cli.No)
	}
	return err
}

func (t tool) schemaPlan(ctx context.Context, db schema.Database, s schema.Schema, f schemaFlags) error {
	st, err := s.Plan(ctx, db, f.lose...)
	if err != nil && !errors.Is(err, schema.ErrUnfit) {
		return err
	}
	if f.format == cli.JSON {
		return errors.Join(t.WriteJSON(st), err)
	}
	for n, step := range st.Pending {
		fmt.Fprintf(t.Out, "-- step %d: %s\n", st.Version+n+1, step.Name)
		if step.Loses != "" {
			fmt.Fprintf(t.Out, "-- removes %s\n", step.Loses)
		}
		for i, statement := range step.Statements {
			if n == 0 && i < st.Begun {
				continue
			}
			fmt.Fprintf(t.Out, "%s;\n", statement.Text)
		}
	}
	return err
}

func (t tool) schemaApply(ctx context.Context, db schema.Database, s schema.Schema, f schemaFlags) error {
	st, err := s.Apply(ctx, db, f.lose...)
	if err != nil {
		return err
	}
	return t.tellSchema(st, f)
}
