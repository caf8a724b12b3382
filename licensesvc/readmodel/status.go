package readmodel

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/backstay-go/backstay/licensesvc/license"
)

// Name is the name of the read models among the data on which an answer is based.
const Name = "read-model"

var (
	// ErrBuilding: there is no view yet.
	ErrBuilding = errors.New("readmodel: the view is being built")
	// ErrParked: the stream waits because of an event that can't be applied.
	ErrParked = errors.New("readmodel: the stream waits for an operator")
)

// BuildingError is ErrBuilding with what is known about the end.
type BuildingError struct {
	Model string
	// Left is the time until the view is complete, or 0 if it is not known.
	Left time.Duration
	// Why is what keeps the build from going on, if anything does.
	Why string
}

func (e *BuildingError) Error() string {
	text := fmt.Sprintf("the view %s is being built", e.Model)
	if e.Left > 0 {
		text += fmt.Sprintf("; about %s are left", e.Left.Round(time.Second))
	}
	if e.Why != "" {
		text += ": " + e.Why
	}
	return text
}

// Unwrap returns ErrBuilding.
func (e *BuildingError) Unwrap() error { return ErrBuilding }

// Freshness says how old a view may be, with the words of the guards.
type Freshness struct {
	// Source is live or stale.
	Source string
	// Age is how old the view may be: everything that was acknowledged that long ago is in it.
	Age time.Duration
	// Parked is the number of streams that wait, and Skipped the number of events that an operator
	// skipped. The view lacks their effect.
	Parked int
}

// Basis returns the freshness in the form in which answers show it.
func (f Freshness) Basis() license.Basis {
	return license.Basis{Dependency: Name, Source: f.Source, AgeSeconds: int64(f.Age / time.Second)}
}

// Token names an event that the caller wants to see in the view, such as the one that it has just
// written. The zero value names none.
type Token struct {
	Stream  string
	Version int64
}

// Query runs a query on the live view of a read model. It waits until the view contains the token's
// event, as long as wait and ctx allow; after that it answers with what there is, as stale. The
// connection is valid during the call of do.
func (m *Models) Query(ctx context.Context, name string, want Token, wait time.Duration, do func(ctx context.Context, db *sql.DB) error) (Freshness, error) {
	o, err := m.model(name)
	if err != nil {
		return Freshness{}, err
	}
	behind := false
	if want.Version > 0 {
		waiting, cancel := context.WithTimeout(ctx, wait)
		err := m.WaitFor(waiting, name, want.Stream, want.Version)
		cancel()
		switch {
		case errors.Is(err, ErrBuilding):
			return Freshness{}, err
		case err != nil:
			behind = true
		}
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.live == nil {
		return Freshness{}, o.building()
	}
	s := o.live.look() // Before the query, so that the view is not older than it says.
	f := o.freshness(s, want, behind)
	return f, do(ctx, o.live.file.read)
}

// freshness returns how old the live view is. o.mu is held.
func (o *model) freshness(s seen, want Token, behind bool) Freshness {
	f := Freshness{Source: "live", Parked: len(s.parked)}
	now := o.cfg.Clock()
	since := s.asOf
	if since.IsZero() {
		since = o.live.row().AsOf
	}
	for _, p := range s.parked {
		if p.Stream == want.Stream && p.Since.Before(since) {
			since, behind = p.Since, true
		}
	}
	if age := max(0, now.Sub(since)); age > o.cfg.FreshFor || behind || s.ended != nil || o.lost {
		f.Source, f.Age = "stale", age
	}
	return f
}

// building returns the error about a model without a view. o.mu is held.
func (o *model) building() error {
	e := &BuildingError{Model: o.p.Name, Why: o.trouble}
	if o.next != nil {
		p := o.progress()
		e.Left = time.Duration(p.LeftSeconds * float64(time.Second))
		if p.Why != "" {
			e.Why = p.Why
		}
	}
	return e
}

// WaitFor waits until the live view contains the event of a stream with a version. The error
// matches ErrParked if the stream waits for an operator, ErrBuilding if there is no view, or is that
// of ctx.
func (m *Models) WaitFor(ctx context.Context, name, stream string, version int64) error {
	o, err := m.model(name)
	if err != nil {
		return err
	}
	for {
		changed, done, err := o.has(ctx, stream, version)
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// has reports whether the live view contains an event. If not, the channel is closed when it may.
func (o *model) has(ctx context.Context, stream string, version int64) (changed <-chan struct{}, done bool, err error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	b := o.live
	if b == nil {
		return nil, false, o.building()
	}
	b.mu.Lock()
	changed = b.changed
	s := b.seen
	b.mu.Unlock()
	var applied int64
	err = b.file.read.QueryRowContext(ctx, "SELECT version FROM rm_streams WHERE stream = ?", stream).Scan(&applied)
	switch {
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return nil, false, fmt.Errorf("readmodel: %s: %w", o.p.Name, err)
	case applied >= version:
		return nil, true, nil
	}
	for _, p := range s.parked {
		if p.Stream == stream {
			return nil, false, fmt.Errorf("%w: %s version %d since %s: %s", ErrParked, stream, p.Version, p.Since.Format(time.RFC3339), p.Reason)
		}
	}
	b.wake()
	return changed, false, nil
}

// Status describes a read model.
type Status struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	// State is live, building or fenced.
	State string `json:"state"`
	// AsOf is the time up to which everything that was acknowledged is in the view.
	AsOf time.Time `json:"as_of,omitzero"`
	// LagSeconds is the age of AsOf. LagEvents is the number of events that are missing, as far as
	// the feed knows it, or -1.
	LagSeconds float64  `json:"lag_s"`
	LagEvents  int64    `json:"lag_events"`
	Events     int64    `json:"events"`
	Parked     []Parked `json:"parked"`
	// Stuck is how long the view has made no progress although there is something to do.
	StuckSeconds float64 `json:"stuck_s,omitempty"`
	// Why is what stops it.
	Why     string    `json:"why,omitempty"`
	Rebuild *Progress `json:"rebuild,omitempty"`
}

// Progress describes a rebuild.
type Progress struct {
	Began  time.Time `json:"began"`
	Events int64     `json:"events"`
	// Total is the number of events in the store when the rebuild began, or 0 if it is not known.
	Total int64 `json:"total"`
	// Rate is events per second. LeftSeconds is the time that is left at that rate, or 0.
	Rate        float64 `json:"events_per_s"`
	LeftSeconds float64 `json:"left_s"`
	Why         string  `json:"why,omitempty"`
}

// Status returns the state of each read model.
func (m *Models) Status() []Status {
	all := make([]Status, 0, len(m.list))
	for _, o := range m.list {
		all = append(all, o.status())
	}
	return all
}

func (o *model) status() Status {
	o.mu.RLock()
	defer o.mu.RUnlock()
	st := Status{Name: o.p.Name, Version: o.p.Version, State: stateBuilding, LagEvents: -1, Parked: []Parked{}, Why: o.trouble}
	now := o.cfg.Clock()
	if o.next != nil {
		p := o.progress()
		st.Rebuild = &p
		if o.live == nil && p.Why != "" {
			st.Why = p.Why
		}
	}
	if o.live == nil {
		return st
	}
	s := o.live.look()
	st.State, st.AsOf, st.LagEvents, st.Events, st.Parked = stateLive, s.asOf, s.behind, s.events, append(st.Parked, s.parked...)
	if st.AsOf.IsZero() {
		st.AsOf = o.live.row().AsOf
	}
	if !st.AsOf.IsZero() {
		st.LagSeconds = max(0, now.Sub(st.AsOf).Seconds())
	}
	if idle := now.Sub(s.moved); idle > 2*o.cfg.Poll+time.Second {
		st.StuckSeconds = idle.Seconds()
	}
	switch {
	case o.fenced():
		st.State, st.Why = "fenced", ErrFenced.Error()
	case s.ended != nil:
		st.Why = s.ended.Error()
	case s.why != "":
		st.Why = s.why
	case s.working != "" && st.StuckSeconds > 0:
		st.Why = "the projection does not return from " + s.working
	}
	return st
}

// progress describes the rebuild. o.mu is held.
func (o *model) progress() Progress {
	s, r := o.next.look(), o.next.row()
	return progressOf(r, s.events, s.why)
}

func progressOf(r row, events int64, why string) Progress {
	p := Progress{Began: r.Began, Events: events, Total: r.Total, Rate: r.Rate, Why: why}
	if left := r.Total - events; left > 0 && r.Rate > 0 {
		p.LeftSeconds = float64(left) / r.Rate
	}
	return p
}

// Level is how well a read model is.
type Level int

// The levels.
const (
	// Well: nothing to do. A first build that has just begun is well.
	Well Level = iota
	// Degraded: somebody should act, or the first build takes longer than MaxLag.
	Degraded
	// Failed: the view does not move.
	Failed
)

// Health returns the worst level of all read models and the reasons. A lag that does not move is
// worse than one that shrinks.
func (m *Models) Health() (worst Level, reasons []string) {
	for _, st := range m.Status() {
		level, why := m.cfg.health(st)
		if level > Well {
			reasons = append(reasons, st.Name+": "+why)
		}
		worst = max(worst, level)
	}
	return worst, reasons
}

func (c *Config) health(st Status) (Level, string) {
	switch {
	case st.State == "fenced":
		return Failed, st.Why
	case st.State == stateBuilding && st.Why != "":
		return Failed, "there is no view: " + st.Why
	case st.State == stateBuilding && st.Rebuild != nil && c.Clock().Sub(st.Rebuild.Began) > c.MaxLag:
		return Degraded, fmt.Sprintf("there is no view yet: it is being built, %d of %d events, about %.0f s left", st.Rebuild.Events, st.Rebuild.Total, st.Rebuild.LeftSeconds)
	case st.State == stateBuilding:
		return Well, ""
	case st.StuckSeconds > c.Stuck.Seconds():
		return Failed, fmt.Sprintf("the view has not moved for %.0f s, %d or more events are missing: %s", st.StuckSeconds, max(0, st.LagEvents), st.Why)
	case len(st.Parked) > 0:
		p := st.Parked[0]
		return Degraded, fmt.Sprintf("%d streams wait, the first of them %s version %d since %s (%s): licensesvc readmodels list", len(st.Parked), p.Stream, p.Version, p.Since.Format(time.RFC3339), p.Cause)
	case st.LagSeconds > c.MaxLag.Seconds():
		return Degraded, fmt.Sprintf("the view is %.0f s old, %d or more events are missing; it moves", st.LagSeconds, max(0, st.LagEvents))
	}
	return Well, ""
}
