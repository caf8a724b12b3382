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

// backend is the event store of a system, with the infrastructure that it runs on.
type backend struct {
	// opener opens the store under test. store is the store that it opened; the caller of opener
	// must close it.
	opener service.StoreOpener
	store  eventstore.GuardedStore
	// name describes the store in a few words.
	name string
	// harm applies the faults of nodes until the context ends. nodes returns their states. check
	// says whether they have recovered. All are nil if there are no nodes.
	harm  func(ctx context.Context) error
	nodes func() []scenario.Dependency
	check func(ctx context.Context) report.Check
	// close ends the infrastructure of the store after the store was closed. Nil: there is none.
	close func() error
}

// backend prepares the store that the scenario names.
func (t Target) backend(ctx context.Context, setup scenario.Setup, r *recorder) (*backend, error) {
	if setting(setup.Scenario, SettingStore, "sqlite") == "cassandra" {
		return t.cassandra(ctx, setup, r)
	}
	b := &backend{name: "SQLite"}
	b.opener = opener{b, service.SQLite{Path: filepath.Join(setup.Dir, "events.db"),
		Between: func(s eventstore.LoadAppender) eventstore.LoadAppender { return newFaultyStore(s, r, setup.Injector) }}, nil}
	return b, nil
}

// opener keeps the store that it opened, wrapped by wrap if that is not nil.
type opener struct {
	backend *backend
	service.StoreOpener
	wrap func(eventstore.GuardedStore) eventstore.GuardedStore
}

// Open implements service.StoreOpener. Nodes that have just started may need some time to agree
// on the tables.
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

// storeErrors maps the names that an in-process fault can use to the store's errors.
func storeErrors() map[string]error {
	return map[string]error{"unavailable": eventstore.ErrUnavailable, "full": eventstore.ErrFull, "unknown": eventstore.ErrUnknown}
}

var _ chaos.Listener = (*System)(nil)
