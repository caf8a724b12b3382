package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/backstay-go/backstay/licensesvc/app/journal"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// drainTimeout bounds one entry's way from the journal into the store.
const drainTimeout = 3 * time.Second

// Run drains the journal into the store until the context ends.
func (s *Service) Run(ctx context.Context) error {
	if s.journal == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	ticker := time.NewTicker(s.every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := s.Drain(ctx); err != nil && ctx.Err() == nil {
				s.log.Debug("the journal waits for the event store", slog.Int("pending", s.Pending()), slog.Any("error", err))
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Drain gives the store what the journal keeps, oldest first, and stops at the
// first entry that the store does not take.
func (s *Service) Drain(ctx context.Context) error {
	if s.journal == nil {
		return nil
	}
	for _, e := range s.journal.Pending() {
		if err := s.keep(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// settle gives the store what the journal keeps of one member, so that the
// member's next command is decided on it.
func (s *Service) settle(ctx context.Context, member string) error {
	if s.journal == nil || s.journal.Len() == 0 {
		return nil
	}
	for _, e := range s.journal.Pending() {
		if k, err := parseKept(e.Data); err != nil || k.Member != member {
			continue
		}
		if err := s.keep(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// keep carries one entry over. It bears repetition: two of them at the same time
// meet in the store, where one wins and the other finds it done.
func (s *Service) keep(ctx context.Context, e journal.Entry) error {
	k, err := parseKept(e.Data)
	if err != nil {
		// A newer program wrote it, and will be able to read it: it stays, in sight.
		s.log.Error("a journal entry can't be read and stays", slog.String("entry", e.ID), slog.Any("error", err))
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	name := k.Name
	c := &command{identity: k.identity, license: k.Object, meta: k.Meta, at: s.now()}
	if k.Promise != nil {
		c.identity, c.license, c.on = k.promised(), k.Promise.License, slices.Clone(k.Promise.Basis)
	}
	answer, err := s.run(ctx, c, func(license.State) (license.Command, error) { return k.command(c.at), nil }, nil)
	var refused *Refused
	switch {
	case errors.As(err, &refused):
		s.log.Warn("what a device reported is refused", slog.String("member", k.Member), slog.String("command", name), slog.String("code", string(refused.Code)))
	case err != nil:
		return err
	case k.Promise != nil && answer.License.Reason != "":
		s.log.Warn("a promise was ended", slog.String("member", k.Member), slog.String("license", c.license), slog.String("reason", answer.License.Reason))
	}
	return s.journal.Done(ctx, e.ID)
}
