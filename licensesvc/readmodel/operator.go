package readmodel

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Operator works on the files of read models from another process, also while a service uses them.
// What it asks for is done by the service, within a second or when it starts. It is not safe for
// concurrent use. The caller that opened it must close it.
type Operator struct{ catalog *catalog }

// Listed is a view as its files describe it.
type Listed struct {
	Model   string `json:"model"`
	Version int    `json:"version"`
	// State is live, building or kept.
	State string `json:"state"`
	// Running says that a service has worked on it within the last 10 s.
	Running bool      `json:"running"`
	Seen    time.Time `json:"seen"`
	// AsOf is the time up to which everything that was acknowledged is in the view.
	AsOf   time.Time `json:"as_of,omitzero"`
	Events int64     `json:"events"`
	// Progress is set while the view is being built.
	Progress *Progress `json:"progress,omitempty"`
	// Parked are the streams that wait. Skipped is the number of events that were skipped.
	Parked  []Parked `json:"parked"`
	Skipped int64    `json:"skipped"`
	Why     string   `json:"why,omitempty"`
}

// seenWithin is how recently a service must have looked after a view to count as running.
const seenWithin = 10 * time.Second

// OpenOperator opens the files in a folder. An error matches os.ErrNotExist if there are none.
func OpenOperator(ctx context.Context, dir string) (*Operator, error) {
	if _, err := os.Stat(catalogIn(dir)); err != nil {
		return nil, fmt.Errorf("readmodel: %w: the service makes the files when it starts", err)
	}
	c, err := tryCatalog(ctx, dir)
	if err != nil {
		return nil, err
	}
	return &Operator{c}, nil
}

// Close closes the files.
func (o *Operator) Close() error { return o.catalog.db.Close() }

// List returns all views.
func (o *Operator) List(ctx context.Context) ([]Listed, error) {
	rows, err := o.catalog.builds(ctx, "")
	if err != nil {
		return nil, err
	}
	all := []Listed{}
	for _, r := range rows {
		l := Listed{Model: r.Model, Version: r.Version, State: r.State, Running: time.Since(r.Seen) < seenWithin, Seen: r.Seen, AsOf: r.AsOf, Events: r.Events, Why: r.Why, Parked: []Parked{}}
		if r.State == stateBuilding {
			p := progressOf(r, r.Events, r.Why)
			l.Progress = &p
		}
		err := o.onFile(r, func(db *sql.DB) (err error) {
			if l.Parked, err = parkedIn(ctx, db); err != nil {
				return err
			}
			if l.Parked == nil {
				l.Parked = []Parked{}
			}
			return db.QueryRowContext(ctx, "SELECT count(*) FROM rm_skipped").Scan(&l.Skipped)
		})
		if err != nil {
			l.Why = err.Error()
		}
		all = append(all, l)
	}
	return all, nil
}

func (o *Operator) onFile(r row, do func(*sql.DB) error) (err error) {
	path := o.catalog.path(r)
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("readmodel: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path, ""))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := do(db); err != nil {
		return fmt.Errorf("readmodel: %s: %w", path, err)
	}
	return nil
}

// Ask asks for something to be done with a read model: Rebuild, Cancel or Back.
func (o *Operator) Ask(ctx context.Context, model, what string) error {
	rows, err := o.catalog.builds(ctx, model)
	switch {
	case err != nil:
		return err
	case len(rows) == 0:
		return fmt.Errorf("readmodel: there is no read model %q: see licensesvc readmodels list", model)
	case !slices.Contains([]string{Rebuild, Cancel, Back}, what):
		return fmt.Errorf("readmodel: %q can't be asked for", what)
	}
	is := func(state string) bool {
		return slices.ContainsFunc(rows, func(r row) bool { return r.State == state })
	}
	switch {
	case what == Rebuild && is(stateBuilding):
		return fmt.Errorf("readmodel: %s is being rebuilt already", model)
	case what == Cancel && !is(stateBuilding):
		return fmt.Errorf("readmodel: %s is not being rebuilt", model)
	case what == Cancel && !is(stateLive):
		return fmt.Errorf("readmodel: %s has no other view: the build can't be cancelled", model)
	case what == Back && !is(stateKept):
		return fmt.Errorf("readmodel: %s has no earlier view to go back to", model)
	}
	return o.catalog.request(ctx, model, what, time.Now())
}

// Retry asks that the parked stream of a model be tried again. With skip, the event at which it waits
// is left out for good. An empty stream means all parked streams of the model. It returns their
// number.
func (o *Operator) Retry(ctx context.Context, model, stream string, skip bool) (n int64, err error) {
	if skip && stream == "" {
		return 0, errors.New("readmodel: name the stream whose event is skipped")
	}
	rows, err := o.catalog.builds(ctx, model)
	if err != nil {
		return 0, err
	}
	want := "retry"
	if skip {
		want = "skip"
	}
	for _, r := range rows {
		if r.State == stateKept {
			continue
		}
		if err := o.onFile(r, func(db *sql.DB) error {
			result, err := db.ExecContext(ctx, "UPDATE rm_parked SET want = ?1 WHERE ?2 = '' OR stream = ?2", want, stream)
			if err != nil {
				return err
			}
			changed, err := result.RowsAffected()
			n += changed
			return err
		}); err != nil {
			return n, err
		}
	}
	if n == 0 {
		return 0, fmt.Errorf("readmodel: no stream of %s waits under that name: see licensesvc readmodels list", model)
	}
	return n, nil
}
