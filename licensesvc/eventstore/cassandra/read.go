package cassandra

import (
	"context"
	"errors"
	"fmt"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// Load implements eventstore.Store. A load for display asks one replica. Three kinds of
// inconsistent answer are read again at a quorum: a head without its events, a row that a read
// repair has brought only in part, and a version older than the caller has already seen. If the
// second read fails too, the page ends where the replica's answer stops being reliable.
func (s *Store) Load(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	if err := s.check(); err != nil {
		return eventstore.Page{}, err
	}
	if q.Stream == "" || q.After < 0 {
		return eventstore.Page{}, fmt.Errorf("%w: a load needs a stream, and a version of at least 0 to go on after", eventstore.ErrInvalid)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if q.Limit <= 0 || q.Limit > eventstore.MaxEvents {
		q.Limit = eventstore.MaxEvents
	}
	if q.Consistency != eventstore.ForDisplay {
		return s.load(ctx, ProfileRead, q)
	}
	page, err := s.load(ctx, ProfileShow, q)
	if err == nil && page.Version >= q.After {
		return page, nil
	}
	whole, again := s.load(ctx, ProfileRead, q)
	if again == nil {
		return whole, nil
	}
	if err != nil && !errors.Is(err, eventstore.ErrCorrupt) {
		return eventstore.Page{}, again
	}
	return eventstore.Page{Version: q.After, Remote: page.Remote}, nil
}

func (s *Store) load(ctx context.Context, profile string, q eventstore.Query) (eventstore.Page, error) {
	buckets, err := s.buckets(ctx, profile, q.Stream)
	if err != nil {
		return eventstore.Page{}, failed("load "+q.Stream, err)
	}
	newest := buckets[len(buckets)-1]
	page := eventstore.Page{Version: newest.head, Remote: newest.remote}
	if page.Events, err = s.events(ctx, profile, q.Stream, buckets, q.After, page.Version, q.Limit); err != nil {
		return eventstore.Page{}, err
	}
	if n := len(page.Events); n > 0 {
		page.More = page.Events[n-1].Version < page.Version
	} else if q.After < page.Version {
		return eventstore.Page{}, fmt.Errorf("%w: stream %s has version %d and no event after %d", eventstore.ErrCorrupt, q.Stream, page.Version, q.After)
	}
	return page, nil
}

// events reads the events after one version up to another, from the buckets that hold them.
func (s *Store) events(ctx context.Context, profile, stream string, buckets []bucket, after, upto int64, limit int) ([]eventstore.Event, error) {
	var all []eventstore.Event
	for _, b := range buckets {
		if !b.exists || b.head <= after || b.base >= upto || len(all) == limit {
			continue
		}
		it := s.query(ctx, profile, `SELECT version, id, type, schema_version, by_commit, occurred, recorded, cause, correlation, trace, actor, data
			FROM streams WHERE store = ? AND stream = ? AND bucket = ? AND kind = 0 AND commit_id = '' AND version > ? AND version <= ? LIMIT ?`,
			s.name, stream, b.number, max(after, b.base), min(upto, b.head), limit-len(all)).PageSize(limit).Iter()
		for {
			e := eventstore.Event{Stream: stream}
			var occurred, recorded int64
			if !it.Scan(&e.Version, &e.ID, &e.Type, &e.Schema, &e.Commit, &occurred, &recorded, &e.Cause, &e.Correlation, &e.Trace, &e.Actor, &e.Data) {
				break
			}
			e.Occurred, e.Recorded = eventstore.Instant(occurred), eventstore.Instant(recorded)
			// A read repair writes only the columns that were asked for to a lagging replica, so
			// a single replica may show a row without its content.
			if want := after + int64(len(all)) + 1; e.Version != want || e.Type == "" {
				return nil, errors.Join(it.Close(), fmt.Errorf("%w: stream %s has version %d (type %q) where %d should be", eventstore.ErrCorrupt, stream, e.Version, e.Type, want))
			}
			all = append(all, e)
		}
		if err := it.Close(); err != nil {
			return nil, failed("load "+stream, err)
		}
	}
	return all, nil
}

// stretch reads versions that are known to exist. If a conditional write reported the newest of
// them, a quorum may not have them yet; a SERIAL read makes them visible.
func (s *Store) stretch(ctx context.Context, stream string, buckets []bucket, after, upto int64, limit int) ([]eventstore.Event, error) {
	events, err := s.events(ctx, ProfileRead, stream, buckets, after, upto, limit)
	if err == nil && len(events) < min(limit, int(upto-after)) {
		events, err = s.events(ctx, ProfileSettle, stream, buckets, after, upto, limit)
	}
	return events, err
}

// SaveSnapshot implements eventstore.Store. The write's timestamp is the version, so that an
// older snapshot never replaces a newer one, in whatever order they arrive.
func (s *Store) SaveSnapshot(ctx context.Context, snap eventstore.Snapshot) error {
	if err := s.check(); err != nil {
		return err
	}
	if snap.Stream == "" || snap.Version <= 0 {
		return fmt.Errorf("%w: a snapshot needs a stream and a version above 0", eventstore.ErrInvalid)
	}
	err := s.query(ctx, ProfileWrite, "INSERT INTO snapshots (store, stream, fold, version, data) VALUES (?, ?, ?, ?, ?)",
		s.name, snap.Stream, snap.Fold, snap.Version, snap.Data).WithTimestamp(snap.Version).Exec()
	if err != nil {
		return failed("save a snapshot of "+snap.Stream, err)
	}
	return nil
}

// LoadSnapshot implements eventstore.Store.
func (s *Store) LoadSnapshot(ctx context.Context, stream string, fold int) (eventstore.Snapshot, bool, error) {
	if err := s.check(); err != nil {
		return eventstore.Snapshot{}, false, err
	}
	snap := eventstore.Snapshot{Stream: stream, Fold: fold}
	err := s.query(ctx, ProfileRead, "SELECT version, data FROM snapshots WHERE store = ? AND stream = ? AND fold = ?", s.name, stream, fold).Scan(&snap.Version, &snap.Data)
	switch {
	case errors.Is(err, client.ErrNotFound):
		return eventstore.Snapshot{}, false, nil
	case err != nil:
		return eventstore.Snapshot{}, false, failed("load the snapshot of "+stream, err)
	}
	return snap, true, nil
}

// Stats counts the events that the feed has sequenced. Events in slices whose feed nobody has
// read are not counted. The size on disk is left to the nodes' monitoring.
func (s *Store) Stats(ctx context.Context) (eventstore.Stats, error) {
	stats := eventstore.Stats{Bytes: -1, LogBytes: -1}
	if err := s.check(); err != nil {
		return stats, err
	}
	for slice := range eventstore.Slices {
		h, err := s.logHead(ctx, ProfileShow, slice)
		if err != nil {
			return stats, failed("measure", err)
		}
		stats.Events += h.events
	}
	return stats, nil
}
