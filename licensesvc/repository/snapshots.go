package repository

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// maxDue is the number of snapshots that wait to be saved. More are left out; the next append to
// their streams offers them again.
const maxDue = 64

// snapshots saves and loads folded states. It is safe for concurrent use.
type snapshots[S, E any] struct {
	store  eventstore.Snapshotter // nil: there are no snapshots
	domain Domain[S, E]
	every  int64
	age    time.Duration
	clock  func() time.Time
	log    *slog.Logger
	due    chan due[S]
}

// due is a state of which a snapshot is to be saved.
type due[S any] struct {
	stream string
	state  Folded[S]
}

func newSnapshots[S, E any](cfg Config[S, E]) *snapshots[S, E] {
	return &snapshots[S, E]{
		store: cfg.Snapshots, domain: cfg.Domain, every: int64(cfg.SnapshotEvery), age: cfg.SnapshotAge,
		clock: cfg.Clock, log: cfg.Log, due: make(chan due[S], maxDue),
	}
}

// run saves snapshots until the context ends. What is then left is dropped: a snapshot only saves
// time.
func (s *snapshots[S, E]) run(ctx context.Context) error {
	for {
		select {
		case d := <-s.due:
			if err := s.save(ctx, d); err != nil && ctx.Err() == nil {
				s.log.Debug("a snapshot was not saved", slog.String("stream", d.stream), slog.Int64("version", d.state.Version), slog.Any("error", err))
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// offer has a snapshot saved if one is due, and returns the state with a note of that.
func (s *snapshots[S, E]) offer(stream string, now Folded[S]) Folded[S] {
	if s.store == nil {
		return now
	}
	since, at := now.Version-now.saved, s.clock()
	if since < s.every && (since < max(s.every/4, 1) || now.savedAt == 0 || at.Sub(time.Unix(now.savedAt, 0)) < s.age) {
		return now
	}
	select {
	case s.due <- due[S]{stream, now}:
		now.saved, now.savedAt = now.Version, at.Unix()
	default:
	}
	return now
}

func (s *snapshots[S, E]) save(ctx context.Context, d due[S]) error {
	content, err := s.domain.Snapshot(d.state.State)
	if err != nil {
		return err
	}
	snap := eventstore.Snapshot{Stream: d.stream, Version: d.state.Version, Fold: s.domain.FoldVersion}
	snap.Data = seal(snap, d.state.last, content)
	return s.store.SaveSnapshot(ctx, snap)
}

// load returns the state of the newest snapshot. Whatever prevents that is logged, and the stream
// is then read from its beginning.
func (s *snapshots[S, E]) load(ctx context.Context, stream string) (Folded[S], bool) {
	if s.store == nil {
		return Folded[S]{}, false
	}
	snap, ok, err := s.store.LoadSnapshot(ctx, stream, s.domain.FoldVersion)
	if err != nil || !ok {
		if err != nil {
			s.ignored(stream, err)
		}
		return Folded[S]{}, false
	}
	f, err := s.open(stream, snap)
	if err != nil {
		s.ignored(stream, err)
		return Folded[S]{}, false
	}
	return f, true
}

func (s *snapshots[S, E]) open(stream string, snap eventstore.Snapshot) (Folded[S], error) {
	if snap.Stream != stream || snap.Fold != s.domain.FoldVersion || snap.Version < 1 {
		return Folded[S]{}, fmt.Errorf("it is of stream %s, fold %d, version %d", snap.Stream, snap.Fold, snap.Version)
	}
	last, content, err := unseal(snap)
	if err != nil {
		return Folded[S]{}, err
	}
	state, err := s.domain.Restore(content)
	if err != nil {
		return Folded[S]{}, err
	}
	return Folded[S]{State: state, Version: snap.Version, last: last, shown: true, saved: snap.Version, savedAt: s.clock().Unix()}, nil
}

func (s *snapshots[S, E]) ignored(stream string, err error) {
	s.log.Debug("a snapshot is not used", slog.String("stream", stream), slog.Any("error", err))
}

// sumBytes is the length of a snapshot's checksum.
const sumBytes = 16

// seal returns the stored form of a snapshot: a checksum, the id of the event at its version, and
// the state.
func seal(snap eventstore.Snapshot, last string, content []byte) []byte {
	body := binary.AppendUvarint(nil, uint64(len(last)))
	body = append(append(body, last...), content...)
	return append(sum(snap, body), body...)
}

func unseal(snap eventstore.Snapshot) (last string, content []byte, err error) {
	if len(snap.Data) < sumBytes {
		return "", nil, errors.New("it is too short")
	}
	body := snap.Data[sumBytes:]
	if string(sum(snap, body)) != string(snap.Data[:sumBytes]) {
		return "", nil, errors.New("it is damaged, or of another stream or version: its checksum differs")
	}
	n, used := binary.Uvarint(body)
	if used <= 0 || uint64(len(body)-used) < n {
		return "", nil, errors.New("it has no event id")
	}
	return string(body[used : used+int(n)]), body[used+int(n):], nil
}

func sum(snap eventstore.Snapshot, body []byte) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s %d %d:", len(snap.Stream), snap.Stream, snap.Version, snap.Fold)
	h.Write(body) // never fails
	return h.Sum(nil)[:sumBytes]
}
