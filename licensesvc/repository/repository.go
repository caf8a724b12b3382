package repository

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// The sources of a state that was read.
const (
	// SourceLive: the store answered.
	SourceLive = "live"
	// SourceRemote: the store's other region answered, where appends arrive later.
	SourceRemote = "remote"
)

// Domain tells the repository what it has to know about states and events. All functions must be
// safe for concurrent use and must not change their arguments. A panic in one of them reaches the
// caller.
type Domain[S, E any] struct {
	// Decode makes domain events from stored ones. Required.
	Decode func(stored []eventstore.Event) ([]E, error)
	// Fold returns the state after the events, and leaves the given one as it is. Required.
	Fold func(state S, events []E) (S, error)
	// Size estimates the bytes that a state takes in memory. Required.
	Size func(state S) int64
	// FoldVersion is the version of what Fold makes of events. Another version's snapshots are
	// not used.
	FoldVersion int
	// Snapshot encodes a state, and Restore reads it back. Required if there are snapshots.
	Snapshot func(state S) ([]byte, error)
	Restore  func(data []byte) (S, error)
}

// Config holds the parts of a repository.
type Config[S, E any] struct {
	// Store holds the events, behind its guards. Required.
	Store eventstore.LoadAppender
	// Snapshots holds folded states. Nil: there are no snapshots.
	Snapshots eventstore.Snapshotter
	Domain    Domain[S, E]
	// CacheBytes bounds the memory of the remembered states. Default: 0, which means 16 MiB.
	CacheBytes int64
	// Queue is the highest number of commands of one stream that wait. Default: 0, which means
	// 256.
	Queue int
	// SnapshotEvery is the number of events after which a new snapshot is saved. Default: 0, which
	// means 20: the time for reading and folding so many is about that of reading the snapshot.
	SnapshotEvery int
	// SnapshotAge is the time after which a new snapshot is saved although fewer events than
	// SnapshotEvery were appended, but at least a quarter of them. Default: 0, which means one
	// hour.
	SnapshotAge time.Duration
	// Clock returns the time that states are stamped with. Nil: time.Now.
	Clock func() time.Time
	// Log receives why a snapshot was not saved or not used. Nil: nothing is logged.
	Log *slog.Logger
	_   struct{}
}

// check returns every problem at once.
func (c Config[S, E]) check() error {
	var errs []error
	if c.Store == nil {
		errs = append(errs, errors.New("repository: Store is nil: open one"))
	}
	if c.Domain.Decode == nil || c.Domain.Fold == nil || c.Domain.Size == nil {
		errs = append(errs, errors.New("repository: Domain needs Decode, Fold and Size"))
	}
	if c.Snapshots != nil && (c.Domain.Snapshot == nil || c.Domain.Restore == nil) {
		errs = append(errs, errors.New("repository: with Snapshots, Domain needs Snapshot and Restore"))
	}
	if c.CacheBytes < 0 || c.Queue < 0 || c.SnapshotEvery < 0 || c.SnapshotAge < 0 {
		errs = append(errs, fmt.Errorf("repository: CacheBytes %d, Queue %d, SnapshotEvery %d and SnapshotAge %s must be 0, for the default, or more",
			c.CacheBytes, c.Queue, c.SnapshotEvery, c.SnapshotAge))
	}
	return errors.Join(errs...)
}

// Repository loads and changes states. It is safe for concurrent use and need not be closed. Its
// only goroutine is Run, which the caller starts and ends.
type Repository[S, E any] struct {
	store     eventstore.LoadAppender
	domain    Domain[S, E]
	cache     *cache[S]
	queues    *queues
	snapshots *snapshots[S, E]
	clock     func() time.Time
}

// New checks the configuration and returns a repository.
func New[S, E any](cfg Config[S, E]) (*Repository[S, E], error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = 16 << 20
	}
	if cfg.Queue == 0 {
		cfg.Queue = 256
	}
	if cfg.SnapshotEvery == 0 {
		cfg.SnapshotEvery = 20
	}
	if cfg.SnapshotAge == 0 {
		cfg.SnapshotAge = time.Hour
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Repository[S, E]{
		store: cfg.Store, domain: cfg.Domain, cache: newCache(cfg.CacheBytes, cfg.Domain.Size), queues: newQueues(cfg.Queue),
		snapshots: newSnapshots(cfg), clock: cfg.Clock,
	}, nil
}

// Folded is a state at a version of its stream. It is a value and does not change.
type Folded[S any] struct {
	State S
	// Version is the version of the stream up to which events are folded. 0: none.
	Version int64
	// At is the time at which the store had no later event.
	At time.Time
	// Source says where the newest read was answered: SourceLive or SourceRemote.
	Source string

	// shown says that the newest events were read for display. A decision reads again first.
	shown bool
	// last is the id of the event at Version.
	last string
	// saved is the version of the newest snapshot that is known, and savedAt is when this process
	// saved it, in seconds since 1970.
	saved, savedAt int64
}

// Run saves snapshots until the context ends. Without it, none are saved.
func (r *Repository[S, E]) Run(ctx context.Context) error { return r.snapshots.run(ctx) }

// Remembered returns the newest state that this process knows, without a read. It may be old.
func (r *Repository[S, E]) Remembered(stream string) (Folded[S], bool) { return r.cache.get(stream) }

// Load returns a state that has every acknowledged append. Decide on it.
func (r *Repository[S, E]) Load(ctx context.Context, stream string) (Folded[S], error) {
	return r.read(ctx, stream, eventstore.ForDecision)
}

// View returns a state to show. It may miss the newest appends, and works while more of the store
// is down. It is never older than a state that was returned before.
func (r *Repository[S, E]) View(ctx context.Context, stream string) (Folded[S], error) {
	return r.read(ctx, stream, eventstore.ForDisplay)
}

// Current returns the remembered state, or loads it. Callers that ask at the same time share the
// load. The state may be old; it serves to prepare a decision.
func (r *Repository[S, E]) Current(ctx context.Context, stream string) (Folded[S], error) {
	if now, ok := r.cache.get(stream); ok {
		return now, nil
	}
	turn, err := r.queues.enter(ctx, stream)
	if err != nil {
		return Folded[S]{}, err
	}
	defer r.queues.leave(turn)
	if now, ok := r.cache.get(stream); ok {
		return now, nil
	}
	return r.Load(ctx, stream)
}

// History reads a stream's events after a version, for display, and calls each with every page.
// It returns the stream's version, and the source of the answer.
func (r *Repository[S, E]) History(ctx context.Context, stream string, after int64, each func([]eventstore.Event) error) (int64, string, error) {
	return r.pages(ctx, eventstore.Query{Stream: stream, After: after, Consistency: eventstore.ForDisplay}, each)
}

// pages reads the tail of a stream.
func (r *Repository[S, E]) pages(ctx context.Context, q eventstore.Query, each func([]eventstore.Event) error) (version int64, source string, err error) {
	source = SourceLive
	for {
		page, err := r.store.Load(ctx, q)
		if err != nil {
			return 0, "", err
		}
		if page.Remote {
			source = SourceRemote
		}
		if len(page.Events) > 0 {
			if err := each(page.Events); err != nil {
				return 0, "", err
			}
			q.After = page.Events[len(page.Events)-1].Version
		}
		if !page.More || len(page.Events) == 0 {
			return page.Version, source, nil
		}
	}
}

// read reads what is new since the remembered state, or since the snapshot, and remembers the
// result.
func (r *Repository[S, E]) read(ctx context.Context, stream string, c eventstore.Consistency) (Folded[S], error) {
	base, remembered := r.cache.get(stream)
	if !remembered {
		if snap, ok := r.snapshots.load(ctx, stream); ok {
			now, err := r.readOn(ctx, stream, snap, c, true)
			if !errors.Is(err, errUnfit) {
				return now, err
			}
			r.snapshots.ignored(stream, err)
		}
	}
	return r.readOn(ctx, stream, base, c, false)
}

// errUnfit: a snapshot does not belong to the stream as it is.
var errUnfit = errors.New("the snapshot does not fit its stream")

// readOn folds what the store has after the given state. If prove is true, the state comes from a
// snapshot, and the read includes the event at its version, which must be the same one.
func (r *Repository[S, E]) readOn(ctx context.Context, stream string, now Folded[S], c eventstore.Consistency, prove bool) (Folded[S], error) {
	at, begin := r.clock(), now.Version
	q := eventstore.Query{Stream: stream, After: now.Version, Consistency: c}
	if prove {
		q.After--
	}
	version, source, err := r.pages(ctx, q, func(tail []eventstore.Event) error {
		if prove {
			if tail[0].ID != now.last {
				return errUnfit
			}
			prove = false
		}
		var err error
		now, err = r.foldOn(now, tail)
		return err
	})
	switch {
	case err != nil:
		return Folded[S]{}, err
	case prove: // The stream is shorter.
		return Folded[S]{}, errUnfit
	case version < now.Version && c == eventstore.ForDisplay:
		return now, nil // A replica that lags behind.
	case version < now.Version:
		// The store has lost events. What is remembered of them is wrong from now on.
		r.cache.forget(stream)
		return Folded[S]{}, fmt.Errorf("%w: stream %s is at version %d, and was at %d: events that were stored are lost", eventstore.ErrCorrupt, stream, version, now.Version)
	}
	now.At, now.Source = at, source
	now.shown = c == eventstore.ForDisplay && (now.shown || now.Version > begin || begin == 0)
	return r.remember(stream, now), nil
}

// foldOn folds the stored events that are new to the state.
func (r *Repository[S, E]) foldOn(now Folded[S], stored []eventstore.Event) (Folded[S], error) {
	for len(stored) > 0 && stored[0].Version <= now.Version {
		stored = stored[1:]
	}
	if len(stored) == 0 {
		return now, nil
	}
	if stored[0].Version != now.Version+1 {
		return Folded[S]{}, fmt.Errorf("%w: stream %s continues with version %d after %d", eventstore.ErrCorrupt, stored[0].Stream, stored[0].Version, now.Version)
	}
	events, err := r.domain.Decode(stored)
	if err != nil {
		return Folded[S]{}, err
	}
	if now.State, err = r.domain.Fold(now.State, events); err != nil {
		return Folded[S]{}, fmt.Errorf("%w: stream %s: %w", eventstore.ErrCorrupt, stored[0].Stream, err)
	}
	newest := stored[len(stored)-1]
	now.Version, now.last = newest.Version, newest.ID
	return now, nil
}

// remember puts a state into the cache, and has a snapshot of it saved if one is due. It returns
// the newest state that is known.
func (r *Repository[S, E]) remember(stream string, now Folded[S]) Folded[S] {
	return r.cache.put(stream, r.snapshots.offer(stream, now))
}
