package eventstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/backstay-go/backstay/licensesvc/eventstore/schema"
	"github.com/backstay-go/backstay/resilience"
)

// Name is the event store's name among a service's dependencies. It is the name of its guard
// in policies, metrics, spans and faults.
const Name = "event-store"

var (
	// ErrUnknown: it is not known whether the append has happened or will happen. Call
	// Resolve, or append the same commit again.
	ErrUnknown = errors.New("eventstore: the outcome is unknown")
	// ErrInvalid: the request is invalid, so a repeat can't succeed.
	ErrInvalid = errors.New("eventstore: invalid")
	// ErrFenced: the commit was settled as not applied, so its id can't be used again. Decide
	// again and use another id. It also matches ErrInvalid.
	ErrFenced = fmt.Errorf("%w: the commit was settled as not applied: use a new commit id", ErrInvalid)
	// ErrMismatch: the commit's id belongs to a commit with another content. Nothing was
	// stored. It also matches ErrInvalid.
	ErrMismatch = fmt.Errorf("%w: the commit id was used for another content: use a new commit id", ErrInvalid)
	// ErrFull: there is no room. Nothing was stored.
	ErrFull = errors.New("eventstore: the disk is full: free space, then repeat")
	// ErrUnavailable: the store could not be reached. Nothing was stored.
	ErrUnavailable = errors.New("eventstore: unavailable")
	// ErrEpoch: the cursor is from before the store was restored. Begin again from the zero
	// cursor.
	ErrEpoch = errors.New("eventstore: the cursor is from before the store was restored: rebuild")
	// ErrCorrupt: the stored data is damaged. The store does not guess what it was.
	ErrCorrupt = errors.New("eventstore: corrupt")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("eventstore: closed")
)

// Outcome is what is known about the result of an append.
type Outcome int

const (
	// Unknown: it is not known whether the events are stored. It is the zero value, so that nothing is taken for
	// done or failed by oversight.
	Unknown Outcome = iota
	// Applied: the events are stored.
	Applied
	// Conflict: the stream is at another version than expected. Nothing was stored.
	Conflict
	// Rejected: nothing was stored and nothing will be; the error says why.
	Rejected
	// ConditionFailed: the commit's Condition does not hold any more. Nothing was stored.
	ConditionFailed
)

func (o Outcome) String() string {
	switch o {
	case Unknown:
		return "unknown"
	case Applied:
		return "applied"
	case Conflict:
		return "conflict"
	case Rejected:
		return "rejected"
	case ConditionFailed:
		return "condition failed"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// Appended is the result of an append.
type Appended struct {
	Outcome Outcome
	// Version is the stream's version. If Applied, it is the version after the events; if
	// Conflict, the version that the stream has instead of the expected one.
	Version int64
	// Events are the stored events if Applied. If Conflict, they are the events after the
	// expected version, the oldest first and at most MaxEvents. If ConditionFailed, they are the
	// events with the tag FailedTag that were stored after the condition's position, in the order in
	// which they were stored and at most MaxEvents.
	Events []Event
	// FailedTag is the first tag of the condition for which it failed, if ConditionFailed.
	FailedTag string
	// Repeated says that the commit had already been stored before.
	Repeated bool
}

// Consistency says how recent the result of a load has to be.
type Consistency int

const (
	// ForDecision sees every acknowledged append. It is the default.
	ForDecision Consistency = iota
	// ForDisplay may miss the newest appends, and works while more of the store is down. Never
	// base a decision on it.
	ForDisplay
)

// Query selects a part of a stream.
type Query struct {
	Stream string
	// After is the last version that the caller already has.
	After int64
	// Limit is the highest number of events in the page. Default: 0, which means MaxEvents,
	// the maximum.
	Limit       int
	Consistency Consistency
}

// Page is a part of a stream.
type Page struct {
	Events []Event
	// Version is the stream's version, or 0 if the stream does not exist. More says that there
	// are further events between the page's last one and that version.
	Version int64
	More    bool
	// Remote says that another data centre answered. Appends arrive there later, so there may
	// be newer events. It is set only on loads for display.
	Remote bool
}

// Cursor is a position in the feed of a slice. It is opaque and holds the store's epoch. The
// zero value is the beginning.
type Cursor string

// FeedPage is a part of the feed of a slice.
type FeedPage struct {
	Events []Event
	// Next is the cursor for the next call. It may advance even if the page has no events.
	Next Cursor
	// Behind is the approximate number of events after Next, or -1 if it is not known.
	Behind int64
}

// Snapshot is a folded state, so that a load does not have to begin with the first event.
type Snapshot struct {
	Stream  string
	Version int64
	// Fold is the number of the fold that made the snapshot. Another fold does not use it.
	Fold int
	Data []byte
}

// Stats describes the size of the store.
type Stats struct {
	Events int64
	// Bytes is the size of the store on disk, or -1 if it is not known.
	Bytes int64
	// LogBytes is the size of the write-ahead log, if there is one.
	LogBytes int64
}

// Appender stores events.
type Appender interface {
	// Append stores a commit. The error is nil if the outcome is Applied, Conflict or
	// ConditionFailed, matches ErrUnknown if it is Unknown, and says why if it is Rejected. When ctx ends, Append
	// returns but the append may continue, so the outcome is unknown.
	Append(ctx context.Context, c Commit) (Appended, error)
	// Resolve finds out whether a commit is stored, and settles it. Applied: it is stored, and
	// the result has its events. Rejected: it is not stored and can't be stored any more.
	// Unknown, with an error: this could not be done now.
	Resolve(ctx context.Context, stream, commit string) (Appended, error)
}

// Loader reads streams.
type Loader interface {
	// Load reads a part of a stream. A stream that does not exist is not an error.
	Load(ctx context.Context, q Query) (Page, error)
}

// LoadAppender reads streams and appends to them. It is all that decisions need.
type LoadAppender interface {
	Loader
	Appender
}

// Feeder reads the events of all streams.
type Feeder interface {
	// Feed reads the next events of a slice. Events of one stream come in order, and each
	// event comes at least once.
	Feed(ctx context.Context, slice int, after Cursor, limit int) (FeedPage, error)
}

// Snapshotter keeps folded states.
type Snapshotter interface {
	// SaveSnapshot stores a snapshot. It replaces an older one of the same fold.
	SaveSnapshot(ctx context.Context, s Snapshot) error
	// LoadSnapshot returns the newest snapshot of a fold, or false if there is none.
	LoadSnapshot(ctx context.Context, stream string, fold int) (Snapshot, bool, error)
}

// Maintainer is for the operation of a store.
type Maintainer interface {
	// Stats measures the store.
	Stats(ctx context.Context) (Stats, error)
	// Health looks at the store's tables and at how they are kept. An error means that it
	// could not look.
	Health(ctx context.Context) (Health, error)
	// Close ends the store.
	Close() error
}

// Health is what an operator should know about a store that is in use.
type Health struct {
	// Schema compares the stored schema with the one that this program needs.
	Schema schema.Status
	// Warnings are sentences about what endangers the data, such as a keyspace with one
	// replica. The store works.
	Warnings []string
}

// Store keeps events. It is the union of all roles, for the place that opens a store; what uses
// a store asks for the roles that it needs. A Store is safe for concurrent use. The caller that
// opened it must close it; after that every call answers ErrClosed.
type Store interface {
	Loader
	Appender
	TagLoader
	Feeder
	Snapshotter
	Maintainer
}

// GuardedStore is a Store that has its own guards: all its calls run under them. Do not put
// another guard or a shorter deadline in front of it. A deadline of the caller that always
// comes first says nothing about the store, so the circuit breaker would never see that the
// store hangs.
type GuardedStore interface {
	Store
	// Guards returns the guards, for telemetry and dashboards. The guard of decisions is the
	// first. The store owns the guards and closes them.
	Guards() []*resilience.Guard
	// Policy returns the current policy. Its operations are those that Update can change.
	Policy() resilience.Policy
	// CheckUpdate returns the error that Update would return, and changes nothing.
	CheckUpdate(p resilience.Policy) error
	// Update changes the policy. The guards keep their state. If it returns an error, nothing
	// has changed.
	Update(p resilience.Policy) error
}

// LoadAll reads a stream after a version to its end, page by page, and calls each with the
// events of every page. It returns the stream's version.
func LoadAll(ctx context.Context, s Loader, q Query, each func([]Event) error) (int64, error) {
	for {
		page, err := s.Load(ctx, q)
		if err != nil {
			return 0, err
		}
		if len(page.Events) > 0 {
			if err := each(page.Events); err != nil {
				return 0, err
			}
			q.After = page.Events[len(page.Events)-1].Version
		}
		if !page.More {
			return page.Version, nil
		}
	}
}
