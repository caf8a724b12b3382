package app

import (
	"context"
	"errors"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/resilience"
)

// EventStore is the name of the event store among the dependencies.
const EventStore = "event-store"

// The names of the operations on the store.
const (
	opLoad    = "load"
	opView    = "view"
	opAppend  = "append"
	opResolve = "resolve"
)

// StorePolicy is the policy of the event store. An append is not repeated by the
// guard: what became of it is found out by its commit's id.
func StorePolicy() resilience.Policy {
	read := resilience.OperationPolicy{
		Timeout: 800 * time.Millisecond, AttemptTimeout: 350 * time.Millisecond, Idempotent: true,
		Retry: &resilience.RetryPolicy{MaxAttempts: 2, BaseDelay: 20 * time.Millisecond, MaxDelay: 100 * time.Millisecond},
	}
	view := read
	view.Criticality = resilience.SheddablePlus
	resolve := read
	resolve.Criticality = resilience.CriticalPlus
	write := resilience.OperationPolicy{Timeout: 600 * time.Millisecond, Criticality: resilience.CriticalPlus}
	return resilience.Policy{
		Name:     EventStore,
		Bulkhead: resilience.BulkheadPolicy{Limit: 128, Queue: 256, MaxWait: 200 * time.Millisecond},
		Breaker: &resilience.BreakerPolicy{
			Window: 5 * time.Second, MinimumCalls: 20, FailureRate: 0.5,
			OpenFor: time.Second, MaxOpenFor: 4 * time.Second, Probes: 3,
		},
		Default:    read,
		Operations: map[string]resilience.OperationPolicy{opLoad: read, opView: view, opAppend: write, opResolve: resolve},
	}
}

// classify judges the store's errors. What can never succeed says nothing about
// the store's health.
func classify(err error) resilience.Verdict {
	switch {
	case errors.Is(err, eventstore.ErrInvalid), errors.Is(err, eventstore.ErrCorrupt):
		return resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}
	case errors.Is(err, eventstore.ErrFull):
		return resilience.Verdict{Outcome: resilience.Failure, Repeat: resilience.RepeatNever}
	}
	return resilience.DefaultClassifier(err)
}

// guarded is the store behind its guard.
type guarded struct {
	store                       eventstore.Store
	viewsApart                  bool // as in Config
	guard                       *resilience.Guard
	load, view, append, resolve *resilience.Operation
}

func newGuarded(store eventstore.Store, policy resilience.Policy, listeners []resilience.Listener) (*guarded, error) {
	opts := []resilience.Option{resilience.WithClassifier(classify)}
	for _, l := range listeners {
		opts = append(opts, resilience.WithListener(l))
	}
	g, err := resilience.New(policy, opts...)
	if err != nil {
		return nil, err
	}
	return &guarded{store: store, guard: g, load: g.Operation(opLoad), view: g.Operation(opView),
		append: g.Operation(opAppend), resolve: g.Operation(opResolve)}, nil
}

// remote is the source of what the store's other region answered.
const remote = "remote"

// read loads the tail of a stream and hands it on; it returns the stream's version, and
// where it came from.
func (g *guarded) read(ctx context.Context, q eventstore.Query, each func([]eventstore.Event) error) (int64, string, error) {
	op, source := g.load, resilience.Live.String()
	var options []resilience.CallOption[eventstore.Page]
	load := func(ctx context.Context) (eventstore.Page, error) { return g.store.Load(ctx, q) }
	if q.Consistency == eventstore.ForDisplay {
		op = g.view
		if g.viewsApart {
			// The breaker may be open for want of what decisions need.
			options = append(options, resilience.Fallback(func(ctx context.Context, cause error) (eventstore.Page, error) {
				if !errors.Is(cause, resilience.ErrOpen) {
					return eventstore.Page{}, cause
				}
				return load(ctx)
			}))
		}
	}
	for {
		res, err := resilience.Do(ctx, op, load, options...)
		if err != nil {
			return 0, "", err
		}
		page := res.Value
		if page.Remote {
			source = remote
		}
		if len(page.Events) > 0 {
			if err := each(page.Events); err != nil {
				return 0, "", err
			}
			q.After = page.Events[len(page.Events)-1].Version
		}
		if !page.More {
			return page.Version, source, nil
		}
	}
}

// errUndecided: an append's outcome is unknown and could not be found out in time.
var errUndecided = errors.New("app: the outcome of the append is not known")

// commit appends, and finds out what became of it if the answer did not come. An
// outcome of Rejected means that the commit will never be there.
func (g *guarded) commit(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	res, err := resilience.Do(ctx, g.append, func(ctx context.Context) (eventstore.Appended, error) { return g.store.Append(ctx, c) })
	switch {
	case err == nil:
		return res.Value, nil
	case errors.Is(err, eventstore.ErrFenced):
		return eventstore.Appended{Outcome: eventstore.Rejected}, nil
	case certainlyNot(err):
		return eventstore.Appended{Outcome: eventstore.Rejected}, err
	}
	found, lost := resilience.Do(ctx, g.resolve, func(ctx context.Context) (eventstore.Appended, error) {
		return g.store.Resolve(ctx, c.Stream, c.ID)
	})
	if lost != nil {
		return eventstore.Appended{}, errors.Join(errUndecided, err, lost)
	}
	if found.Value.Outcome == eventstore.Unknown {
		return eventstore.Appended{}, errors.Join(errUndecided, err)
	}
	return found.Value, nil
}

// certainlyNot reports whether an append that failed so was never carried out.
func certainlyNot(err error) bool {
	if errors.Is(err, eventstore.ErrUnknown) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return false
	}
	for _, not := range []error{resilience.ErrRefused, eventstore.ErrInvalid, eventstore.ErrFull, eventstore.ErrUnavailable, eventstore.ErrClosed} {
		if errors.Is(err, not) {
			return true
		}
	}
	return false
}
