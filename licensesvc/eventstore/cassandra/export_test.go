package cassandra

import (
	"context"
	"time"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// SetIntentsPerBucket makes feed buckets small.
func SetIntentsPerBucket(s *Store, n int) { s.perBucket = n }

// Intend writes the intent of a commit, as a writer that dies before its batch does.
func Intend(ctx context.Context, s *Store, c eventstore.Commit) error {
	i, err := newIntent(c)
	if err == nil {
		_, err = s.intend(ctx, i)
	}
	return err
}

// Intake is the register of a slice.
func Intake(ctx context.Context, s *Store, slice int) (settled, open int64, err error) {
	now, err := s.intake(ctx, ProfileSettle, slice)
	return now.settled, now.open, err
}

// WithLease returns the schema of a keyspace with another lease.
func WithLease(session *client.Session, lease time.Duration) *SchemaKeyspace {
	k := SchemaOf(session)
	k.lease, k.poll = lease, lease/10
	return k
}

// Doubts returns the warnings about a keyspace.
func Doubts(durable bool, replication map[string]string) []string {
	return doubts("ks", durable, replication)
}

// NewFilter makes a filter and returns its mayContain.
func NewFilter(ids []string) func(id string) bool { return newFilter(ids).mayContain }
