package app

import (
	"context"
	"errors"
	"strings"

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
