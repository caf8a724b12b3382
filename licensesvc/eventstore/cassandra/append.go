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
	// What certainly left nothing needs no look by the feed; if this is lost, the feed
	// finds out by itself. A commit that is found may be this very attempt's, sent and
	// not answered: its intent stays until the feed has it.
	if a.Outcome == eventstore.Conflict || a.Outcome == eventstore.Rejected {
		_ = s.drop(ctx, i)
	}
	return a, err
}

// propose appends at the stream's newest bucket. While there is time it proposes the
// identical batch again if an answer did not come.
//
// A refusal is itself a linearizable read: it returns the head and, if there is one, the
// commit's row. As long as each attempt of this call was answered, that is enough to decide
// the append. After an attempt that was not answered, only a SERIAL read of the whole stream
// is.
func (s *Store) propose(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	profile, sent := ProfileRead, false
	for {
		buckets, err := s.buckets(ctx, profile, c.Stream)
		if err != nil {
			return s.unanswered(sent, "read the head of "+c.Stream, err)
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

// already looks for the commit where an attempt of it may have landed: in an older bucket,
// or anywhere once an attempt was not answered. It is done if that decides the append.
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
		// Not there, and the version is taken: no attempt can land any more.
		a, err = s.conflict(ctx, c, buckets)
		return a, true, err
	}
	return a, false, nil
}

// try sends the batch once. It is not done if it must be sent again, which sent says
// whether an attempt may have landed; the error then is that of this attempt.
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

// refused reads a refusal: the statics of the bucket, and the commit's row if there is
// one. It is not done if the bucket was sealed meanwhile, and the version is free.
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

// unanswered is unknown if an attempt went out, and else a rejection.
func (s *Store) unanswered(sent bool, what string, err error) (eventstore.Appended, error) {
	if sent || errors.Is(err, client.ErrOutcomeUnknown) {
		return eventstore.Appended{}, fmt.Errorf("%w: %s: %w", eventstore.ErrUnknown, what, err)
	}
	return eventstore.Appended{Outcome: eventstore.Rejected}, failed(what, err)
}

func applied(c eventstore.Commit, b bucket) eventstore.Appended {
	return eventstore.Appended{Outcome: eventstore.Applied, Version: b.head + int64(len(c.Events)), Events: c.Placed(b.head)}
}

// batch is the append of a commit to a bucket: all of it, or nothing.
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
		q.Query("UPDATE streams SET head = ?, sealed = ? WHERE store = ? AND stream = ? AND bucket = ? IF head = ? AND sealed = null", last, seal, s.name, c.Stream, b.number, b.head)
	} else {
		q.Query("UPDATE streams SET head = ?, sealed = ?, base = ?, size = ? WHERE store = ? AND stream = ? AND bucket = ? IF head = null", last, seal, b.base, size, s.name, c.Stream, b.number)
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

// same looks for a commit, as find does, and holds what is stored under its id against it: an id
// that was fenced, or that belongs to another content, is Rejected with the reason.
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

// find looks a commit up in buckets: Applied, Rejected if it was fenced, or Unknown if
// there is no row of it, which proves nothing. It also returns the commit's fingerprint.
func (s *Store) find(ctx context.Context, profile, stream, commit string, buckets []bucket) (a eventstore.Appended, fingerprint string, err error) {
	for i := len(buckets) - 1; i >= 0; i-- {
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
			// A fence in one bucket and the commit in another: the commit counts.
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

// conflict answers with the events that were appended first.
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

// Resolve implements eventstore.Store: it finds the commit, or fences it in every
// bucket that an attempt of it may have been sent to.
func (s *Store) Resolve(ctx context.Context, stream, commit string) (eventstore.Appended, error) {
	if err := s.check(); err != nil {
		return eventstore.Appended{Outcome: eventstore.Rejected}, err
	}
	if stream == "" || commit == "" {
		return eventstore.Appended{Outcome: eventstore.Rejected}, fmt.Errorf("%w: give a stream and a commit", eventstore.ErrInvalid)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	unknown := func(err error) (eventstore.Appended, error) {
		return eventstore.Appended{}, fmt.Errorf("%w: resolve %s: %w", eventstore.ErrUnknown, commit, err)
	}
	fenced := 0
	for {
		buckets, err := s.buckets(ctx, ProfileSettle, stream)
		if err != nil {
			return unknown(err)
		}
		a, _, err := s.find(ctx, ProfileSettle, stream, commit, buckets)
		switch {
		case err != nil:
			return unknown(err)
		case a.Outcome == eventstore.Applied:
			return a, nil
		case fenced == len(buckets):
			// The newest bucket was fenced before it was read as not sealed: nobody can
			// have gone on to the next without meeting the fence.
			return eventstore.Appended{Outcome: eventstore.Rejected}, nil
		}
		for ; fenced < len(buckets); fenced++ {
			if err := s.fence(ctx, stream, commit, buckets[fenced].number); err != nil {
				return unknown(err)
			}
		}
	}
}

// fence takes a commit's row in a bucket, if nothing is there. It is repeated until
// it is acknowledged: its own missing answer proves nothing.
func (s *Store) fence(ctx context.Context, stream, commit string, bucket int) error {
	for {
		res, err := s.query(ctx, ProfileAppend, "INSERT INTO streams (store, stream, bucket, kind, commit_id, version, fenced) VALUES (?, ?, ?, 1, ?, 0, true) IF NOT EXISTS",
			s.name, stream, bucket, commit).CAS()
		switch {
		case err == nil:
			return nil
		case res.Outcome != client.Unknown || ctx.Err() != nil:
			return err
		}
		pause(ctx)
	}
}

// pause waits between two tries, for a random time, so that rivals do not meet again.
func pause(ctx context.Context) {
	t := time.NewTimer(time.Duration(5+mathrand.IntN(45)) * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
