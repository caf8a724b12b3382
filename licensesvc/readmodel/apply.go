package readmodel

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// item is a stored event with what it decodes to.
type item struct {
	eventstore.Event
	events []Event
	// poison is why it can't be decoded, and cause is decode or newer.
	poison error
	cause  string
}

// part is what was read of one slice.
type part struct {
	slice int
	items []item
	next  eventstore.Cursor
}

// applier applies items to a file. It belongs to one goroutine.
type applier struct {
	*file
	handle func(ctx context.Context, v *View, e Event) error
	ctx    context.Context // given to handle
	now    func() int64
	// working describes the event that is being applied, for status.
	working func(stream string, version int64)
	// versions are the streams that the current transaction has touched.
	versions map[string]int64
	changed  map[string]bool // streams whose version changed
	parking  map[string]Parked
	applied  int
}

// poisoned is an event that could not be applied.
type poisoned struct {
	item  *item
	cause string
	err   error
}

func (p *poisoned) Error() string {
	return fmt.Sprintf("stream %s version %d (%s): %v", p.item.Stream, p.item.Version, p.item.Type, p.err)
}

// applyParts applies what was read of some slices, and moves their cursors, in one transaction. It
// first tries without savepoints, which is faster. If an event is poisoned, it does it again with a
// savepoint for each event.
func (a *applier) applyParts(parts []part) error {
	err := a.checkpoint(func() error { return a.takeParts(parts, false) }, parts)
	var p *poisoned
	if errors.As(err, &p) {
		err = a.checkpoint(func() error { return a.takeParts(parts, true) }, parts)
	}
	return err
}

func (a *applier) takeParts(parts []part, careful bool) error {
	for _, p := range parts {
		for i := range p.items {
			if err := a.take(&p.items[i], careful); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkpoint runs do in a transaction that is refused if another process has taken over, and
// stores the versions of the streams, what was parked, and the cursors.
func (a *applier) checkpoint(do func() error, parts []part) error {
	a.versions, a.changed, a.parking, a.applied = map[string]int64{}, map[string]bool{}, map[string]Parked{}, 0
	a.view.broken = nil
	err := a.transaction(func() error {
		n, err := a.view.Exec("UPDATE rm_head SET checkpoints = checkpoints + 1 WHERE id = 1 AND generation = ?", a.generation)
		switch {
		case err != nil:
			return err
		case n != 1:
			return ErrFenced
		}
		if err := do(); err != nil {
			return err
		}
		for stream := range a.changed {
			if _, err := a.view.Exec("INSERT INTO rm_streams VALUES (?, ?) ON CONFLICT (stream) DO UPDATE SET version = excluded.version", stream, a.versions[stream]); err != nil {
				return err
			}
		}
		for _, p := range a.parking {
			if err := a.savePark(p); err != nil {
				return err
			}
		}
		for _, p := range parts {
			if _, err := a.view.Exec("INSERT INTO rm_cursors VALUES (?, ?, ?) ON CONFLICT (slice) DO UPDATE SET cursor = excluded.cursor, events = events + excluded.events",
				p.slice, string(p.next), len(p.items)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for stream, p := range a.parking {
		a.parked[stream] = p
		if p.Version == 0 {
			delete(a.parked, stream)
		}
	}
	for _, p := range parts {
		a.cursors[p.slice], a.events = p.next, a.events+int64(len(p.items))
	}
	return nil
}

// savePark stores that a stream is parked, or with version 0 that it no longer is. What an operator
// asked for meanwhile stays, as long as it is about the same event.
func (a *applier) savePark(p Parked) error {
	if p.Version == 0 {
		_, err := a.view.Exec("DELETE FROM rm_parked WHERE stream = ?", p.Stream)
		return err
	}
	_, err := a.view.Exec(`INSERT INTO rm_parked VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, '') ON CONFLICT (stream) DO UPDATE SET
		version = ?2, cause = ?3, reason = ?4, since = ?5, tries = ?6, head = ?7, want = CASE WHEN version = ?2 AND want <> ?8 THEN want ELSE '' END`,
		p.Stream, p.Version, p.Cause, p.Reason, eventstore.Nanos(p.Since), p.Tries, p.Version+p.Waiting-1, p.did)
	return err
}

// parkedNow returns whether a stream waits, as the current transaction sees it.
func (a *applier) parkedNow(stream string) (Parked, bool) {
	if p, ok := a.parking[stream]; ok {
		return p, p.Version > 0
	}
	p, ok := a.parked[stream]
	return p, ok
}

// take applies one item, unless it was applied before or its stream waits.
func (a *applier) take(it *item, careful bool) error {
	if p, ok := a.parkedNow(it.Stream); ok {
		if waiting := it.Version - p.Version + 1; waiting > p.Waiting {
			p.Waiting = waiting
			a.parking[it.Stream] = p
		}
		return nil
	}
	known, err := a.version(it.Stream)
	switch {
	case err != nil:
		return err
	case it.Version <= known:
		return nil
	}
	a.working(it.Stream, it.Version)
	bad := a.check(it, known)
	if bad == nil {
		bad, err = a.run(it, careful)
		if err != nil {
			return err
		}
	}
	switch {
	case bad == nil:
		a.versions[it.Stream], a.changed[it.Stream] = it.Version, true
		a.applied++
		return nil
	case !careful:
		return bad
	}
	// After a gap the missing event is the one that the stream waits for.
	first := it.Version
	if bad.cause == "gap" {
		first = known + 1
	}
	a.parking[it.Stream] = Parked{Stream: it.Stream, Version: first, Cause: bad.cause, Reason: bad.err.Error(), Since: eventstore.Instant(a.now()), Tries: 1, Waiting: it.Version - first + 1}
	return nil
}

// check finds an item that can't be applied whatever the projection does.
func (a *applier) check(it *item, known int64) *poisoned {
	switch {
	case it.Version != known+1:
		return &poisoned{it, "gap", fmt.Errorf("the feed gave version %d after version %d: retry, which reads the stream again", it.Version, known)}
	case it.poison != nil:
		return &poisoned{it, it.cause, it.poison}
	}
	return nil
}

// run calls the projection for an item, within a savepoint if careful. An error that is not about
// the event ends the transaction.
func (a *applier) run(it *item, careful bool) (bad *poisoned, err error) {
	if careful {
		if _, err := a.view.Exec("SAVEPOINT one"); err != nil {
			return nil, err
		}
	}
	for _, e := range it.events {
		cause, err := a.call(e)
		switch {
		case a.view.broken != nil:
			return nil, a.view.broken
		case err != nil && a.ctx.Err() != nil:
			return nil, a.ctx.Err()
		case err != nil:
			bad = &poisoned{it, cause, err}
		}
		if bad != nil {
			break
		}
	}
	if !careful {
		return bad, nil
	}
	if bad != nil {
		if _, err := a.view.Exec("ROLLBACK TO one"); err != nil {
			return nil, err
		}
	}
	_, err = a.view.Exec("RELEASE one")
	return bad, err
}

// call calls the projection and turns a panic into an error.
func (a *applier) call(e Event) (cause string, err error) {
	defer func() {
		if p := recover(); p != nil {
			stack := strings.SplitN(string(debug.Stack()), "\n", 40)
			cause, err = "panic", fmt.Errorf("panic: %v\n%s", p, strings.Join(stack[:min(len(stack), 24)], "\n"))
		}
	}()
	return "handler", a.handle(a.ctx, a.view, e)
}

// version returns the version up to which a stream was applied.
func (a *applier) version(stream string) (int64, error) {
	if v, ok := a.versions[stream]; ok {
		return v, nil
	}
	var v int64
	if _, err := a.view.Row("SELECT version FROM rm_streams WHERE stream = ?", []any{stream}, &v); err != nil {
		return 0, err
	}
	a.versions[stream] = v
	return v, nil
}
