package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/backstay-go/backstay/licensesvc/app/journal"
	"github.com/backstay-go/backstay/licensesvc/app/token"
	"github.com/backstay-go/backstay/licensesvc/codec"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/repository"
	"github.com/backstay-go/backstay/resilience"
)

// ErrToken: the token was not signed by this service, or belongs to another member.
var ErrToken = errors.New("app: token")

// put makes a command durable in the journal.
func (s *Service) put(ctx context.Context, c *command, k kept) error {
	k.identity, k.Meta = c.identity, c.meta
	b, err := s.kept.encode(k)
	if err != nil {
		return err
	}
	if err := s.outbox.put(ctx, journal.Entry{ID: k.id(), Put: c.at, Data: b}); err != nil {
		u := c.unavailable(EventStore, "neither the event store nor the journal could take it; try again with the same Idempotency-Key", err)
		// A journal that answers too late may have stored the entry nevertheless.
		u.Unknown = !errors.Is(err, journal.ErrFull) && !errors.Is(err, journal.ErrClosed)
		return u
	}
	stored := c.identity
	if k.Promise != nil {
		stored = k.promised()
	}
	trace.SpanFromContext(ctx).SetAttributes(CommitKey.String(stored.commit(0)))
	return nil
}

// promise grants a license provisionally, for a short time, because the store can't be used.
func (s *Service) promise(ctx context.Context, c *command, want license.Request, cause error, fetch func(license.Decision) error) (Answer, error) {
	if s.outbox == nil || s.Rules().ProvisionalAt(c.at) == 0 || errors.Is(cause, eventstore.ErrFull) || errors.Is(cause, repository.ErrBusy) {
		return Answer{}, c.storeUnavailable(cause)
	}
	if k, ok := s.outbox.get(c.license); ok && k.Promise != nil { // It was promised before.
		if k.Promise.Device != want.Device || k.Promise.Title.ID != want.Title.ID {
			return Answer{}, c.keyTaken("this Idempotency-Key was used for another device or title", 0)
		}
		c.on = slices.Clone(k.Promise.Basis)
		return s.promised(c, *k.Promise, Answer{Repeated: true})
	}
	now, ok := s.members.Remembered(Stream(c.Member))
	if ok {
		c.decidedOn(EventStore, resilience.Stale, c.at.Sub(now.At))
	} else {
		c.decidedOn(EventStore, resilience.Static, 0)
	}
	now.State = s.withPending(now.State, c.Member, c.at)
	d, refusal, err := s.decide(c, now, s.recounted(func(license.State) (license.Command, error) { return want, nil }))
	switch {
	case err != nil:
		return Answer{}, err
	case refusal != nil:
		return Answer{}, &Refused{Refusal: refusal, DecidedOn: c.on, Version: now.Version}
	case len(d.Events) == 0: // The remembered state already contains the license.
		return Answer{Outcome: Done, License: d.License, Status: d.License.StatusAt(c.at), Version: now.Version, DecidedOn: c.on, Repeated: true}, nil
	}
	if err := fetch(d); err != nil {
		return Answer{}, err
	}
	want.Basis = slices.Clone(c.on)
	p := license.Promise{Request: want, Until: c.at.Add(min(s.Rules().ProvisionalAt(c.at), want.Title.Terms.License))}
	if err := s.put(ctx, c, kept{Promise: &p}); err != nil {
		return Answer{}, err
	}
	return s.promised(c, p, Answer{Warnings: d.Warnings})
}

// promised makes the answer of a promise that is in the journal.
func (s *Service) promised(c *command, p license.Promise, a Answer) (Answer, error) {
	b, err := s.kept.encode(kept{identity: c.identity, Meta: c.meta, Promise: &p})
	if err != nil {
		return Answer{}, err
	}
	a.Token, err = s.signer.Sign(token.Claims{
		Member: c.Member, License: p.License, Device: p.Device, Title: p.Title.ID, Issued: p.At, Expires: p.Until, Promise: b,
	})
	if err != nil {
		return Answer{}, err
	}
	a.Outcome, a.DecidedOn = Promised, c.on
	a.License = license.License{
		ID: p.License, Device: p.Device, Title: p.Title.ID, Studio: p.Title.Studio, Plan: p.Member.Plan,
		Granted: p.At, Since: p.At, Expires: p.Until, Playback: p.Title.Terms.Playback, Provisional: true,
	}
	a.Status = a.License.StatusAt(c.at)
	return a, nil
}

// withPending folds the outbox entries of a member into a state.
func (s *Service) withPending(state license.State, member string, now time.Time) license.State {
	for _, w := range s.outbox.of(member) {
		if w.unreadable != nil {
			continue
		}
		// A command that does not fit is skipped here; the drain reports it.
		d, err := license.Decide(state.Known(), w.kept.command(now), s.Rules())
		if err != nil {
			continue
		}
		events := d.Events
		if w.kept.Promise != nil && len(events) > 0 {
			events = events[:1] // Only the store can decide whether the promise is confirmed or ended.
		}
		if next, err := license.Fold(state, events...); err == nil {
			state = next
		}
	}
	return state
}

// Redeem accepts a token that a device presents, even if it is late, and even if the journal
// with the promise was lost.
func (s *Service) Redeem(ctx context.Context, member, signed string, meta Meta) (answer Answer, err error) {
	if err := checkID("member", member); err != nil {
		return Answer{}, err
	}
	if s.signer == nil {
		return Answer{}, fmt.Errorf("%w: this service promises nothing", ErrToken)
	}
	claims, err := s.signer.Verify(signed)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	k, err := s.kept.decode(claims.Promise)
	switch {
	case errors.Is(err, codec.ErrNewer):
		return Answer{}, &Unavailable{Dependency: Self, Detail: "a newer version of this service signed the token, and this one can't read it; keep the token and try again, another instance may read it", Retry: newerRetry, Cause: err}
	case err != nil:
		return Answer{}, fmt.Errorf("%w: %w", ErrToken, err)
	case k.Member != member || k.Promise == nil:
		return Answer{}, fmt.Errorf("%w: it belongs to another member", ErrToken)
	}
	c := &command{identity: k.promised(), license: k.Promise.License, meta: meta, at: s.now(), on: slices.Clone(k.Promise.Basis)}
	defer func() { s.record(c, answer, err, true) }()
	answer, err = s.run(ctx, c, func(license.State) (license.Command, error) { return k.command(c.at), nil }, nil)
	if storeFailed(err) {
		return Answer{}, c.storeUnavailable(err)
	}
	return answer, err
}
