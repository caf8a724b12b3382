package cassandra

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/schema"
	"github.com/backstay-go/backstay/resilience"
)

// Config says which keyspace the store is in, and how the store uses it.
type Config struct {
	// Session is a connection to the cluster, on the store's keyspace and with the profiles that
	// Profiles returns. Required. The caller that connected it must close it, after the store.
	Session *client.Session
	// Name distinguishes several stores in one keyspace. Default: main.
	Name string
	// BucketEvents is the number of events after which a bucket is sealed. For a stream it is
	// fixed when its first event is stored. Default: 2000.
	BucketEvents int
	// Deadline bounds a load, an append and a settlement, each of which makes several requests.
	// Every attempt of a request must have less time; otherwise the session's guard would not see
	// that the cluster does not answer. Default: DefaultDeadline.
	Deadline time.Duration
	// KeepSchema refuses a keyspace that lacks schema steps, instead of taking them at the start.
	KeepSchema bool
	_          struct{}
}

// Check returns every problem at once.
func (c Config) Check() error {
	var errs []error
	if c.Session == nil {
		errs = append(errs, errors.New("eventstore/cassandra: Session is nil: connect one"))
	}
	if c.BucketEvents < 0 {
		errs = append(errs, fmt.Errorf("eventstore/cassandra: BucketEvents is %d: give 1 or more, or 0 for 2000", c.BucketEvents))
	}
	if c.Deadline < 0 {
		errs = append(errs, fmt.Errorf("eventstore/cassandra: Deadline is %s: give a duration above zero, or 0 for %s", c.Deadline, DefaultDeadline))
	}
	return errors.Join(errs...)
}

var _ eventstore.GuardedStore = (*Store)(nil)

// Store is an event store on Cassandra. It is safe for concurrent use, also by several instances
// on one keyspace. The caller that opened it must close it.
type Store struct {
	session *client.Session
	name    string
	epoch   string
	size    int
	// perBucket is intentsPerBucket, unless a test changes it.
	perBucket int
	deadline  time.Duration
	closed    atomic.Bool

	mu sync.Mutex
	// sealed caches, by stream, the buckets that can't change any more; remembered is their number.
	sealed     map[string][]bucket
	remembered int
	pages      [eventstore.Slices]int64  // the newest page seen in each slice
	intakes    [eventstore.Slices]intake // the register seen in each slice
}

// Open opens the store. It takes the schema steps that the keyspace lacks, unless they remove data
// or KeepSchema is set. A keyspace that does not fit is refused with schema.ErrUnfit.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	s := &Store{session: cfg.Session, name: cfg.Name, size: cfg.BucketEvents, deadline: cfg.Deadline, perBucket: intentsPerBucket, sealed: map[string][]bucket{}}
	if s.name == "" {
		s.name = "main"
	}
	if s.size == 0 {
		s.size = 2000
	}
	if s.deadline == 0 {
		s.deadline = DefaultDeadline
	}
	if err := checkPolicy(s.Policy().Operations, s.deadline); err != nil {
		return nil, err
	}
	if err := Schema().Ensure(ctx, SchemaOf(cfg.Session), cfg.KeepSchema); err != nil {
		return nil, opening(err)
	}
	var err error
	if s.epoch, err = epoch(ctx, cfg.Session, s.name); err != nil {
		return nil, failed("read the epoch of store "+s.name, err)
	}
	return s, nil
}

// opening returns the error of a store that could not be opened, with its kind.
func opening(err error) error {
	if errors.Is(err, schema.ErrUnfit) {
		return fmt.Errorf("eventstore/cassandra: %w", err)
	}
	return failed("open the store", err)
}

// Close ends the store. Calls that are under way end by their own deadlines.
func (s *Store) Close() error {
	s.closed.Store(true)
	return nil
}

// Epoch returns the store's epoch, which is in every cursor.
func (s *Store) Epoch() string { return s.epoch }

func (s *Store) query(ctx context.Context, profile, cql string, args ...any) *client.Query {
	return s.session.Query(cql, args...).WithContext(ctx).Profile(profile)
}

// contended is how often a SERIAL read is tried when other requests contend with it.
const contended = 10

// scan reads one row. A SERIAL read takes part in the partition's Paxos rounds, and may lose them
// to writers for a while.
func (s *Store) scan(ctx context.Context, profile, cql string, args []any, into ...any) error {
	_, err := s.scanFrom(ctx, profile, cql, args, into...)
	return err
}

// scanFrom does what scan does, and also reports whether another data centre answered.
func (s *Store) scanFrom(ctx context.Context, profile, cql string, args []any, into ...any) (remote bool, err error) {
	for n := 1; ; n++ {
		q := s.query(ctx, profile, cql, args...)
		err := q.Scan(into...)
		if profile != ProfileSettle || !errors.Is(err, client.ErrTimedOut) || n == contended || ctx.Err() != nil {
			return q.Info().FailedOver, err
		}
		pause(ctx)
	}
}

// bounded returns a context that ends at the store's deadline.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.deadline)
}

func (s *Store) check() error {
	if s.closed.Load() {
		return eventstore.ErrClosed
	}
	return nil
}

// epoch returns the store's epoch, and makes one if there is none. It is made with all data
// centres, because a store has one epoch, and never changes after that.
func epoch(ctx context.Context, session *client.Session, name string) (string, error) {
	const cql = "SELECT epoch FROM stores WHERE store = ?"
	var e string
	if err := session.Query(cql, name).WithContext(ctx).Profile(ProfileRead).Scan(&e); err == nil || !errors.Is(err, client.ErrNotFound) {
		return e, err
	}
	k := SchemaOf(session)
	for {
		err := k.serial(ctx, ProfileSettle, cql, name).Scan(&e)
		if err == nil || !errors.Is(err, client.ErrNotFound) {
			return e, err
		}
		_, err = k.serial(ctx, ProfileAppend, "INSERT INTO stores (store, epoch) VALUES (?, ?) IF NOT EXISTS", name, rand.Text()).CAS()
		if err != nil && !errors.Is(err, client.ErrOutcomeUnknown) {
			return "", err
		}
	}
}

// failed converts a client's error into one of eventstore's errors.
func failed(what string, err error) error {
	kind := eventstore.ErrUnavailable
	switch {
	case errors.Is(err, client.ErrClosed), errors.Is(err, resilience.ErrClosed):
		kind = eventstore.ErrClosed
	case errors.Is(err, client.ErrDiskFull):
		kind = eventstore.ErrFull
	case errors.Is(err, client.ErrInvalid):
		kind = eventstore.ErrInvalid
	}
	return fmt.Errorf("%w: %s: %w", kind, what, err)
}
