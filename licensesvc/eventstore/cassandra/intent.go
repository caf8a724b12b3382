package cassandra

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// Intents are kept in feed buckets. Each bucket is one partition, so that settled intents
// are deleted with their partition, and a reader does not have to skip their tombstones. A
// register says which bucket of a slice is open and which buckets are gone; both numbers
// only grow, by conditional statements.
//
// A writer writes its intent to the bucket that it believes to be open, and then reads the
// register. If the bucket was closed in the meantime, the writer puts the intent into the
// next bucket before it appends. An instance that settles a closed bucket first reads, at
// SERIAL, that the bucket is closed, and only then reads its intents: every intent that was
// written in time is then visible at a quorum.
//
// The timestamps of intents are not times: a row has timestamp 1, its deletion 2, and the
// deletion of its partition 3. A late write therefore never restores what is settled,
// whatever the clocks show.
const (
	writtenAt = 1
	droppedAt = 2
	settledAt = 3
)

const (
	// intentsPerBucket is the number of intents that one instance writes to the open bucket
	// before it closes it. A bucket holds up to that many intents per instance, and the
	// tombstones of those that were deleted.
	intentsPerBucket = 2000
	// intentsAtOnce bounds the number of intents that one query reads.
	intentsAtOnce = 5000
)

// intent announces that a commit may be appended.
type intent struct {
	bucket                  int64 // the feed bucket that holds it
	stream, commit, attempt string
	expected                int64
}

// newIntent returns the intent of one attempt. A later attempt of the same commit has another
// one.
func newIntent(c eventstore.Commit) (intent, error) {
	nonce := make([]byte, 8)
	if _, err := rand.Read(nonce); err != nil {
		return intent{}, err
	}
	return intent{stream: c.Stream, commit: c.ID, attempt: hex.EncodeToString(nonce), expected: c.Expected}, nil
}

// intend writes an intent to the open bucket. After it returns, no reader of the feed can miss
// the commit that the intent announces.
func (s *Store) intend(ctx context.Context, i intent) (intent, error) {
	slice := eventstore.SliceOf(i.stream)
	s.mu.Lock()
	i.bucket = s.intakes[slice].open
	s.mu.Unlock()
	for {
		err := s.query(ctx, ProfileWrite, "INSERT INTO intents (store, slice, bucket, stream, commit_id, attempt, expected) VALUES (?, ?, ?, ?, ?, ?, ?)",
			s.name, slice, i.bucket, i.stream, i.commit, i.attempt, i.expected).WithTimestamp(writtenAt).Exec()
		if err != nil {
			return i, failed("write the intent of "+i.commit, err)
		}
		// A quorum is enough here. If it does not show that the bucket was closed, the close was
		// not acknowledged when the intent was written, and the instance that acts on the close
		// reads the intents after it.
		now, err := s.intake(ctx, ProfileRead, slice)
		if err != nil {
			return i, failed("see whether the intent of "+i.commit+" came in time", err)
		}
		if now.open <= i.bucket {
			s.count(ctx, slice, i.bucket)
			return i, nil
		}
		// Nobody reads that bucket any more, so a row that stays there is never seen.
		_ = s.drop(ctx, i)
		i.bucket = now.open
	}
}

// count counts an intent, and closes the open bucket once this instance has written enough to it.
func (s *Store) count(ctx context.Context, slice int, bucket int64) {
	s.mu.Lock()
	at := &s.intakes[slice]
	if at.counted != bucket {
		at.counted, at.count = bucket, 0
	}
	at.count++
	full := at.count >= s.perBucket
	if full {
		at.count = 0
	}
	s.mu.Unlock()
	if full {
		// If this fails, the next instance whose count gets there closes the bucket.
		_ = s.advance(ctx, slice, "open", bucket)
	}
}

// drop deletes an intent.
func (s *Store) drop(ctx context.Context, i intent) error {
	return s.query(ctx, ProfileWrite, "DELETE FROM intents WHERE store = ? AND slice = ? AND bucket = ? AND stream = ? AND commit_id = ? AND attempt = ?",
		s.name, eventstore.SliceOf(i.stream), i.bucket, i.stream, i.commit, i.attempt).WithTimestamp(droppedAt).Exec()
}

// intents reads the intents of a bucket. If all is false, there may be more.
func (s *Store) intents(ctx context.Context, slice int, bucket int64) (some []intent, all bool, err error) {
	it := s.query(ctx, ProfileRead, "SELECT stream, commit_id, attempt, expected FROM intents WHERE store = ? AND slice = ? AND bucket = ? LIMIT ?", s.name, slice, bucket, intentsAtOnce).Iter()
	for {
		i := intent{bucket: bucket}
		if !it.Scan(&i.stream, &i.commit, &i.attempt, &i.expected) {
			return some, len(some) < intentsAtOnce, it.Close()
		}
		some = append(some, i)
	}
}

// carry moves an intent to the bucket that is open now.
func (s *Store) carry(ctx context.Context, i intent) error {
	if _, err := s.intend(ctx, i); err != nil {
		return err
	}
	return s.drop(ctx, i)
}

// settleBucket deletes a closed bucket as a whole. The caller has made sure that it contains no
// open intents.
func (s *Store) settleBucket(ctx context.Context, slice int, bucket int64) error {
	err := s.query(ctx, ProfileWrite, "DELETE FROM intents WHERE store = ? AND slice = ? AND bucket = ?", s.name, slice, bucket).WithTimestamp(settledAt).Exec()
	if err != nil {
		return err
	}
	return s.advance(ctx, slice, "settled", bucket)
}

// intake is a slice's register. The buckets before settled are deleted; open takes new intents.
type intake struct {
	settled, open int64
	// count is the number of intents that this instance wrote to the bucket counted.
	counted int64
	count   int
}

// intake reads the register and remembers it.
func (s *Store) intake(ctx context.Context, profile string, slice int) (intake, error) {
	var settled, open *int64
	err := s.scan(ctx, profile, "SELECT settled, open FROM intakes WHERE store = ? AND slice = ?", []any{s.name, slice}, &settled, &open)
	if err != nil && !errors.Is(err, client.ErrNotFound) {
		return intake{}, err
	}
	var now intake
	if settled != nil {
		now.settled = *settled
	}
	if open != nil {
		now.open = *open
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intakes[slice].open = max(s.intakes[slice].open, now.open)
	s.intakes[slice].settled = max(s.intakes[slice].settled, now.settled)
	return now, nil
}

// advance raises one number of the register by one, unless another instance already did.
func (s *Store) advance(ctx context.Context, slice int, column string, from int64) error {
	cql := fmt.Sprintf("UPDATE intakes SET %s = ? WHERE store = ? AND slice = ? IF %s = ", column, column)
	args := []any{from + 1, s.name, slice}
	if from == 0 {
		cql += "null"
	} else {
		cql += "?"
		args = append(args, from)
	}
	if _, err := s.query(ctx, ProfileAppend, cql, args...).CAS(); err != nil {
		return failed(fmt.Sprintf("advance %s of slice %d from %d", column, slice, from), err)
	}
	return nil
}
