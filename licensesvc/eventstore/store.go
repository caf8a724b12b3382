package eventstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/backstay-go/backstay/resilience"
)

// Name is the event store's name among a service's dependencies: that of its guard, in
// policies, metrics, spans and faults.
const Name = "event-store"

var (
	// ErrUnknown: the append may or may not have happened, or may yet. Resolve it, or
	// append the same commit again.
	ErrUnknown = errors.New("eventstore: the outcome is unknown")
	// ErrInvalid: the request can never succeed as it is.
	ErrInvalid = errors.New("eventstore: invalid")
	// ErrFenced: the commit was settled as not applied, so its id can't be used again.
	// Decide anew, under another id. Also matches ErrInvalid.
	ErrFenced = fmt.Errorf("%w: the commit was settled as not applied: use a new commit id", ErrInvalid)
	// ErrMismatch: the commit's id belongs to a commit with another content. Nothing was stored.
	// Also matches ErrInvalid.
	ErrMismatch = fmt.Errorf("%w: the commit id was used for another content: use a new commit id", ErrInvalid)
	// ErrFull: there is no room. Nothing was stored.
	ErrFull = errors.New("eventstore: the disk is full: free space, then repeat")
	// ErrUnavailable: the store could not be asked. Nothing was stored.
	ErrUnavailable = errors.New("eventstore: unavailable")
	// ErrEpoch: the cursor is of another life of the store, before a restore. Begin
	// again from the zero cursor.
	ErrEpoch = errors.New("eventstore: the cursor is from before the store was restored: rebuild")
	// ErrCorrupt: what is stored can't be right. Nothing is guessed.
	ErrCorrupt = errors.New("eventstore: corrupt")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("eventstore: closed")
)

// Outcome is what is known of an append.
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
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// Appended answers an append.
type Appended struct {
	Outcome Outcome
	// Version is the stream's version: after the events if Applied, the one that won
	// if Conflict.
	Version int64
	// Events are the stored ones if Applied, and those after the expected version if
	// Conflict: at most MaxEvents of them, the oldest first.
	Events []Event
	// Repeated: the commit had been stored before.
	Repeated bool
}

// Consistency is how fresh a load has to be.
type Consistency int

const (
	// ForDecision sees every acknowledged append. It is the default.
	ForDecision Consistency = iota
	// ForDisplay may miss the newest appends, and works when more of the store is
	// down. Never decide on it.
	ForDisplay
)

// Query asks for a part of a stream.
type Query struct {
	Stream string
	// After is the last version that is known already.
	After int64
	// Limit bounds the events of the page. Default and most: MaxEvents.
	Limit       int
	Consistency Consistency
}

// Page is a part of a stream.
type Page struct {
	Events []Event
	// Version is the stream's version, 0 if it does not exist. More says that there
	// are events between the page's last one and it.
	Version int64
	More    bool
	// Remote says that another place than the store's own answered, which gets what is
	// appended some time later: there may be more. Only loads for display are so.
	Remote bool
}

// Cursor is a place in a slice's feed. It is opaque; the zero value is the
// beginning. It holds the store's epoch.
type Cursor string

// FeedPage is a part of a slice's feed.
type FeedPage struct {
	Events []Event
	// Next is where to go on. It moves on also when there are no events.
	Next Cursor
	// Behind is about how many events there are after Next; -1: not known.
	Behind int64
}

// Snapshot is a folded state, so that a load need not begin at the beginning.
type Snapshot struct {
	Stream  string
	Version int64
	// Fold names the fold that made it. Another fold does not see it.
	Fold int
	Data []byte
}

// Stats is how much there is.
type Stats struct {
	Events int64
	// Bytes is what the store takes on disk, if it can tell; -1 if not.
	Bytes int64
	// LogBytes is the size of the write-ahead log, if there is one.
	LogBytes int64
}

// Store keeps events. It is safe for concurrent use. The caller that opened it
// must close it; after that every call answers ErrClosed.
type Store interface {
	// Append stores a commit. The error is nil if Applied or Conflict, matches
	// ErrUnknown if Unknown, and says why if Rejected. When ctx ends the wait ends,
	// not the append: the outcome is then unknown.
	Append(ctx context.Context, c Commit) (Appended, error)
	// Resolve finds out what became of a commit and settles it: Applied with its
	// events, or Rejected, after which it can never apply. Unknown with an error if
	// that can't be done at the moment.
	Resolve(ctx context.Context, stream, commit string) (Appended, error)
	// Load reads a part of a stream. A stream that does not exist is no error.
	Load(ctx context.Context, q Query) (Page, error)
	// Feed reads on in a slice. Events of one stream come in order; each comes at
	// least once.
	Feed(ctx context.Context, slice int, after Cursor, limit int) (FeedPage, error)
	// SaveSnapshot keeps a snapshot; an older one of the same fold is replaced.
	SaveSnapshot(ctx context.Context, s Snapshot) error
	// LoadSnapshot returns the newest snapshot of a fold; false if there is none.
	LoadSnapshot(ctx context.Context, stream string, fold int) (Snapshot, bool, error)
	// Stats measures the store.
	Stats(ctx context.Context) (Stats, error)
	Close() error
}

// GuardedStore is a Store that brings its guards: its calls run under them, and a
// caller must not put another guard, or a shorter deadline, before it. A deadline of the
// caller that always comes first says nothing about the store, so the circuit breaker would
// never see that the store hangs.
type GuardedStore interface {
	Store
	// Guards returns the guards, that of decisions first, for telemetry and dashboards.
	// They belong to the store, which closes them.
	Guards() []*resilience.Guard
	// Policy returns the policy in force. Its operations are what Update can change.
	Policy() resilience.Policy
	// Update changes the policy; the guards keep their state. On an error nothing has
	// changed.
	Update(p resilience.Policy) error
}

// LoadAll reads a stream from after a version to its end, page by page, and hands
// each page on. It returns the stream's version.
func LoadAll(ctx context.Context, s Store, q Query, each func([]Event) error) (int64, error) {
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
