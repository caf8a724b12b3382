package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/resilience"
)

const (
	// drainTimeout limits the time for one entry of the outbox.
	drainTimeout = 3 * time.Second
	// drainers is how many members' entries are carried over at once. Appends of different
	// members share a commit on SQLite, so that more of them at once are faster. The guard's
	// classes keep them from taking the place of requests.
	drainers = 32
	// enough failures in a row, without one success, end a round: the store is down.
	enough = 64
)

// Run drains the outbox into the store, and saves snapshots, until the context ends.
func (s *Service) Run(ctx context.Context) error {
	var snapshots sync.WaitGroup
	defer snapshots.Wait()
	snapshots.Go(func() { _ = s.members.Run(ctx) }) // It ends with the context.
	if s.outbox == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	ticker := time.NewTicker(s.every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			// An entry that is not stored is logged and shown by Outbox.
			_ = s.drain(ctx, false)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Drain stores the entries of the outbox: those of one member in order, different members at
// the same time. An entry that can't be stored is parked, and holds up no other member. The
// error says why entries are left, except for those that the rules refuse.
func (s *Service) Drain(ctx context.Context) error { return s.drain(ctx, true) }

func (s *Service) drain(ctx context.Context, all bool) error {
	if s.outbox == nil {
		return nil
	}
	// Nobody waits for an entry, so requests go first.
	ctx = resilience.WithCriticality(ctx, resilience.SheddablePlus)
	var group errgroup.Group
	group.SetLimit(drainers)
	var inARow atomic.Int32
	var mu sync.Mutex
	var first error
	left := 0
	for _, member := range s.outbox.due(all) {
		if ctx.Err() != nil || inARow.Load() >= enough {
			break
		}
		group.Go(func() error {
			switch err := s.carryOver(ctx, member, all); {
			case err == nil:
				inARow.Store(0)
			default:
				if storeFailed(err) {
					inARow.Add(1)
				}
				mu.Lock()
				defer mu.Unlock()
				left++
				if first == nil {
					first = err
				}
			}
			return nil
		})
	}
	_ = group.Wait() // No function returns an error.
	if first != nil {
		return fmt.Errorf("app: entries of %d members are left, the first because: %w", left, first)
	}
	return ctx.Err()
}

// settle stores the entries of one member, so that the member's next command is decided on
// them. An entry that fails for a reason that only concerns itself does not hold the command
// up.
func (s *Service) settle(ctx context.Context, member string) error {
	if err := s.carryOver(ctx, member, true); storeFailed(err) {
		return err
	}
	return nil
}

// carryOver tries a member's entries in order. Entries after one that can't be stored wait,
// because they may depend on it.
func (s *Service) carryOver(ctx context.Context, member string, all bool) error {
	for _, w := range s.outbox.of(member) {
		switch {
		case w.unreadable != nil:
			continue // A newer program wrote it, and will be able to read it: it stays, in sight.
		case !s.outbox.mayTry(w, all):
			return nil
		}
		if err := s.keep(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// keep stores one entry. It may run twice at the same time: one of the two is then stored, and
// the other finds it there.
func (s *Service) keep(ctx context.Context, w *waiting) error {
	k := w.kept
	work, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	c := &command{identity: k.identity, license: k.Object, meta: k.Meta, at: s.now()}
	if k.Promise != nil {
		c.identity, c.license, c.on = k.promised(), k.Promise.License, slices.Clone(k.Promise.Basis)
	}
	work, span := s.startCarryOver(work, c, w.request)
	answer, err := s.run(work, c, func(license.State) (license.Command, error) { return k.command(c.at), nil }, nil)
	endCarryOver(span, err)
	var refused *Refused
	switch {
	case errors.As(err, &refused):
		// The entry is tried again: what it depends on may arrive through another instance,
		// and a wrong clock may be corrected.
		if s.outbox.park(w, err, refused.Refusal, true) {
			s.record(c, answer, err, true)
			s.log.Warn("what was accepted is refused by the rules, and kept until somebody saw it", logged(w, err)...)
		}
		return nil
	case ctx.Err() != nil: // The program ends, or the request did.
		return err
	case err != nil:
		if s.outbox.park(w, err, nil, lasting(err)) {
			s.log.Warn("the event store does not take what was accepted, which is tried again", logged(w, err)...)
		}
		return err
	}
	s.record(c, answer, nil, true)
	if k.Promise != nil && answer.License.Reason != "" {
		s.log.Warn("a promise was ended", slog.String("member", k.Member), slog.String("license", c.license), slog.String("reason", answer.License.Reason))
	}
	return s.outbox.done(ctx, w.id)
}

// lasting reports whether an error will remain when the store works again.
func lasting(err error) bool {
	return errors.Is(err, eventstore.ErrCorrupt) || errors.Is(err, eventstore.ErrInvalid) || !storeFailed(err) && !errors.Is(err, resilience.ErrRefused)
}

func logged(w *waiting, err error) []any {
	return []any{slog.String("member", w.kept.Member), slog.String("command", w.kept.Name), slog.Time("since", w.put), slog.Any("error", err)}
}
