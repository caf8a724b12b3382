package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/internal/observe"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/licensesvc/service"
)

// events is what commands need that only read a store.
type events interface {
	eventstore.Loader
	eventstore.Feeder
	io.Closer
	// Epoch names the store's life: a restored store has another one.
	Epoch() string
}

// readFlags say which store to read.
type readFlags struct {
	data  string
	store storeFlags
}

func (f *readFlags) addTo(c *cobra.Command) {
	c.Flags().StringVar(&f.data, "data", "", "data folder of the service, for SQLite")
	f.store.addTo(c)
}

// check returns what is wrong with the flags.
func (f readFlags) check() error {
	if err := f.store.check(); err != nil {
		return err
	}
	switch {
	case f.store.kind == "sqlite" && f.data == "":
		return errors.New("--data is missing: name the service's data folder, or give --store cassandra")
	case f.store.kind != "sqlite" && f.data != "":
		return errors.New("--data is for SQLite")
	}
	return nil
}

// open opens the store for reading. The service may run meanwhile.
func (f readFlags) open(ctx context.Context, getenv func(string) string) (events, error) {
	if f.store.kind == "sqlite" {
		s, err := sqlite.OpenReader(ctx, eventsIn(f.data))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, eventstore.ErrCorrupt) {
			return nil, cli.BadInput(err)
		}
		if err != nil {
			return nil, cli.Failed(err)
		}
		return s, nil
	}
	f.store.keepSchema = true
	observed, err := observe.Start(ctx, "licensesvc", getenv)
	if err != nil {
		return nil, cli.Failed(err)
	}
	opener := f.store.opener("")
	s, err := opener.Open(ctx, service.StoreSetup{Policy: opener.Policy(), Observed: observed})
	if err != nil {
		return nil, cli.Failed(errors.Join(err, observed.Shutdown(ctx)))
	}
	named, ok := s.(events)
	if !ok {
		return nil, cli.Failed(errors.Join(errors.New("the store has no epoch, so it can't be read by this command"), s.Close(), observed.Shutdown(ctx)))
	}
	return observedStore{named, observed}, nil
}

// observedStore ends the telemetry with the store.
type observedStore struct {
	events
	observed *observe.Providers
}

func (s observedStore) Close() error {
	return errors.Join(s.events.Close(), s.observed.Shutdown(context.Background()))
}
