package demo

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/resilience"
)

//go:embed plan.yaml
var planText []byte

// Deadline is what each request has, and Margin how much later its answer may
// arrive at the client.
const (
	Deadline = 2 * time.Second
	Margin   = 250 * time.Millisecond
)

// members is how many members ask.
const members = 240

// Backend is the event store of a demonstration.
type Backend struct {
	Store eventstore.Store
	// Name says what it is, in a few words.
	Name string
	// Policy is that of its guard. Nil: the service's own.
	Policy *resilience.Policy
	// Stages are the load.
	Stages []load.Stage
	// Plan is what happens to the dependencies on this store; its nodes' faults are
	// the backend's own work, once Begin was called.
	Plan chaos.Plan
	// Begin applies the faults of nodes, until the context ends. Nil: there are none.
	Begin func(ctx context.Context, injector *chaos.Injector) error
	// Lanes are the states of its nodes, Check says whether they came back. Nil: there
	// are none.
	Lanes func(start time.Time, length time.Duration) []report.Lane
	Check func(ctx context.Context) report.Check
	// Close ends it.
	Close func(ctx context.Context) error
}

// SQLite is the embedded store.
func SQLite(ctx context.Context, dir string) (*Backend, error) {
	plan, err := chaos.Parse("plan.yaml", planText)
	if err != nil {
		return nil, err
	}
	store, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "events.db")})
	if err != nil {
		return nil, err
	}
	return &Backend{Store: store, Name: "SQLite", Plan: plan, Stages: []load.Stage{{For: 54 * time.Second, PerSecond: 50}}, Close: func(context.Context) error { return store.Close() }}, nil
}

// Config says how the demonstration is run.
type Config struct {
	// Open makes the store in the folder that it is given.
	Open func(ctx context.Context, dir string) (*Backend, error)
	// Plan replaces the store's own plan.
	Plan *chaos.Plan
	// Command is what runs it again, for the report.
	Command string
	// Listen is the address of the API and the dashboard.
	Listen string
	// Report is the folder that the report is written into.
	Report string
	// Seed decides the load. Zero: that of the plan.
	Seed uint64
	// Out is where it is told, Terminal says that a person watches: the page stays
	// up until the context ends.
	Out      io.Writer
	Terminal bool
	// Log tells what an operator should know of the service. Default: nothing is told.
	Log *slog.Logger
	// Getenv reads the environment.
	Getenv func(string) string
}

func clock(d time.Duration) string {
	return fmt.Sprintf("%2d s", int(d.Round(time.Second)/time.Second))
}

// Known are the names that a plan can use on a store.
func Known(store string) chaos.Known {
	k := chaos.Known{Dependencies: []string{app.EventStore, upstream.Membership, upstream.Catalog, upstream.KeyService}, Nodes: []string{}}
	if store == "cassandra" {
		k.Nodes = []string{"node1", "node2", "node3"}
	}
	return k
}
