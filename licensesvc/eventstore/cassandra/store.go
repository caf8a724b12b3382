package cassandra

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
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
	_        struct{}
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
	// sealed caches, by stream, the buckets that can't change any more. Its size is bounded.
	sealed  map[string][]bucket
	pages   [eventstore.Slices]int64  // the newest page seen in each slice
	intakes [eventstore.Slices]intake // the register seen in each slice
}

// maxRemembered bounds the number of streams whose sealed buckets are remembered.
const maxRemembered = 100_000

// Open opens the store. It makes the tables and the store if they do not exist.
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
	if err := Migrate(ctx, cfg.Session); err != nil {
		return nil, err
	}
	var err error
	if s.epoch, err = epoch(ctx, cfg.Session, s.name); err != nil {
		return nil, failed("read the epoch of store "+s.name, err)
	}
	return s, nil
}

// Close ends the store. Calls that are under way end by their own deadlines.
func (s *Store) Close() error {
	s.closed.Store(true)
	return nil
}

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

// bucket holds the static columns of one bucket.
type bucket struct {
	number int
	// head is the version of the bucket's last event, or the stream's version before the bucket
	// if it has no event yet. base is the head of the bucket before it. exists is false until the
	// bucket has its first event.
	head, base int64
	sealed     bool
	exists     bool
	size       int
	// remote is true if another data centre answered.
	remote bool
}

// bucketAt reads a bucket's statics.
func (s *Store) bucketAt(ctx context.Context, profile, stream string, n int) (bucket, error) {
	b := bucket{number: n}
	var head, base *int64
	var sealed *bool
	var size *int
	var err error
	b.remote, err = s.scanFrom(ctx, profile, "SELECT head, base, sealed, size FROM streams WHERE store = ? AND stream = ? AND bucket = ? LIMIT 1",
		[]any{s.name, stream, n}, &head, &base, &sealed, &size)
	switch {
	case errors.Is(err, client.ErrNotFound):
		return b, nil
	case err != nil:
		return b, err
	case head == nil: // The bucket holds only fences so far.
		return b, nil
	}
	b.exists, b.head = true, *head
	if base != nil {
		b.base = *base
	}
	b.sealed = sealed != nil && *sealed
	if size != nil {
		b.size = *size
	}
	return b, nil
}

// buckets returns a stream's buckets, the newest last. For a stream that does not exist, it
// returns one bucket whose exists is false.
func (s *Store) buckets(ctx context.Context, profile, stream string) ([]bucket, error) {
	s.mu.Lock()
	known := s.sealed[stream]
	s.mu.Unlock()
	all := append([]bucket(nil), known...)
	for {
		b, err := s.bucketAt(ctx, profile, stream, len(all))
		if err != nil {
			return nil, err
		}
		if n := len(all); n > 0 {
			if !b.exists {
				b.head, b.base = all[n-1].head, all[n-1].head
			}
			b.size = all[0].size
		}
		all = append(all, b)
		if !b.sealed {
			s.remember(stream, all[:len(all)-1])
			return all, nil
		}
	}
}

func (s *Store) remember(stream string, sealed []bucket) {
	if len(sealed) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sealed) >= maxRemembered {
		clear(s.sealed)
	}
	s.sealed[stream] = append([]bucket(nil), sealed...)
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
