package readmodel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// sorted returns the parked streams, the longest waiting first.
func sorted(parked map[string]Parked) []Parked {
	return slices.SortedFunc(maps.Values(parked), func(a, b Parked) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Stream, b.Stream))
	})
}

// retryParked tries again the parked streams that match. The events come from the store, so that
// none of those that wait is missing.
func (b *build) retryParked(ctx context.Context, a *applier, match func(Parked) bool) error {
	var errs []error
	for _, p := range sorted(a.parked) {
		if !match(p) {
			continue
		}
		err := b.retry(ctx, a, p)
		if over(err) || ctx.Err() != nil {
			return err
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("retry %s: %w", p.Stream, err))
			continue
		}
		b.committed(a)
		if now, ok := a.parked[p.Stream]; ok {
			b.log.Warn("a stream still waits", "stream", now.Stream, "version", now.Version, "cause", now.Cause, "tries", now.Tries)
			continue
		}
		b.log.Info("a stream goes on", "stream", p.Stream, "was", p.want)
	}
	return errors.Join(errs...)
}

// retry applies a parked stream from the store, after the event at which it waits has been skipped
// if an operator asked for that.
func (b *build) retry(ctx context.Context, a *applier, p Parked) error {
	skip := p.want == "skip"
	for {
		a.versions = map[string]int64{}
		known, err := a.version(p.Stream)
		if err != nil {
			return err
		}
		if skip {
			known = p.Version
		}
		got, err := b.feed.store.Load(ctx, eventstore.Query{Stream: p.Stream, After: known, Limit: pageEvents})
		if err != nil {
			return err
		}
		if got.Version < known && !skip { // The stream is shorter than what was applied.
			return fmt.Errorf("%w: stream %s is at version %d, and %d were applied", errOutdated, p.Stream, got.Version, known)
		}
		err = a.checkpoint(func() error { return a.resume(p, b.feed.decode(got.Events), skip, got.More) }, nil)
		if err != nil {
			return err
		}
		now, waits := a.parked[p.Stream]
		if !waits || now.Tries != p.Tries {
			return nil
		}
		p, skip = now, false
	}
}

// resume applies the next events of a parked stream within a transaction. If there are more, the
// stream stays parked, at the first of them.
func (a *applier) resume(p Parked, items []item, skip, more bool) error {
	a.parking[p.Stream] = Parked{Stream: p.Stream}
	if skip {
		if _, err := a.view.Exec("INSERT OR REPLACE INTO rm_skipped VALUES (?, ?, ?, ?)", p.Stream, p.Version, p.Reason, a.now()); err != nil {
			return err
		}
		a.versions[p.Stream], a.changed[p.Stream] = p.Version, true
	}
	for i := range items {
		if err := a.take(&items[i], true); err != nil {
			return err
		}
	}
	now := a.parking[p.Stream]
	switch {
	case now.Version == p.Version:
		now.Since, now.Tries, now.did = p.Since, p.Tries+1, p.want
		a.parking[p.Stream] = now
	case now.Version > 0:
		now.Tries, now.did = p.Tries+1, p.want
		a.parking[p.Stream] = now
	case more && len(items) > 0:
		next := p
		next.Version = items[len(items)-1].Version + 1
		next.Waiting = max(1, p.Version+p.Waiting-next.Version)
		a.parking[p.Stream] = next
	}
	return nil
}
