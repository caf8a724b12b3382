package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/resilience"
)

// The names of the guard's operations.
const (
	opLoad    = "load"
	opView    = "view"
	opAppend  = "append"
	opResolve = "resolve"
	opFeed    = "feed"
	// opSnapshot saves and loads snapshots.
	opSnapshot = "snapshot"
)

// Policy returns the policy of the store's guard, made for one file on one disk. The guard does
// not repeat an append: the caller finds out what became of it by the commit's id.
func Policy() resilience.Policy {
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
		Name:     eventstore.Name,
		Bulkhead: resilience.BulkheadPolicy{Limit: 128, Queue: 256, MaxWait: 200 * time.Millisecond},
		Breaker: &resilience.BreakerPolicy{
			Window: 5 * time.Second, MinimumCalls: 20, FailureRate: 0.5,
			OpenFor: time.Second, MaxOpenFor: 4 * time.Second, Probes: 3,
		},
		Default:    read,
		Operations: map[string]resilience.OperationPolicy{opLoad: read, opView: view, opAppend: write, opResolve: resolve, opFeed: view, opSnapshot: view},
	}
}

// Store is an event store in one SQLite file. All calls but those of
// eventstore.Maintainer run under its guard.
// It is safe for concurrent use. The caller that opened it must close it. The zero value is not
// usable.
type Store struct {
	// streams is the file, or what Config.Between put in front of it.
	streams eventstore.LoadAppender
	guard   *resilience.Guard
	file    *file

	load, view, append, resolve, feed, snapshot *resilience.Operation
}

var _ eventstore.GuardedStore = (*Store)(nil)

// Open opens the store and makes the file if necessary. The context bounds the opening only.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	policy := Policy()
	if cfg.Policy != nil {
		policy = *cfg.Policy
	}
	options := []resilience.Option{resilience.WithClassifier(classify)}
	for _, l := range cfg.Listeners {
		options = append(options, resilience.WithListener(l))
	}
	guard, err := resilience.New(policy, options...)
	if err != nil {
		return nil, fmt.Errorf("sqlite: Policy: %w", err)
	}
	f, err := openFile(ctx, cfg)
	if err != nil {
		return nil, errors.Join(err, guard.Close())
	}
	s := &Store{streams: f, guard: guard, file: f, load: guard.Operation(opLoad), view: guard.Operation(opView),
		append: guard.Operation(opAppend), resolve: guard.Operation(opResolve), feed: guard.Operation(opFeed), snapshot: guard.Operation(opSnapshot)}
	if cfg.Between != nil {
		s.streams = cfg.Between(f)
	}
	return s, nil
}

// classify judges the file's errors. An error of a request that can never succeed says nothing
// about the file's health.
func classify(err error) resilience.Verdict {
	switch {
	case errors.Is(err, eventstore.ErrInvalid), errors.Is(err, eventstore.ErrCorrupt), errors.Is(err, eventstore.ErrEpoch):
		return resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}
	case errors.Is(err, eventstore.ErrFull):
		return resilience.Verdict{Outcome: resilience.Failure, Repeat: resilience.RepeatNever}
	}
	return resilience.DefaultClassifier(err)
}

// Load implements eventstore.Store. Every load sees all acknowledged appends.
func (s *Store) Load(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	op := s.load
	if q.Consistency == eventstore.ForDisplay {
		op = s.view
	}
	res, err := resilience.Do(ctx, op, func(ctx context.Context) (eventstore.Page, error) {
		p, err := s.streams.Load(ctx, q)
		markLoaded(ctx, p)
		return p, err
	})
	if err != nil {
		return eventstore.Page{}, kind(err, eventstore.ErrUnavailable)
	}
	return res.Value, nil
}

// Append implements eventstore.Store.
func (s *Store) Append(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	res, err := resilience.Do(ctx, s.append, func(ctx context.Context) (eventstore.Appended, error) {
		a, err := s.streams.Append(ctx, c)
		markAppended(ctx, a)
		if err != nil && a.Outcome == eventstore.Rejected {
			err = &notStored{err}
		}
		return a, err
	})
	switch {
	case err == nil:
		return res.Value, nil
	case neverBegan(err):
		return eventstore.Appended{Outcome: eventstore.Rejected}, kind(err, eventstore.ErrUnavailable)
	}
	return eventstore.Appended{}, kind(err, eventstore.ErrUnknown)
}

// Resolve implements eventstore.Store.
func (s *Store) Resolve(ctx context.Context, stream, commit string) (eventstore.Appended, error) {
	res, err := resilience.Do(ctx, s.resolve, func(ctx context.Context) (eventstore.Appended, error) {
		a, err := s.streams.Resolve(ctx, stream, commit)
		markAppended(ctx, a)
		return a, err
	})
	if err != nil { // The lookup failed, which says nothing about the commit.
		return eventstore.Appended{}, kind(err, eventstore.ErrUnknown)
	}
	return res.Value, nil
}

// Feed implements eventstore.Store. A page that was read does not count for the circuit breaker:
// read models ask for pages all the time, and their success would hide that decisions fail.
func (s *Store) Feed(ctx context.Context, slice int, after eventstore.Cursor, limit int) (eventstore.FeedPage, error) {
	res, err := resilience.Do(ctx, s.feed, func(ctx context.Context) (eventstore.FeedPage, error) {
		page, err := s.file.Feed(ctx, slice, after, limit)
		if err == nil {
			resilience.DoNotCount(ctx)
		}
		return page, err
	})
	if err != nil {
		return eventstore.FeedPage{}, kind(err, eventstore.ErrUnavailable)
	}
	return res.Value, nil
}

// CheckTags implements eventstore.TagLoader: the store keeps tags and conditions.
func (s *Store) CheckTags() error { return s.file.CheckTags() }

// LoadTagged implements eventstore.TagLoader.
func (s *Store) LoadTagged(ctx context.Context, q eventstore.TagQuery, after eventstore.Position, limit int) (eventstore.TagPage, error) {
	res, err := resilience.Do(ctx, s.load, func(ctx context.Context) (eventstore.TagPage, error) {
		return s.file.LoadTagged(ctx, q, after, limit)
	})
	if err != nil {
		return eventstore.TagPage{}, kind(err, eventstore.ErrUnavailable)
	}
	return res.Value, nil
}

// SaveSnapshot implements eventstore.Store.
func (s *Store) SaveSnapshot(ctx context.Context, snap eventstore.Snapshot) error {
	_, err := resilience.Do(ctx, s.snapshot, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.file.SaveSnapshot(ctx, snap)
	})
	if err != nil {
		return kind(err, eventstore.ErrUnavailable)
	}
	return nil
}

// LoadSnapshot implements eventstore.Store.
func (s *Store) LoadSnapshot(ctx context.Context, stream string, fold int) (eventstore.Snapshot, bool, error) {
	type found struct {
		snap eventstore.Snapshot
		ok   bool
	}
	res, err := resilience.Do(ctx, s.snapshot, func(ctx context.Context) (found, error) {
		snap, ok, err := s.file.LoadSnapshot(ctx, stream, fold)
		mark(ctx, func() []attribute.KeyValue { return []attribute.KeyValue{SnapshotKey.Bool(ok)} })
		return found{snap, ok}, err
	})
	if err != nil {
		return eventstore.Snapshot{}, false, kind(err, eventstore.ErrUnavailable)
	}
	return res.Value.snap, res.Value.ok, nil
}

// Stats implements eventstore.Store.
func (s *Store) Stats(ctx context.Context) (eventstore.Stats, error) { return s.file.Stats(ctx) }

// Health implements eventstore.Store.
func (s *Store) Health(ctx context.Context) (eventstore.Health, error) { return s.file.Health(ctx) }

// notStored is the error of an append that certainly stored nothing, whatever the cause was.
type notStored struct{ err error }

func (e *notStored) Error() string { return e.err.Error() }
func (e *notStored) Unwrap() error { return e.err }

// neverBegan reports whether an append that failed with this error was never carried out.
func neverBegan(err error) bool {
	if errors.As(err, new(*notStored)) && !errors.Is(err, eventstore.ErrUnknown) { // An earlier attempt may have been carried out.
		return true
	}
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

// kind returns the error as it is if it already is of one of eventstore's kinds, and otherwise
// adds the given kind.
func kind(err, otherwise error) error {
	if errors.Is(err, resilience.ErrClosed) {
		return fmt.Errorf("%w: %w", eventstore.ErrClosed, err)
	}
	for _, k := range []error{eventstore.ErrUnknown, eventstore.ErrInvalid, eventstore.ErrFull, eventstore.ErrUnavailable, eventstore.ErrCorrupt, eventstore.ErrEpoch, eventstore.ErrClosed} {
		if errors.Is(err, k) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", otherwise, err)
}

// Guards implements eventstore.GuardedStore. The store has one guard.
func (s *Store) Guards() []*resilience.Guard { return []*resilience.Guard{s.guard} }

// Policy implements eventstore.GuardedStore.
func (s *Store) Policy() resilience.Policy { return s.guard.Policy() }

// CheckUpdate implements eventstore.GuardedStore.
func (s *Store) CheckUpdate(p resilience.Policy) error { return s.guard.CheckUpdate(p) }

// Update implements eventstore.GuardedStore.
func (s *Store) Update(p resilience.Policy) error { return s.guard.Update(p) }

// Close lets the writer finish what it has begun, and closes the file and the guard.
func (s *Store) Close() error { return errors.Join(s.guard.Close(), s.file.Close()) }
