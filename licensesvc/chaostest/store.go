package chaostest

import (
	"context"
	"path/filepath"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/resilience"
)

// backend is the event store of a system.
type backend struct {
	store eventstore.Store
	// name says what it is, in a few words.
	name string
	// policy is that of its guard. Nil: the service's own.
	policy *resilience.Policy
	// viewsApart is as in app.Config.
	viewsApart bool
	// harm applies the faults of nodes, until the context ends; nodes are their states,
	// and check says whether they came back. Nil: there are none.
	harm  func(ctx context.Context) error
	nodes func() []scenario.Dependency
	check func(ctx context.Context) report.Check
	close func() error
}

// open opens the store that the scenario asks for.
func (t Target) open(ctx context.Context, setup scenario.Setup) (*backend, error) {
	if setting(setup.Scenario, SettingStore, "sqlite") == "cassandra" {
		return t.cassandra(ctx, setup)
	}
	store, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(setup.Dir, "events.db")})
	if err != nil {
		return nil, err
	}
	return &backend{store: store, name: "SQLite", close: store.Close}, nil
}

// errors that a fault in process can name, as the store has them.
func storeErrors() map[string]error {
	return map[string]error{"unavailable": eventstore.ErrUnavailable, "full": eventstore.ErrFull, "unknown": eventstore.ErrUnknown}
}

var _ chaos.Listener = (*System)(nil)
