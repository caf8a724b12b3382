package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/backstay-go/backstay/internal/lru"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
)

const (
	// maxStory is the highest number of events in a story.
	maxStory = 1000
	// storyBytes bounds the memory of the remembered stories.
	storyBytes = 4 << 20
)

// Explained is one event of a license's story.
type Explained struct {
	// Version is the version of the stored event. Index counts the events that it was split into,
	// from 0.
	Version            int64
	Index              int
	Event              license.Event
	Occurred, Recorded time.Time
	Commit, Cause      string
	Trace, Actor       string
}

// Story lists what happened to a license.
type Story struct {
	License license.License
	Status  license.Status
	Version int64
	// Events are the newest events, at most 1000, the oldest first. Earlier is the number of
	// events before them.
	Events    []Explained
	Earlier   int
	DecidedOn []license.Basis
	// Waiting is true if the journal holds something about the license that is not yet in the
	// store.
	Waiting bool
}

// Explain returns the story of a license: each event, the rules and the data on which it was
// decided, and its trace.
func (s *Service) Explain(ctx context.Context, member, id string) (Story, error) {
	if err := errors.Join(checkID("member", member), checkID("license", id)); err != nil {
		return Story{}, err
	}
	c := &command{identity: identity{Member: member, Name: "explain"}, license: id, at: s.now()}
	now, err := s.members.View(ctx, Stream(member))
	var told told
	if err == nil {
		told, err = s.told(ctx, member, id, now.Version)
	}
	switch {
	case storeFailed(err):
		return Story{}, c.storeUnavailable(err)
	case err != nil:
		return Story{}, err
	}
	c.shownBy(now.Source)
	state := s.withPending(now.State, member, c.at)
	l, ok := state.License(id)
	if !ok {
		return Story{}, c.missing(state)
	}
	return Story{License: l, Status: l.StatusAt(c.at), Version: told.version, Events: told.events, Earlier: told.earlier,
		DecidedOn: c.on, Waiting: s.waiting(member, id)}, nil
}

// told is what the stream tells about a license, up to a version. Its slice does not change.
type told struct {
	version int64
	events  []Explained
	earlier int
}

// told reads what is new about a license since the last time, at least up to a version.
func (s *Service) told(ctx context.Context, member, id string, version int64) (told, error) {
	key := member + "\x00" + id
	t, _ := s.stories.get(key)
	if t.version >= version {
		return t, nil
	}
	mention, err := json.Marshal(id)
	if err != nil {
		return told{}, err
	}
	known := s.codec.Names()
	t.events = slices.Clone(t.events)
	_, _, err = s.members.History(ctx, Stream(member), t.version, func(stored []eventstore.Event) error {
		for _, from := range stored {
			t.version = from.Version
			// Decoding the events of all other licenses would take most of the time. An event of an
			// unknown type may be about the license without naming it.
			if !bytes.Contains(from.Data, mention) && slices.Contains(known, from.Type) {
				continue
			}
			events, err := s.codec.Decode(from)
			if err != nil {
				return err
			}
			t.add(id, from, events)
		}
		return nil
	})
	if err == nil {
		s.stories.put(key, t)
	}
	return t, err
}

func (t *told) add(id string, from eventstore.Event, events []license.Event) {
	for i, e := range events {
		if _, unknown := e.(license.Unknown); e.Of() == id || unknown && e.Of() == "" {
			t.events = append(t.events, Explained{Version: from.Version, Index: i, Event: e, Occurred: from.Occurred, Recorded: from.Recorded,
				Commit: from.Commit, Cause: from.Cause, Trace: from.Trace, Actor: from.Actor})
		}
	}
	if over := len(t.events) - maxStory; over > 0 {
		t.events = slices.Delete(t.events, 0, over)
		t.earlier += over
	}
}

// stories remembers what was told about licenses. It is safe for concurrent use.
type stories struct {
	mu     sync.Mutex
	recent *lru.Cache[string, told]
}

func newStories() *stories {
	return &stories{recent: lru.New[string, told](lru.Bounds{Size: storyBytes}, nil)}
}

func (s *stories) get(key string) (told, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recent.Get(key)
}

// eventBytes estimates what an event takes in memory.
const eventBytes = 1024

func (s *stories) put(key string, t told) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent.Put(key, t, int64(256+2*len(key)+eventBytes*len(t.events)), time.Time{}, time.Time{})
}

// waiting reports whether the outbox holds something about a license.
func (s *Service) waiting(member, id string) bool {
	return slices.ContainsFunc(s.outbox.of(member), func(w *waiting) bool {
		return w.unreadable == nil && (w.kept.Object == id || w.kept.Promise != nil && w.kept.Promise.License == id)
	})
}
