package service

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	client "github.com/backstay-go/backstay/clients/cassandra"
	sessions "github.com/backstay-go/backstay/clients/cassandra/telemetry"
	"github.com/backstay-go/backstay/internal/observe"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/resilience"
)

// StoreOpener opens the event store of a service, SQLite or Cassandra. The service closes the
// store.
type StoreOpener interface {
	// Policy returns the policy of the store if the service is given no other.
	Policy() resilience.Policy
	// Folder is the folder of the store's files, or empty if they are on other machines.
	Folder() string
	// Open opens the store with a policy, listeners for its guards, and the service's
	// telemetry.
	Open(ctx context.Context, with StoreSetup) (eventstore.GuardedStore, error)
}

// StoreSetup is what a service gives to its store.
type StoreSetup struct {
	// Policy is the policy of the store's guards.
	Policy resilience.Policy
	// Listeners receive the events of the guards.
	Listeners []resilience.Listener
	// Observed is where spans and metrics go.
	Observed *observe.Providers
	_        struct{}
}

// SQLite keeps events in a file.
type SQLite struct {
	// Path is the file. Required; its folder must exist.
	Path string
	// MustExist is as in sqlite.Config: for a folder that a service used before.
	MustExist bool
	// KeepSchema is as in sqlite.Config: take no schema step at the start.
	KeepSchema bool
	// Between is as in sqlite.Config: where tests inject faults.
	Between func(eventstore.LoadAppender) eventstore.LoadAppender
	_       struct{}
}

// Policy implements StoreOpener.
func (SQLite) Policy() resilience.Policy { return sqlite.Policy() }

// Folder implements StoreOpener.
func (o SQLite) Folder() string { return filepath.Dir(o.Path) }

// Open implements StoreOpener.
func (o SQLite) Open(ctx context.Context, with StoreSetup) (eventstore.GuardedStore, error) {
	s, err := sqlite.Open(ctx, sqlite.Config{Path: o.Path, MustExist: o.MustExist, KeepSchema: o.KeepSchema, Policy: &with.Policy, Listeners: with.Listeners, Between: o.Between})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Cassandra keeps events in a keyspace, which must exist.
type Cassandra struct {
	// Client says how to reach the cluster: Hosts, Keyspace, LocalDC. The store sets its
	// profiles and its guard.
	Client client.Config
	// Remote is the data centre that answers requests for data that is only shown, while
	// LocalDC can't. Empty: there is none.
	Remote string
	// Name is as in cassandra.Config. Default: main.
	Name string
	// KeepSchema is as in cassandra.Config: take no schema step at the start.
	KeepSchema bool
	// Patience is how long to try to connect. Zero: as long as the context allows.
	Patience time.Duration
	_        struct{}
}

// Policy implements StoreOpener. Its operations are the store's profiles.
func (Cassandra) Policy() resilience.Policy { return cassandra.Policy() }

// Folder implements StoreOpener.
func (Cassandra) Folder() string { return "" }

// Open implements StoreOpener.
func (o Cassandra) Open(ctx context.Context, with StoreSetup) (_ eventstore.GuardedStore, err error) {
	if o.Patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Patience)
		defer cancel()
	}
	cfg := cassandra.Configured(o.Client, with.Policy)
	for _, l := range with.Listeners {
		cfg.Options = append(cfg.Options, resilience.WithListener(l))
	}
	if o.Remote != "" {
		cfg = cassandra.Elsewhere(cfg, o.Remote)
	}
	s := &connected{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.telemetry, err = sessions.New(sessions.Config{TracerProvider: with.Observed.Tracer, MeterProvider: with.Observed.Meter}); err != nil {
		return nil, err
	}
	cfg.Observers, cfg.Payload = append(cfg.Observers, s.telemetry), sessions.Payload
	if s.session, err = client.Connect(ctx, cfg); err != nil {
		return nil, err
	}
	if err = s.telemetry.Watch(s.session); err != nil {
		return nil, err
	}
	if s.Store, err = cassandra.Open(ctx, cassandra.Config{Session: s.session, Name: o.Name, KeepSchema: o.KeepSchema}); err != nil {
		return nil, err
	}
	return s, nil
}

// connected is a store with what was opened for it.
type connected struct {
	*cassandra.Store
	session   *client.Session
	telemetry *sessions.Telemetry
}

// Close closes the store, its session and its telemetry, as far as they were opened.
func (c *connected) Close() error {
	var errs []error
	if c.Store != nil {
		errs = append(errs, c.Store.Close())
	}
	if c.session != nil {
		errs = append(errs, c.session.Close())
	}
	if c.telemetry != nil {
		errs = append(errs, c.telemetry.Close())
	}
	return errors.Join(errs...)
}
