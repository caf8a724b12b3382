package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/repository"
	"github.com/backstay-go/backstay/resilience"
)

// decideFunc returns the command to decide on, given the state.
type decideFunc func(state license.State) (license.Command, error)

// folded is a member's state at a version.
type folded struct {
	repository.Folded[license.State]
	// unread is the reason why the store could not be read. The state then contains only the
	// entries of the outbox.
	unread error
}

// run decides a command and appends its events. If before is not nil, it is called when a
// decision has events, before they are appended: it gets what the answer needs.
func (s *Service) run(ctx context.Context, c *command, decide decideFunc, before func(license.Decision) error) (Answer, error) {
	var d license.Decision
	var refusal *license.Refusal
	var condition *eventstore.Condition
	done, err := s.members.Do(ctx, Stream(c.Member), repository.Command[license.State, license.Event]{
		Decide: func(ctx context.Context, now repository.Folded[license.State]) ([]license.Event, license.State, error) {
			var err error
			d, refusal, err = s.decide(c, now, s.counting(ctx, c, decide, &condition))
			return d.Events, d.Next, err
		},
		Commit: func(_ context.Context, fenced int, events []license.Event) (eventstore.Commit, error) {
			if before != nil {
				if err := before(d); err != nil {
					return eventstore.Commit{}, err
				}
				before = nil
			}
			stored, err := s.encode(c, events)
			s.tag(stored, d.License.Studio)
			return eventstore.Commit{ID: c.commit(fenced), Content: c.fingerprint(), Events: stored, Condition: condition}, err
		},
	})
	switch {
	case errors.Is(err, eventstore.ErrMismatch):
		return Answer{}, c.keyTaken("this Idempotency-Key was used for the same command with another content", done.Version)
	case err != nil:
		return Answer{}, err
	}
	c.decidedOn(EventStore, resilience.Live, 0)
	if refusal != nil {
		return Answer{}, &Refused{Refusal: refusal, DecidedOn: c.on, Version: done.Version}
	}
	return s.answer(c, done.Folded, d.License.ID, Answer{Outcome: Done, Warnings: d.Warnings, Repeated: done.Repeated || !done.Applied})
}

// prepare does what a command needs of other services before the command waits for its turn, so
// that nobody waits for it: the decision asks them, and before gets what the answer needs. It is
// made on a state that may be old. Whatever it can't do is done when the command has its turn.
func (s *Service) prepare(ctx context.Context, c *command, decide decideFunc, before func(license.Decision) error) error {
	now, err := s.members.Current(ctx, Stream(c.Member))
	if err != nil {
		return err
	}
	d, refusal, err := s.decide(c, now, s.recounted(decide))
	if err != nil || refusal != nil || len(d.Events) == 0 || before == nil {
		return err
	}
	return before(d)
}

// keyTaken returns the refusal of a command whose key was used for another content.
func (c *command) keyTaken(detail string, version int64) error {
	return &Refused{Refusal: &license.Refusal{Code: license.IDTaken, Detail: detail + "; use another key for another request"}, DecidedOn: c.on, Version: version}
}

// decide is the only place where a command is decided. It notes on what, for the record of the
// decision.
func (s *Service) decide(c *command, now repository.Folded[license.State], next decideFunc) (license.Decision, *license.Refusal, error) {
	cmd, err := next(now.State)
	if err == nil {
		c.input, c.version = cmd, now.Version
		var d license.Decision
		if d, err = license.Decide(now.State, cmd, s.Rules()); err == nil {
			return d, nil, nil
		}
	}
	var refusal *license.Refusal
	switch {
	case !errors.As(err, &refusal):
		return license.Decision{}, nil, err
	case refusal.Code == license.NewerEvents: // The rules do not refuse; this program can't decide.
		return license.Decision{}, nil, &Unavailable{Dependency: Self, Detail: refusal.Detail, Retry: newerRetry, Cause: refusal}
	}
	return license.Decision{}, refusal, nil
}

// newerRetry is when a command may be sent again that needs a newer program.
const newerRetry = 10 * time.Second

func (s *Service) answer(c *command, now repository.Folded[license.State], id string, a Answer) (Answer, error) {
	l, ok := now.State.License(id)
	if !ok {
		return Answer{}, fmt.Errorf("app: license %s is not in the state that it was decided into (version %d)", id, now.Version)
	}
	a.License, a.Status, a.Version, a.DecidedOn = l, l.StatusAt(c.at), now.Version, c.on
	return a, nil
}

// storeFailed reports whether an error means that the store could not be used, rather than
// that its content is wrong.
func storeFailed(err error) bool {
	if err == nil || errors.Is(err, eventstore.ErrCorrupt) || errors.Is(err, eventstore.ErrInvalid) || errors.Is(err, eventstore.ErrUnsupported) {
		return false
	}
	var refused *Refused
	var unavailable *Unavailable
	return !errors.As(err, &refused) && !errors.As(err, &unavailable)
}

// storeUnavailable returns the error of a command that could not be carried out because of the
// store.
func (c *command) storeUnavailable(err error) *Unavailable {
	u := c.unavailable(EventStore, "the event store could not be used; try again", err)
	switch {
	case errors.Is(err, repository.ErrUndecided):
		u.Unknown = true
		u.Detail = "it is not known whether the event store took it; try again with the same Idempotency-Key, which finds out"
	case errors.Is(err, eventstore.ErrFull):
		u.Detail = "the event store's disk is full; it needs space"
	case errors.Is(err, repository.ErrBusy):
		u.Detail = "other commands of this member came first, again and again; try again"
	}
	return u
}

// encode encodes the events of a commit.
func (s *Service) encode(c *command, events []license.Event) ([]eventstore.Event, error) {
	stored := make([]eventstore.Event, len(events))
	for i, e := range events {
		var err error
		if stored[i], err = s.codec.Encode(e); err != nil {
			return nil, fmt.Errorf("app: %w", err)
		}
		stored[i].Recorded, stored[i].Cause, stored[i].Correlation = c.at, c.Name, c.Key
		stored[i].Trace, stored[i].Actor = c.meta.Trace, c.meta.Actor
	}
	return stored, nil
}
