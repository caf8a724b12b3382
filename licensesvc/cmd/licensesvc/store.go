package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/clients/cassandra/telemetry"
	"github.com/backstay-go/backstay/internal/observe"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
)

// storeFlags say where events are kept.
type storeFlags struct {
	kind            string
	hosts           []string
	keyspace, local string
	remote          string
	patience        time.Duration
}

func (f storeFlags) check() error {
	switch {
	case f.kind == "sqlite" && (len(f.hosts) > 0 || f.local != "" || f.remote != ""):
		return errors.New("--cassandra, --local-dc and --remote-dc are for --store cassandra")
	case f.kind == "sqlite":
		return nil
	case f.kind != "cassandra":
		return fmt.Errorf("--store %q: there are sqlite and cassandra", f.kind)
	case len(f.hosts) == 0:
		return errors.New("--cassandra is missing: name contact points, such as 10.0.0.1,10.0.0.2")
	case f.remote != "" && (f.local == "" || f.local == f.remote):
		return fmt.Errorf("--remote-dc %s: name another data centre as --local-dc", f.remote)
	case f.patience <= 0:
		return fmt.Errorf("--connect-for %s: give a duration above zero", f.patience)
	}
	return nil
}

// open opens the store, and returns what closes it.
func (f storeFlags) open(ctx context.Context, data string, observed *observe.Providers) (_ eventstore.Store, closes func() error, err error) {
	if f.kind == "sqlite" {
		store, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(data, "events.db")})
		if err != nil {
			return nil, nil, err
		}
		return store, store.Close, nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.patience)
	defer cancel()
	cfg := client.Config{Hosts: f.hosts, Keyspace: f.keyspace, LocalDC: f.local, Profiles: cassandra.Profiles()}
	if f.remote != "" {
		cfg = cassandra.Elsewhere(cfg, f.remote)
	}
	told, err := telemetry.New(telemetry.Config{TracerProvider: observed.Tracer, MeterProvider: observed.Meter})
	if err != nil {
		return nil, nil, err
	}
	cfg.Observers, cfg.Payload = []client.Observer{told}, telemetry.Payload
	session, err := client.Connect(ctx, cfg)
	if err != nil {
		return nil, nil, errors.Join(err, told.Close())
	}
	closes = func() error { return errors.Join(session.Close(), told.Close()) }
	if err := told.Watch(session); err != nil {
		return nil, nil, errors.Join(err, closes())
	}
	store, err := cassandra.Open(ctx, cassandra.Config{Session: session})
	if err != nil {
		return nil, nil, errors.Join(err, closes())
	}
	return store, func() error { return errors.Join(store.Close(), closes()) }, nil
}
