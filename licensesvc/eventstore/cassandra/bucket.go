package cassandra

import (
	"context"
	"errors"

	client "github.com/backstay-go/backstay/clients/cassandra"
)

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
	// epoch is nil until it is raised for the first time.
	epoch *int64
	// before is the filter of the bucket before this one, and own is that of this one. own is nil
	// as long as the next bucket is not open.
	before, own filter
	// remote is true if another data centre answered.
	remote bool
}

// statics are a bucket's columns as they are stored.
type statics struct {
	head, base *int64
	sealed     *bool
	size       *int
	epoch      *int64
	before     []byte
}

func (c *statics) into() []any {
	return []any{&c.head, &c.base, &c.sealed, &c.size, &c.epoch, &c.before}
}

func (c *statics) bucket(number int) bucket {
	b := bucket{number: number, epoch: c.epoch}
	if c.head == nil { // The bucket holds only fences so far.
		return b
	}
	b.exists, b.head, b.before = true, *c.head, c.before
	if c.base != nil {
		b.base = *c.base
	}
	b.sealed = c.sealed != nil && *c.sealed
	if c.size != nil {
		b.size = *c.size
	}
	return b
}

// bucketAt reads a bucket's statics.
func (s *Store) bucketAt(ctx context.Context, profile, stream string, n int) (bucket, error) {
	var c statics
	remote, err := s.scanFrom(ctx, profile, "SELECT head, base, sealed, size, epoch, before FROM streams WHERE store = ? AND stream = ? AND bucket = ? LIMIT 1",
		[]any{s.name, stream, n}, c.into()...)
	if err != nil && !errors.Is(err, client.ErrNotFound) {
		return bucket{number: n}, err
	}
	b := c.bucket(n)
	b.remote = remote
	return b, nil
}

// bucketsAtOnce is the number of buckets that one request reads.
const bucketsAtOnce = 64

// sealedFrom reads the sealed buckets from number n on, as far as one request shows them. A
// quorum is enough, because what was read as sealed never changes again.
func (s *Store) sealedFrom(ctx context.Context, profile, stream string, n int) ([]bucket, error) {
	if profile == ProfileSettle {
		profile = ProfileRead
	}
	numbers := make([]int, bucketsAtOnce)
	for i := range numbers {
		numbers[i] = n + i
	}
	it := s.query(ctx, profile, "SELECT bucket, head, base, sealed, size, epoch, before FROM streams WHERE store = ? AND stream = ? AND bucket IN ? PER PARTITION LIMIT 1",
		s.name, stream, numbers).PageSize(bucketsAtOnce).Iter()
	found := map[int]bucket{}
	for {
		var number int
		var c statics
		if !it.Scan(append([]any{&number}, c.into()...)...) {
			break
		}
		found[number] = c.bucket(number)
	}
	var all []bucket
	for found[n+len(all)].sealed {
		all = append(all, found[n+len(all)])
	}
	return all, it.Close()
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
		all = follow(all, b)
		if !b.sealed {
			s.remember(stream, all[:len(all)-1])
			return all, nil
		}
		further, err := s.sealedFrom(ctx, profile, stream, len(all))
		if err != nil {
			return nil, err
		}
		for _, b := range further {
			all = follow(all, b)
		}
	}
}

// follow adds a bucket after the ones before it.
func follow(all []bucket, b bucket) []bucket {
	if n := len(all); n > 0 {
		if !b.exists {
			b.head, b.base = all[n-1].head, all[n-1].head
		}
		b.size = all[0].size
		all[n-1].own = b.before
	}
	return append(all, b)
}

// maxRemembered bounds the number of sealed buckets that are remembered, 64 MB with buckets of
// 2000 commits.
const maxRemembered = 1 << 14

func (s *Store) remember(stream string, sealed []bucket) {
	if len(sealed) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remembered += len(sealed) - len(s.sealed[stream])
	if s.remembered > maxRemembered {
		clear(s.sealed)
		s.remembered = len(sealed)
	}
	s.sealed[stream] = append([]bucket(nil), sealed...)
}

// measured fills in the filter of the last sealed bucket if the newest bucket is not open yet, so
// that the append that opens it can store the filter. The bucket is sealed, so its commits and
// fences never change; a SERIAL read shows them all.
func (s *Store) measured(ctx context.Context, stream string, buckets []bucket) error {
	n := len(buckets) - 1
	if n == 0 || buckets[n].exists {
		return nil
	}
	it := s.query(ctx, ProfileSettle, "SELECT commit_id FROM streams WHERE store = ? AND stream = ? AND bucket = ? AND kind = 1",
		s.name, stream, n-1).PageSize(intentsAtOnce).Iter()
	var ids []string
	for {
		var id string
		if !it.Scan(&id) {
			break
		}
		ids = append(ids, id)
	}
	if err := it.Close(); err != nil {
		return err
	}
	buckets[n].before = newFilter(ids)
	buckets[n-1].own = buckets[n].before
	return nil
}
