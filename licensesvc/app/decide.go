package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/resilience"
)

// maxAttempts limits how often a command is decided again because another one was stored
// first.
const maxAttempts = 8

// decideFunc returns the command to decide on, given the state.
type decideFunc func(state license.State) (license.Command, error)

// run decides a command and appends its events. If before is not nil, it is called when a
// decision has events, before they are appended: it gets what the answer needs.
func (s *Service) run(ctx context.Context, c *command, decide decideFunc, before func(license.Decision) error) (Answer, error) {
	w := &work{service: s, command: c, decide: decide, before: before}
	if err := w.begin(ctx); err != nil {
		return Answer{}, err
	}
	for n := range maxAttempts {
		d, err := w.decision(ctx)
		switch {
		case err != nil:
			return Answer{}, err
		case len(d.Events) == 0:
			return s.repeated(c, w.now, d)
		}
		done, err := w.append(ctx, n, d)
		switch {
		case done.Outcome == eventstore.Applied:
			return s.applied(ctx, c, w.now, d, done)
		case done.Outcome == eventstore.Conflict:
			err = w.follow(ctx, done)
		case done.Outcome == eventstore.Rejected && err == nil:
			// The commit was fenced while its outcome was unknown, so the command is decided
			// again, under another id.
			err = w.reload(ctx)
		case errors.Is(err, eventstore.ErrMismatch):
			return Answer{}, c.keyTaken("this Idempotency-Key was used for the same command with another content", w.now.version)
		default:
			return Answer{}, err
		}
		if err != nil {
			return Answer{}, err
		}
	}
	if w.lost == 0 {
		return Answer{}, errClosed
	}
	return Answer{}, fmt.Errorf("%w: decided %d times, and each time another command of the member came first", errBusy, maxAttempts)
}

// keyTaken returns the refusal of a command whose key was used for another content.
func (c *command) keyTaken(detail string, version int64) error {
	return &Refused{Refusal: &license.Refusal{Code: license.IDTaken, Detail: detail + "; use another key for another request"}, DecidedOn: c.on, Version: version}
}

// work is a command that is being decided, several times if necessary.
type work struct {
	service *Service
	command *command
	decide  decideFunc
	before  func(license.Decision) error // nil once it ran
	// now is the state on which the command is decided. fresh says that it was read from the
	// store, or learnt from an append, for this command.
	now   folded
	fresh bool
	// lost counts how often another command was stored first.
	lost int
}

// begin uses the remembered state, if there is one. That is safe because a successful append
// proves that the state was the newest.
func (w *work) begin(ctx context.Context) error {
	var remembered bool
	if w.now, remembered = w.service.states.get(Stream(w.command.Member)); remembered {
		return nil
	}
	return w.reload(ctx)
}

// reload reads the new events of the stream.
func (w *work) reload(ctx context.Context) (err error) {
	w.now, err = w.service.load(ctx, w.command.Member)
	w.fresh = true
	return err
}

// decision decides on the state. A refusal, and a decision without events, has no append that
// proves that the state was the newest. They are therefore decided on a fresh state.
func (w *work) decision(ctx context.Context) (license.Decision, error) {
	for {
		d, refusal, err := w.service.decide(w.now.state, w.decide)
		switch {
		case err != nil, refusal == nil && len(d.Events) > 0:
			return d, err
		case w.fresh && refusal != nil:
			w.command.decidedOn(EventStore, resilience.Live, 0)
			return d, &Refused{Refusal: refusal, DecidedOn: w.command.on, Version: w.now.version}
		case w.fresh:
			return d, nil
		}
		if err := w.reload(ctx); err != nil {
			return d, err
		}
	}
}

// append appends the events of the nth decision. The outcome Rejected without an error means
// that the id of the commit can't be used any more.
func (w *work) append(ctx context.Context, n int, d license.Decision) (eventstore.Appended, error) {
	if w.before != nil {
		if err := w.before(d); err != nil {
			return eventstore.Appended{}, err
		}
		w.before = nil
	}
	stored, err := w.service.encode(w.command, d.Events)
	if err != nil {
		return eventstore.Appended{}, err
	}
	return w.service.commit(ctx, eventstore.Commit{
		ID: w.command.commit(n), Content: w.command.fingerprint(), Stream: Stream(w.command.Member), Expected: w.now.version, Events: stored})
}

// follow folds the events that were stored first. There may be more of them than one answer
// holds.
func (w *work) follow(ctx context.Context, done eventstore.Appended) (err error) {
	w.lost++
	w.fresh = true
	if w.now, err = w.service.fold(w.command.Member, w.now, done.Events); err != nil || w.now.version == done.Version {
		return err
	}
	return w.reload(ctx)
}

// errClosed: no commit was stored, although no other command was stored first.
var errClosed = errors.New("app: the event store did not take the commit, again and again, and closed it")

// errBusy: the member's stream changes faster than a command can be decided.
var errBusy = errors.New("app: the member's stream is busy")

func (s *Service) decide(state license.State, next decideFunc) (license.Decision, *license.Refusal, error) {
	cmd, err := next(state)
	if err == nil {
		var d license.Decision
		if d, err = license.Decide(state, cmd, s.rules); err == nil {
			return d, nil, nil
		}
	}
	var refusal *license.Refusal
	switch {
	case !errors.As(err, &refusal):
		return license.Decision{}, nil, err
	case refusal.Code == license.NewerEvents: // The rules do not refuse; this program can't decide.
		return license.Decision{}, nil, &Unavailable{Dependency: EventStore, Detail: refusal.Detail, Retry: newerRetry, Cause: refusal}
	}
	return license.Decision{}, refusal, nil
}

// newerRetry is when a command may be sent again that needs a newer program.
const newerRetry = 10 * time.Second

// applied makes the answer of an append that is in the store.
func (s *Service) applied(ctx context.Context, c *command, before folded, d license.Decision, done eventstore.Appended) (Answer, error) {
	after := before
	var err error
	// A commit that had been stored before may be at another version.
	if done.Repeated || done.Version != before.version+int64(len(d.Events)) {
		after, err = s.load(ctx, c.Member)
	} else {
		after, err = s.fold(c.Member, before, done.Events)
	}
	if err != nil {
		return Answer{}, err
	}
	c.decidedOn(EventStore, resilience.Live, 0)
	return s.answer(c, after, d.License.ID, Answer{Outcome: Done, Warnings: d.Warnings, Repeated: done.Repeated})
}

// repeated makes the answer of a command that was carried out before.
func (s *Service) repeated(c *command, now folded, d license.Decision) (Answer, error) {
	c.decidedOn(EventStore, resilience.Live, 0)
	return s.answer(c, now, d.License.ID, Answer{Outcome: Done, Repeated: true})
}

func (s *Service) answer(c *command, now folded, id string, a Answer) (Answer, error) {
	l, ok := now.state.License(id)
	if !ok {
		return Answer{}, fmt.Errorf("app: license %s is not in the state that it was decided into (version %d)", id, now.version)
	}
	a.License, a.Status, a.Version, a.DecidedOn = l, l.StatusAt(c.at), now.version, c.on
	return a, nil
}

// load reads the new events of a member's stream and folds them into the state.
func (s *Service) load(ctx context.Context, member string) (folded, error) {
	now, _ := s.states.get(Stream(member))
	now, _, err := s.readOn(ctx, member, now, eventstore.ForDecision)
	return now, err
}

// readOn also returns the source of what it read.
func (s *Service) readOn(ctx context.Context, member string, now folded, c eventstore.Consistency) (_ folded, source string, err error) {
	at := time.Now()
	version, source, err := s.read(ctx, eventstore.Query{Stream: Stream(member), After: now.version, Consistency: c}, func(tail []eventstore.Event) error {
		var err error
		now, err = s.foldOn(now, tail)
		return err
	})
	if err != nil {
		return folded{}, "", err
	}
	if version < now.version {
		return folded{}, "", fmt.Errorf("%w: stream %s is at version %d, and was at %d", eventstore.ErrCorrupt, Stream(member), version, now.version)
	}
	now.at = at
	if c == eventstore.ForDecision {
		s.states.put(Stream(member), now)
	}
	return now, source, nil
}

// fold folds stored events into the state and remembers the result.
func (s *Service) fold(member string, now folded, stored []eventstore.Event) (folded, error) {
	now, err := s.foldOn(now, stored)
	if err != nil {
		return folded{}, err
	}
	now.at = time.Now()
	s.states.put(Stream(member), now)
	return now, nil
}

func (s *Service) foldOn(now folded, stored []eventstore.Event) (folded, error) {
	for len(stored) > 0 && stored[0].Version <= now.version {
		stored = stored[1:]
	}
	if len(stored) == 0 {
		return now, nil
	}
	if stored[0].Version != now.version+1 {
		return folded{}, fmt.Errorf("%w: stream %s goes on with version %d after %d", eventstore.ErrCorrupt, stored[0].Stream, stored[0].Version, now.version)
	}
	events, err := s.codec.DecodeAll(stored)
	if err != nil {
		return folded{}, err
	}
	if now.state, err = license.Fold(now.state, events...); err != nil {
		return folded{}, fmt.Errorf("%w: stream %s: %w", eventstore.ErrCorrupt, stored[0].Stream, err)
	}
	now.version = stored[len(stored)-1].Version
	return now, nil
}

// storeFailed reports whether an error means that the store could not be used, rather than
// that its content is wrong.
func storeFailed(err error) bool {
	if err == nil || errors.Is(err, eventstore.ErrCorrupt) || errors.Is(err, eventstore.ErrInvalid) {
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
	case errors.Is(err, errUndecided):
		u.Unknown = true
		u.Detail = "it is not known whether the event store took it; try again with the same Idempotency-Key, which finds out"
	case errors.Is(err, eventstore.ErrFull):
		u.Detail = "the event store's disk is full; it needs space"
	case errors.Is(err, errBusy):
		u.Detail = "other commands of this member came first, again and again; try again"
	}
	return u
}
