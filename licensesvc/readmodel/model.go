package readmodel

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// superviseEvery is the time between two looks at what operators want.
const superviseEvery = 500 * time.Millisecond

// model is one read model: its live build, and the one that will replace it. Its run is the only
// goroutine that starts, switches and ends builds.
type model struct {
	*Models
	p   Projection
	log *slog.Logger

	// mu is held for reading by each query, so that a switch waits for the queries of the old build.
	mu         sync.RWMutex
	live, next *build
	// trouble is what keeps the model from starting a build.
	trouble string
	// lost says that another process has taken the folder over.
	lost  bool
	meter meter
}

// meter measures the rate of a rebuild.
type meter struct {
	at     time.Time
	events int64
	rate   float64
}

// open finds the live build of the projection's version. Those of other versions stay, for programs
// of these versions.
func (o *model) open(ctx context.Context) error {
	rows, err := o.catalog.builds(ctx, o.p.Name)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.Version != o.p.Version || r.State == stateKept {
			continue
		}
		share := 1.0
		if r.State == stateBuilding {
			share = o.cfg.RebuildShare
		}
		b, err := o.openBuild(ctx, r, share, false)
		switch {
		case errors.Is(err, ErrDamaged), errors.Is(err, ErrNewer):
			o.log.Warn("a view can't be used, and is made again", "error", err)
			if err := o.catalog.drop(ctx, r); err != nil {
				return err
			}
		case err != nil:
			return err
		case r.State == stateLive:
			o.live = b
		default:
			o.next = b
		}
	}
	return nil
}

func (o *model) openBuild(ctx context.Context, r row, share float64, create bool) (*build, error) {
	f, err := openFile(ctx, o.catalog.path(r), o.p, o.catalog.generation, create)
	if err != nil {
		return nil, err
	}
	return newBuild(r, o.p, f, o.Models, share), nil
}

// run supervises the builds until ctx ends.
func (o *model) run(ctx context.Context) {
	if o.live != nil {
		o.live.start(ctx)
	}
	if o.next != nil {
		if o.live == nil {
			o.next.setShare(1)
		}
		o.next.start(ctx)
	}
	tick := time.NewTicker(superviseEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		err := o.supervise(ctx)
		if errors.Is(err, ErrFenced) {
			o.mu.Lock()
			o.lost = true
			o.mu.Unlock()
		}
		if err != nil && ctx.Err() == nil {
			o.setTrouble(err.Error())
			o.log.Error("a read model can't be looked after", "error", err)
		}
		changed := []<-chan struct{}{nil, nil, nil}
		if err == nil { // Else wait for the tick only.
			changed = o.changes()
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-changed[0]:
		case <-changed[1]:
		case <-changed[2]:
		}
	}
}

// changes returns the channels that are closed when there is something to do. Those that were
// dealt with before are nil.
func (o *model) changes() []<-chan struct{} {
	c := make([]<-chan struct{}, 3)
	if o.live != nil && o.live.look().ended == nil {
		c[0] = o.live.done
	}
	if o.next != nil && o.next.look().ended == nil {
		c[1], c[2] = o.next.done, o.next.ready
	}
	return c
}

func (o *model) setTrouble(why string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.trouble = why
}

// supervise does what has to be done now.
func (o *model) supervise(ctx context.Context) error {
	if o.fenced() {
		return nil
	}
	if err := o.ended(ctx); err != nil {
		return err
	}
	wants, err := o.catalog.taken(ctx, o.p.Name)
	if err != nil {
		return err
	}
	for _, what := range wants {
		if err := o.want(ctx, what); err != nil {
			return err
		}
	}
	if o.live == nil && o.next == nil {
		if err := o.begin(ctx, "there was no view of this version"); err != nil {
			return err
		}
	}
	if o.next != nil {
		select {
		case <-o.next.ready:
			if err := o.switchTo(ctx, o.next); err != nil {
				return err
			}
		default:
		}
	}
	o.setTrouble("")
	return o.beat(ctx)
}

// fenced reports whether another process has taken over.
func (o *model) fenced() bool {
	for _, b := range []*build{o.live, o.next} {
		if b != nil && errors.Is(b.look().ended, ErrFenced) {
			return true
		}
	}
	return o.lost
}

// ended looks at builds that could not go on.
func (o *model) ended(ctx context.Context) error {
	if o.next != nil {
		if err := o.next.look().ended; err != nil && !errors.Is(err, ErrFenced) && !errors.Is(err, context.Canceled) {
			o.log.Warn("a rebuild begins again", "error", err)
			return o.discard(ctx)
		}
	}
	if o.live == nil || o.next != nil {
		return nil
	}
	err := o.live.look().ended
	switch {
	case err == nil, errors.Is(err, ErrFenced), errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, errOutdated): // It serves until the other one is complete, as stale.
		return o.begin(ctx, err.Error())
	}
	o.log.Warn("a view can't be used, and is made again", "error", err)
	old := o.live
	o.mu.Lock()
	o.live = nil
	o.mu.Unlock()
	if err := old.end(); err != nil {
		o.log.Warn("a damaged view was closed", "error", err)
	}
	return o.catalog.drop(ctx, old.row())
}

// want does what an operator asked for.
func (o *model) want(ctx context.Context, what string) error {
	switch {
	case what == Rebuild && o.next == nil:
		return o.begin(ctx, "an operator asked for it")
	case what == Cancel && o.next != nil && o.live != nil:
		o.log.Info("a rebuild was cancelled")
		return o.discard(ctx)
	case what == Back:
		return o.back(ctx)
	}
	o.log.Warn("nothing to do", "request", what)
	return nil
}

// begin starts a build that will replace the live one.
func (o *model) begin(ctx context.Context, why string) error {
	r, err := o.catalog.add(ctx, o.p, o.cfg.Clock(), why)
	if err != nil {
		return err
	}
	share := o.cfg.RebuildShare
	if o.live == nil {
		share = 1 // Nothing serves meanwhile.
	}
	if o.cfg.Events != nil {
		if r.Total, err = o.cfg.Events(ctx); err != nil {
			r.Total = 0
		}
	}
	if err := remove(o.catalog.path(r)); err != nil {
		return err
	}
	b, err := o.openBuild(ctx, r, share, true)
	if err != nil {
		return errors.Join(err, o.catalog.drop(ctx, r))
	}
	o.log.Info("a rebuild begins", "build", r.ID, "why", why, "events", r.Total)
	o.mu.Lock()
	o.next, o.meter = b, meter{at: o.cfg.Clock()}
	o.mu.Unlock()
	b.start(ctx)
	return nil
}

// discard ends the build that would have replaced the live one, and removes its file.
func (o *model) discard(ctx context.Context) error {
	b := o.next
	o.mu.Lock()
	o.next = nil
	o.mu.Unlock()
	if err := b.end(); err != nil {
		o.log.Warn("a rebuild was closed", "error", err)
	}
	return o.catalog.drop(ctx, b.row())
}

// switchTo makes a build live. The catalog decides: after a crash the one that it names is live.
func (o *model) switchTo(ctx context.Context, b *build) error {
	dropped, err := o.catalog.promote(ctx, b.row())
	if err != nil {
		return err
	}
	o.mu.Lock() // Waits for the queries that read the old one.
	old := o.live
	o.live, o.next = b, nil
	b.setShare(1)
	o.mu.Unlock()
	o.log.Info("a view was switched in", "build", b.row().ID, "events", b.look().events)
	for _, r := range dropped {
		if err := remove(o.catalog.path(r)); err != nil {
			o.log.Warn("an old view could not be removed", "error", err)
		}
	}
	if old == nil {
		return nil
	}
	return old.end()
}

// back makes the build live that was live before. It goes on from where it was.
func (o *model) back(ctx context.Context) error {
	rows, err := o.catalog.builds(ctx, o.p.Name)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.Version != o.p.Version || r.State != stateKept {
			continue
		}
		b, err := o.openBuild(ctx, r, 1, false)
		if err != nil {
			return err
		}
		b.start(ctx)
		if err := o.switchTo(ctx, b); err != nil {
			if o.live != b {
				err = errors.Join(err, b.end())
			}
			return err
		}
		return nil
	}
	o.log.Warn("there is no earlier view to go back to")
	return nil
}

// beat stores where the builds are.
func (o *model) beat(ctx context.Context) error {
	now := o.cfg.Clock()
	for _, b := range []*build{o.live, o.next} {
		if b == nil {
			continue
		}
		s, r := b.look(), b.row()
		if b == o.next {
			o.mu.Lock()
			r.Rate = o.meter.rateOf(now, s.events)
			o.mu.Unlock()
		}
		r.Seen, r.AsOf, r.Events, r.Why = now, s.asOf, s.events, s.why
		if s.ended != nil {
			r.Why = s.ended.Error()
		}
		b.note(func(*seen) { b.is = r })
		if err := o.catalog.beat(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// rateOf returns the events per second, smoothed.
func (m *meter) rateOf(now time.Time, events int64) float64 {
	if d := now.Sub(m.at); d > 0 {
		rate := float64(events-m.events) / d.Seconds()
		if m.rate == 0 {
			m.rate = rate
		}
		m.rate += (rate - m.rate) * 0.3
		m.at, m.events = now, events
	}
	return m.rate
}

// close ends the builds.
func (o *model) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var errs []error
	for _, b := range []*build{o.live, o.next} {
		if b != nil {
			errs = append(errs, b.end())
		}
	}
	o.live, o.next = nil, nil
	return errors.Join(errs...)
}
