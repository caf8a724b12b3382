package cassandra

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/resilience"
)

// Append implements eventstore.Store.
func (s *Store) Append(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	rejected := eventstore.Appended{Outcome: eventstore.Rejected}
	if err := s.check(); err != nil {
		return rejected, err
	}
	if err := c.Check(); err != nil {
		return rejected, err
	}
	if err := refuseTags(c); err != nil {
		return rejected, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	i, err := newIntent(c)
	if err == nil {
		i, err = s.intend(ctx, i)
	}
	if err != nil {
		return rejected, err
	}
	a, err := s.propose(ctx, c)
	// An append that certainly stored nothing leaves nothing for the feed to look up. If the
	// deletion is lost, the feed finds that out itself. A commit that was found may come from
	// this attempt, sent but not answered, so its intent stays until the feed has it.
	if a.Outcome == eventstore.Conflict || a.Outcome == eventstore.Rejected {
		_ = s.drop(ctx, i)
	}
	return a, err
}

// propose appends to the stream's newest bucket. If an answer does not come, it proposes the
// identical batch again while there is time.
//
// A refusal is itself a linearizable read: it returns the head and, if it exists, the commit's
// row. As long as every attempt of this call was answered, that is enough to decide the
// append. After an attempt that was not answered, only a SERIAL read of the whole stream is
// enough.
func (s *Store) propose(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	profile, sent := ProfileRead, false
	for {
		buckets, err := s.buckets(ctx, profile, c.Stream)
		if err != nil {
			return s.unanswered(sent, "read the head of "+c.Stream, err)
		}
		if err := s.measured(ctx, c.Stream, buckets); err != nil {
			return s.unanswered(sent, "read the commits of "+c.Stream, err)
		}
		if a, done, err := s.already(ctx, c, buckets, sent); done {
			return a, err
		}
		newest := buckets[len(buckets)-1]
		if newest.head < c.Expected && !sent && profile == ProfileRead {
			profile = ProfileSettle // A quorum may not have the newest head yet.
			continue
		}
		at := newest
		at.head = c.Expected
		if !at.exists && newest.head != c.Expected {
			return s.conflict(ctx, c, buckets)
		}
		a, done, err := s.try(ctx, c, buckets, at, &sent)
		if done {
			return a, err
		}
		profile = ProfileSettle
		pause(ctx)
		if ctx.Err() != nil {
			return s.unanswered(sent, "append "+c.ID, errors.Join(err, ctx.Err()))
		}
	}
}

// already looks for the commit where an earlier attempt may have stored it: in an older
// bucket, or in any bucket once an attempt was not answered. done says that this decided the
// append.
func (s *Store) already(ctx context.Context, c eventstore.Commit, buckets []bucket, sent bool) (a eventstore.Appended, done bool, err error) {
	look := buckets
	if !sent {
		look = buckets[:len(buckets)-1] // The batch itself looks into the newest.
	}
	if len(look) == 0 {
		return a, false, nil
	}
	a, err = s.same(ctx, ProfileSettle, c, look)
	switch {
	case a.Outcome != eventstore.Unknown:
		return a, true, err
	case err != nil:
		a, err = s.unanswered(sent, "look for "+c.ID, err)
		return a, true, err
	case sent && buckets[len(buckets)-1].head > c.Expected:
		// The commit is not there, and the version is taken: no attempt can be stored any
		// more.
		a, err = s.conflict(ctx, c, buckets)
		return a, true, err
	}
	return a, false, nil
}

// try sends the batch once. If done is false, the batch must be sent again; the error is then
// that of this attempt. It sets sent if the attempt may have been stored.
func (s *Store) try(ctx context.Context, c eventstore.Commit, buckets []bucket, at bucket, sent *bool) (a eventstore.Appended, done bool, err error) {
	res, err := s.batch(ctx, c, at).CAS()
	switch {
	case res.Outcome == client.Applied:
		return applied(c, at), true, nil
	case res.Outcome == client.NotApplied && !*sent:
		a, done, err = s.refused(ctx, c, buckets, res.Current)
		return a, done || err != nil, err
	case res.Outcome == client.NotApplied:
		return a, false, nil
	case res.Outcome == client.Unknown:
		*sent = true
		return a, false, err
	case *sent && (errors.Is(err, client.ErrUnavailable) || errors.Is(err, resilience.ErrRefused)):
		return a, false, err
	}
	a, err = s.unanswered(*sent, "append "+c.ID, err)
	return a, true, err
}

// refused reads a refusal: the static columns of the bucket, and the commit's row if there is
// one. done is false if the bucket was sealed meanwhile and the version is free.
func (s *Store) refused(ctx context.Context, c eventstore.Commit, buckets []bucket, current []map[string]any) (a eventstore.Appended, done bool, err error) {
	newest := &buckets[len(buckets)-1]
	sealed := false
	for _, row := range current {
		if id, _ := row["commit_id"].(string); id == c.ID {
			if a, err = s.same(ctx, ProfileRead, c, buckets); err == nil && a.Outcome == eventstore.Unknown {
				a, err = s.same(ctx, ProfileSettle, c, buckets)
			}
			if err != nil && a.Outcome == eventstore.Unknown {
				return eventstore.Appended{Outcome: eventstore.Rejected}, true, failed("look for "+c.ID, err)
			}
			return a, true, err
		}
		if head, ok := row["head"].(int64); ok && head > 0 {
			newest.exists, newest.head = true, head
		}
		if b, ok := row["sealed"].(bool); ok && b {
			sealed = true
		}
	}
	if newest.head == c.Expected || sealed {
		return a, false, nil
	}
	a, err = s.conflict(ctx, c, buckets)
	return a, true, err
}

// unanswered returns Unknown if an attempt was sent, and otherwise Rejected.
func (s *Store) unanswered(sent bool, what string, err error) (eventstore.Appended, error) {
	if sent || errors.Is(err, client.ErrOutcomeUnknown) {
		return eventstore.Appended{}, fmt.Errorf("%w: %s: %w", eventstore.ErrUnknown, what, err)
	}
	return eventstore.Appended{Outcome: eventstore.Rejected}, failed(what, err)
}

func applied(c eventstore.Commit, b bucket) eventstore.Appended {
	return eventstore.Appended{Outcome: eventstore.Applied, Version: b.head + int64(len(c.Events)), Events: c.Placed(b.head)}
}

// batch returns the batch that appends a commit to a bucket, completely or not at all.
func (s *Store) batch(ctx context.Context, c eventstore.Commit, b bucket) *client.Batch {
	last := b.head + int64(len(c.Events))
	size := b.size
	if size == 0 {
		size = s.size
	}
	var seal any
	if last-b.base >= int64(size) {
		seal = true
	}
	q := s.session.NewBatch(client.LoggedBatch).WithContext(ctx).Profile(ProfileAppend)
	if b.exists {
		q.Query("UPDATE streams SET head = ?, sealed = ? WHERE store = ? AND stream = ? AND bucket = ? IF head = ? AND sealed = null AND epoch = ?",
			last, seal, s.name, c.Stream, b.number, b.head, b.epoch)
	} else {
		q.Query("UPDATE streams SET head = ?, sealed = ?, base = ?, size = ?, before = ? WHERE store = ? AND stream = ? AND bucket = ? IF head = null AND epoch = ?",
			last, seal, b.base, size, []byte(b.before), s.name, c.Stream, b.number, b.epoch)
	}
	q.Query("INSERT INTO streams (store, stream, bucket, kind, commit_id, version, first, last, fingerprint) VALUES (?, ?, ?, 1, ?, 0, ?, ?, ?) IF NOT EXISTS",
		s.name, c.Stream, b.number, c.ID, b.head+1, last, c.Fingerprint())
	for _, e := range c.Placed(b.head) {
		q.Query(`INSERT INTO streams (store, stream, bucket, kind, commit_id, version, id, type, schema_version, by_commit, occurred, recorded, cause, correlation, trace, actor, data)
			VALUES (?, ?, ?, 0, '', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			s.name, c.Stream, b.number, e.Version, e.ID, e.Type, e.Schema, e.Commit, eventstore.Nanos(e.Occurred), eventstore.Nanos(e.Recorded), e.Cause, e.Correlation, e.Trace, e.Actor, e.Data)
	}
	return q
}

// same looks for a commit, as find does, and compares its fingerprint with the stored one. An
// id that was fenced, or that belongs to another content, is Rejected with the reason.
func (s *Store) same(ctx context.Context, profile string, c eventstore.Commit, buckets []bucket) (eventstore.Appended, error) {
	a, fingerprint, err := s.find(ctx, profile, c.Stream, c.ID, buckets)
	switch {
	case err != nil:
		return a, err
	case a.Outcome == eventstore.Rejected:
		return a, eventstore.ErrFenced
	case a.Outcome == eventstore.Applied && fingerprint != "" && fingerprint != c.Fingerprint():
		return eventstore.Appended{Outcome: eventstore.Rejected}, eventstore.ErrMismatch
	}
	return a, nil
}

// find looks a commit up in buckets, but not in a sealed one whose filter lacks it. It returns Applied, or Rejected if the commit was fenced,
// or Unknown if there is no row of it, which proves nothing. It also returns the commit's
// fingerprint.
func (s *Store) find(ctx context.Context, profile, stream, commit string, buckets []bucket) (a eventstore.Appended, fingerprint string, err error) {
	for i := len(buckets) - 1; i >= 0; i-- {
		if !buckets[i].own.mayContain(commit) {
			continue
		}
		var first, last *int64
		var fenced *bool
		var content *string
		err := s.scan(ctx, profile, "SELECT first, last, fenced, fingerprint FROM streams WHERE store = ? AND stream = ? AND bucket = ? AND kind = 1 AND commit_id = ? AND version = 0",
			[]any{s.name, stream, buckets[i].number, commit}, &first, &last, &fenced, &content)
		switch {
		case errors.Is(err, client.ErrNotFound):
			continue
		case err != nil:
			return eventstore.Appended{}, "", err
		case fenced != nil && *fenced:
			// If one bucket has a fence and another the commit, the commit counts.
			if a, fingerprint, err := s.find(ctx, profile, stream, commit, buckets[:i]); err != nil || a.Outcome == eventstore.Applied {
				return a, fingerprint, err
			}
			return eventstore.Appended{Outcome: eventstore.Rejected}, "", nil
		}
		if content != nil {
			fingerprint = *content
		}
		b := buckets[i]
		b.exists, b.head = true, max(b.head, *last)
		events, err := s.stretch(ctx, stream, []bucket{b}, *first-1, *last, int(*last-*first+1))
		if err != nil {
			return eventstore.Appended{}, "", err
		}
		return eventstore.Appended{Outcome: eventstore.Applied, Version: *last, Events: events, Repeated: true}, fingerprint, nil
	}
	return eventstore.Appended{}, "", nil
}

// conflict returns the events that were appended first.
func (s *Store) conflict(ctx context.Context, c eventstore.Commit, buckets []bucket) (eventstore.Appended, error) {
	a := eventstore.Appended{Outcome: eventstore.Conflict, Version: buckets[len(buckets)-1].head}
	if a.Version > c.Expected {
		var err error
		if a.Events, err = s.stretch(ctx, c.Stream, buckets, c.Expected, a.Version, eventstore.MaxEvents); err != nil {
			return eventstore.Appended{Outcome: eventstore.Rejected}, err
		}
	}
	return a, nil
}

// Resolve implements eventstore.Store. It finds the commit, or fences it in the newest bucket. A
// sealed bucket needs no fence: no attempt of the commit can be stored in it any more.
func (s *Store) Resolve(ctx context.Context, stream, commit string) (eventstore.Appended, error) {
	if err := s.check(); err != nil {
		return eventstore.Appended{Outcome: eventstore.Rejected}, err
	}
	if stream == "" || commit == "" {
		return eventstore.Appended{Outcome: eventstore.Rejected}, fmt.Errorf("%w: give a stream and a commit", eventstore.ErrInvalid)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	unknown := func(err error) error {
		return fmt.Errorf("%w: resolve %s: %w", eventstore.ErrUnknown, commit, err)
	}
	for {
		buckets, err := s.buckets(ctx, ProfileSettle, stream)
		if err != nil {
			return eventstore.Appended{}, unknown(err)
		}
		a, _, err := s.find(ctx, ProfileSettle, stream, commit, buckets)
		switch {
		case err != nil:
			return eventstore.Appended{}, unknown(err)
		case a.Outcome != eventstore.Unknown:
			return a, nil
		}
		done, err := s.fence(ctx, stream, commit, buckets[len(buckets)-1].number)
		switch {
		case err != nil:
			return eventstore.Appended{}, unknown(err)
		case done:
			// The bucket was not sealed when it was fenced, so no bucket after it existed. A
			// writer that opens one later looks into this one and finds the fence.
			return eventstore.Appended{Outcome: eventstore.Rejected}, nil
		}
		pause(ctx)
	}
}

// fence writes the commit's row in a bucket as a fence, if there is no row and the bucket is not
// sealed; a sealed bucket never changes, so that the filter of its commits stays true. It is
// repeated until it is acknowledged, because a fence without an answer proves nothing. done is
// false if it was refused: the commit, an earlier fence, or a newer bucket is there.
func (s *Store) fence(ctx context.Context, stream, commit string, bucket int) (done bool, err error) {
	for {
		b := s.session.NewBatch(client.LoggedBatch).WithContext(ctx).Profile(ProfileAppend)
		b.Query("UPDATE streams SET fence = ? WHERE store = ? AND stream = ? AND bucket = ? IF sealed = null", commit, s.name, stream, bucket)
		b.Query("INSERT INTO streams (store, stream, bucket, kind, commit_id, version, fenced) VALUES (?, ?, ?, 1, ?, 0, true) IF NOT EXISTS",
			s.name, stream, bucket, commit)
		res, err := b.CAS()
		switch {
		case err == nil:
			return res.Applied(), nil
		case res.Outcome != client.Unknown || ctx.Err() != nil:
			return false, err
		}
		pause(ctx)
	}
}

// pause waits a random time between two tries, so that two writers do not collide again.
func pause(ctx context.Context) {
	t := time.NewTimer(time.Duration(5+mathrand.IntN(45)) * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
