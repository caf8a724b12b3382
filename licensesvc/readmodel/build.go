package readmodel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// batchEvents is the number of events at which a transaction is committed.
const batchEvents = 2000

// errOutdated: the store is another one than the view was made from, or was restored.
var errOutdated = errors.New("readmodel: the event store was restored or replaced")

// build is one view of a projection, in its file. Its loop is the only goroutine that writes.
type build struct {
	p     Projection
	feed  *feed
	cfg   *Config
	log   *slog.Logger
	file  *file
	nudge chan struct{}
	// ready is closed when the build has been complete once.
	ready chan struct{}
	done  chan struct{} // closed when the loop has ended
	stop  context.CancelFunc

	mu   sync.Mutex
	is   row
	seen seen
	// share is the part of the time that the loop may work. 1: all of it.
	share   float64
	changed chan struct{} // closed at each commit
}

// seen is what others may know of a build.
type seen struct {
	// asOf is the time up to which everything that was acknowledged is in the view.
	asOf   time.Time
	events int64
	// behind is the number of events that are missing, as far as the feed knows.
	behind int64
	// moved is when the last transaction was committed, or when nothing was left to do.
	moved  time.Time
	parked []Parked
	// working is the event that is being applied, if any.
	working string
	// why is what stops the build.
	why string
	// ended is why the loop has ended.
	ended error
}

func newBuild(r row, p Projection, f *file, m *Models, share float64) *build {
	b := &build{is: r, p: p, feed: m.feed, cfg: &m.cfg, log: m.cfg.Log.With("read_model", p.Name, "build", r.ID), share: share, file: f,
		nudge: make(chan struct{}, 1), ready: make(chan struct{}), done: make(chan struct{}), changed: make(chan struct{})}
	b.seen = seen{events: f.events, behind: -1, moved: m.cfg.Clock(), parked: sorted(f.parked)}
	return b
}

// start runs the loop until end is called or it can't go on.
func (b *build) start(ctx context.Context) {
	ctx, b.stop = context.WithCancel(ctx)
	go func() {
		defer close(b.done)
		err := b.loop(ctx)
		b.note(func(s *seen) { s.ended = err })
	}()
}

// end ends the loop and closes the file. If the projection does not return, it gives up after the
// grace period: the goroutine and the file then stay behind.
func (b *build) end() error {
	if b.stop != nil {
		b.stop()
		select {
		case <-b.done:
		case <-time.After(b.cfg.Grace):
			return fmt.Errorf("readmodel: %s: the projection did not end within %s: %s", b.p.Name, b.cfg.Grace, b.look().working)
		}
	}
	return b.file.close()
}

func (b *build) note(change func(*seen)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.seen)
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *build) look() seen {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen
}

func (b *build) row() row {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.is
}

func (b *build) setShare(share float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.share = share
}

// wake makes the loop look at the feed at once.
func (b *build) wake() {
	select {
	case b.nudge <- struct{}{}:
	default:
	}
}

// loop applies the feed until its context ends, or until the build can't go on.
func (b *build) loop(ctx context.Context) error {
	a := &applier{file: b.file, handle: b.p.Handle, ctx: ctx, now: func() int64 { return eventstore.Nanos(b.cfg.Clock()) },
		working: func(stream string, version int64) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.seen.working = fmt.Sprintf("%s version %d", stream, version)
		}}
	if err := b.retryParked(ctx, a, func(p Parked) bool { return true }); err != nil && over(err) {
		return err
	}
	fresh, failures := false, 0
	for ctx.Err() == nil {
		began := b.cfg.Clock()
		complete, err := b.pass(ctx, a, fresh)
		if err == nil && len(b.file.parked) > 0 {
			if err = b.file.loadParked(ctx); err == nil {
				err = b.retryParked(ctx, a, func(p Parked) bool { return p.want != "" || p.Cause == "gap" && p.Tries < 3 })
			}
		}
		if over(err) {
			return err
		}
		b.note(func(s *seen) { b.passed(s, began, complete, err) })
		wait := b.cfg.Poll
		switch {
		case err != nil:
			failures++
			wait = min(b.cfg.Poll<<min(failures, 5), 10*time.Second)
		case !complete:
			failures, wait = 0, 0
		default:
			failures = 0
			b.becomeReady()
		}
		fresh = b.pause(ctx, wait)
	}
	return ctx.Err()
}

// passed notes the result of a pass.
func (b *build) passed(s *seen, began time.Time, complete bool, err error) {
	s.working, s.why, s.parked = "", "", sorted(b.file.parked)
	switch {
	case err != nil:
		s.why = err.Error()
	case complete:
		s.asOf, s.moved = began, began
	}
}

func (b *build) becomeReady() {
	select {
	case <-b.ready:
	default:
		close(b.ready)
	}
}

// over reports whether an error ends the loop.
func over(err error) bool {
	return errors.Is(err, errOutdated) || errors.Is(err, ErrFenced) || damaged(err) || errors.Is(err, ErrDamaged)
}

// pause waits, and returns whether somebody waits for new events.
func (b *build) pause(ctx context.Context, wait time.Duration) (woken bool) {
	if wait == 0 {
		select {
		case <-b.nudge:
			return true
		default:
			return false
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-b.nudge:
		return true
	}
	return false
}

// pass reads a page of each slice and applies it. It is complete if nothing was left in any slice.
// A slice that can't be read does not hold up the others.
func (b *build) pass(ctx context.Context, a *applier, fresh bool) (complete bool, err error) {
	complete = true
	var batch []part
	var behind int64
	events, began := 0, time.Now()
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := a.applyParts(batch); err != nil {
			return err
		}
		batch, events = batch[:0], 0
		b.committed(a)
		b.rest(ctx, time.Since(began))
		began = time.Now()
		return nil
	}
	for slice := range eventstore.Slices {
		p, rerr := b.feed.read(ctx, slice, b.file.cursors[slice], fresh)
		switch {
		case errors.Is(rerr, eventstore.ErrEpoch), errors.Is(rerr, eventstore.ErrInvalid):
			return false, fmt.Errorf("%w: slice %d: %w", errOutdated, slice, rerr)
		case rerr != nil:
			err, complete = errors.Join(err, fmt.Errorf("slice %d of the feed: %w", slice, rerr)), false
			continue
		}
		complete = complete && p.end()
		behind += max(0, p.behind)
		if p.next == b.file.cursors[slice] {
			continue
		}
		batch = append(batch, part{slice: slice, items: p.items, next: p.next})
		if events += len(p.items); events >= batchEvents {
			if ferr := flush(); ferr != nil {
				return false, ferr
			}
		}
	}
	if ferr := flush(); ferr != nil {
		return false, ferr
	}
	b.note(func(s *seen) { s.behind = behind })
	return complete, err
}

// committed notes a transaction.
func (b *build) committed(a *applier) {
	b.note(func(s *seen) {
		s.events, s.moved, s.working = b.file.events, b.cfg.Clock(), ""
		if a.applied > 0 || len(a.parking) > 0 {
			s.parked = sorted(b.file.parked)
		}
	})
}

// rest leaves the processor to others, after work of some length.
func (b *build) rest(ctx context.Context, worked time.Duration) {
	b.mu.Lock()
	share := b.share
	b.mu.Unlock()
	if share >= 1 {
		return
	}
	timer := time.NewTimer(min(time.Duration(float64(worked)*(1-share)/share), time.Second))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
