package chaostest

import (
	"context"
	"path/filepath"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/service"
)

// backend is the event store of a system, and what it runs on.
type backend struct {
	// opener opens the store that is under test; store is what it opened, which whoever
	// opened it must close.
	opener service.StoreOpener
	store  eventstore.GuardedStore
	// name says what it is, in a few words.
	name string
	// harm applies the faults of nodes, until the context ends; nodes are their states,
	// and check says whether they came back. Nil: there are none.
	harm  func(ctx context.Context) error
	nodes func() []scenario.Dependency
	check func(ctx context.Context) report.Check
	// close ends what the store runs on, after it was closed. Nil: there is nothing.
	close func() error
}

// backend prepares the store that the scenario asks for.
func (t Target) backend(ctx context.Context, setup scenario.Setup, r *recorder) (*backend, error) {
	if setting(setup.Scenario, SettingStore, "sqlite") == "cassandra" {
		return t.cassandra(ctx, setup, r)
	}
	b := &backend{name: "SQLite"}
	b.opener = opener{b, service.SQLite{Path: filepath.Join(setup.Dir, "events.db"),
		Between: func(s eventstore.Store) eventstore.Store { return newFaultyStore(s, r, setup.Injector) }}, nil}
	return b, nil
}

// opener keeps what it opened, wrapped by wrap if that is not nil.
type opener struct {
	backend *backend
	service.StoreOpener
	wrap func(eventstore.GuardedStore) eventstore.GuardedStore
}

// Open implements service.StoreOpener. Nodes that have just started may need a while to
// agree on the tables.
func (o opener) Open(ctx context.Context, with service.StoreSetup) (eventstore.GuardedStore, error) {
	err := patiently(ctx, func() (err error) {
		o.backend.store, err = o.StoreOpener.Open(ctx, with)
		return err
	})
	if err != nil {
		return nil, err
	}
	if o.wrap != nil {
		o.backend.store = o.wrap(o.backend.store)
	}
	return o.backend.store, nil
}

func (b *backend) end() error {
	if b.close == nil {
		return nil
	}
	return b.close()
}

// errors that a fault in process can name, as the store has them.
func storeErrors() map[string]error {
	return map[string]error{"unavailable": eventstore.ErrUnavailable, "full": eventstore.ErrFull, "unknown": eventstore.ErrUnknown}
}

var _ chaos.Listener = (*System)(nil)
