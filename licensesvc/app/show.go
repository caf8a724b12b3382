package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/repository"
	"github.com/backstay-go/backstay/resilience"
)

// View is what is known about a member's licenses.
type View struct {
	Licenses []license.License
	// Version is the newest version of the member's stream that is known.
	Version   int64
	DecidedOn []license.Basis
	// Partial is true if the store could not be read and nothing from it is remembered. The view
	// then contains only the licenses that were promised meanwhile, and there may be others.
	Partial bool
	// Newer lists the types of the events about the member that this program does not know. There
	// may be licenses because of them that are not listed.
	Newer []string
}

// Licenses returns a member's licenses, oldest first. If the store fails, it returns the
// remembered licenses and marks them as such. Do not base a decision on them.
func (s *Service) Licenses(ctx context.Context, member string) (View, error) {
	if err := checkID("member", member); err != nil {
		return View{}, err
	}
	c := &command{identity: identity{Member: member, Name: "show"}, at: s.now()}
	now, err := s.view(ctx, c)
	if err != nil {
		return View{}, err
	}
	return View{Licenses: now.State.Licenses(), Version: now.Version, DecidedOn: c.on, Partial: now.unread != nil, Newer: now.State.Newer()}, nil
}

// Show returns one license.
func (s *Service) Show(ctx context.Context, member, id string) (Answer, error) {
	if err := errors.Join(checkID("member", member), checkID("license", id)); err != nil {
		return Answer{}, err
	}
	c := &command{identity: identity{Member: member, Name: "show"}, license: id, at: s.now()}
	now, err := s.view(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	l, ok := now.State.License(id)
	switch {
	case !ok && now.unread != nil: // The license may exist in the store.
		return Answer{}, c.storeUnavailable(now.unread)
	case !ok:
		return Answer{}, c.missing(now.State)
	}
	return Answer{Outcome: Done, License: l, Status: l.StatusAt(c.at), Version: now.Version, DecidedOn: c.on}, nil
}

// missing returns the error about a license that is not in the state. An event that this program
// does not know may have granted it.
func (c *command) missing(state license.State) error {
	if newer := state.Newer(); len(newer) > 0 {
		return &Unavailable{Dependency: Self, Retry: newerRetry, DecidedOn: c.on, Cause: ErrNotFound,
			Detail: "a newer version of this service recorded " + strings.Join(newer, ", ") + ", which this one can't read; try again, another instance may know the license"}
	}
	return ErrNotFound
}

func (s *Service) view(ctx context.Context, c *command) (folded, error) {
	now, err := s.members.View(ctx, Stream(c.Member))
	switch {
	case err == nil:
		c.shownBy(now.Source)
	case !storeFailed(err):
		return folded{}, err
	default:
		var ok bool
		if now, ok = s.members.Remembered(Stream(c.Member)); ok {
			c.decidedOn(EventStore, resilience.Stale, c.at.Sub(now.At))
			break
		}
		if len(s.outbox.of(c.Member)) == 0 {
			return folded{}, c.storeUnavailable(err)
		}
		c.decidedOn(EventStore, resilience.Static, 0)
		return folded{Folded: repository.Folded[license.State]{State: s.withPending(now.State, c.Member, c.at)}, unread: err}, nil
	}
	now.State = s.withPending(now.State, c.Member, c.at)
	return folded{Folded: now}, nil
}

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

// Story lists everything that happened to a license.
type Story struct {
	License   license.License
	Status    license.Status
	Version   int64
	Events    []Explained
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
	var story Story
	var state license.State
	version, source, err := s.members.History(ctx, Stream(member), 0, func(stored []eventstore.Event) error {
		var page []license.Event
		for _, from := range stored {
			events, err := s.codec.Decode(from)
			if err != nil {
				return err
			}
			page = append(page, events...)
			for i, e := range events {
				if _, unknown := e.(license.Unknown); e.Of() == id || unknown && e.Of() == "" {
					story.Events = append(story.Events, Explained{Version: from.Version, Index: i, Event: e, Occurred: from.Occurred, Recorded: from.Recorded,
						Commit: from.Commit, Cause: from.Cause, Trace: from.Trace, Actor: from.Actor})
				}
			}
		}
		var err error
		state, err = license.Fold(state, page...)
		return err
	})
	if storeFailed(err) {
		return Story{}, c.storeUnavailable(err)
	}
	if err != nil {
		return Story{}, err
	}
	c.shownBy(source)
	story.Waiting = s.waiting(member, id)
	state = s.withPending(state, member, c.at)
	l, ok := state.License(id)
	if !ok {
		return Story{}, c.missing(state)
	}
	story.License, story.Status, story.Version, story.DecidedOn = l, l.StatusAt(c.at), version, c.on
	return story, nil
}

// waiting reports whether the outbox holds something about a license.
func (s *Service) waiting(member, id string) bool {
	return slices.ContainsFunc(s.outbox.of(member), func(w *waiting) bool {
		return w.unreadable == nil && (w.kept.Object == id || w.kept.Promise != nil && w.kept.Promise.License == id)
	})
}
