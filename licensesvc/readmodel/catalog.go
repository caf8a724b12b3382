package readmodel

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// The states of a build.
const (
	// stateLive: queries read it.
	stateLive = "live"
	// stateBuilding: it is being made and will become live.
	stateBuilding = "building"
	// stateKept: it was live, and can become so again.
	stateKept = "kept"
)

// The requests of operators.
const (
	Rebuild = "rebuild"
	Cancel  = "cancel"
	Back    = "back"
)

const catalogFormat = 1

var catalogTables = []string{
	`CREATE TABLE builds (id INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL, began INTEGER NOT NULL,
		seen INTEGER NOT NULL, as_of INTEGER NOT NULL, events INTEGER NOT NULL, total INTEGER NOT NULL, rate REAL NOT NULL, why TEXT NOT NULL)`,
	`CREATE UNIQUE INDEX one_of_a_kind ON builds (model, version, state)`,
	`CREATE TABLE owner (id INTEGER PRIMARY KEY CHECK (id = 1), generation INTEGER NOT NULL)`,
	`INSERT INTO owner VALUES (1, 0)`,
	`CREATE TABLE requests (id INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL, what TEXT NOT NULL, at INTEGER NOT NULL)`,
	fmt.Sprintf("PRAGMA user_version = %d", catalogFormat),
}

// catalog is the file that says which build of each model is live. A switch is one transaction on
// it. It is safe for concurrent use, also by several processes.
type catalog struct {
	dir string
	db  *sql.DB
	// generation is the number of this process among those that have owned the folder. Each
	// transaction checks that no newer one does.
	generation int64
}

// row is a build as the catalog has it.
type row struct {
	ID      int64
	Model   string
	Version int
	State   string
	Began   time.Time
	Seen    time.Time
	AsOf    time.Time
	Events  int64
	Total   int64
	Rate    float64
	Why     string
}

func catalogIn(dir string) string { return filepath.Join(dir, "catalog.db") }

// openCatalog opens the catalog of a folder, and makes it. A damaged one is set aside: everything
// that it names can be made again.
func openCatalog(ctx context.Context, dir string) (*catalog, error) {
	path := catalogIn(dir)
	c, err := tryCatalog(ctx, dir)
	if !damaged(err) && !errors.Is(err, ErrDamaged) {
		return c, err
	}
	aside := fmt.Sprintf("%s.damaged-%d", path, time.Now().UnixNano())
	if rerr := os.Rename(path, aside); rerr != nil {
		return nil, errors.Join(err, rerr)
	}
	if rerr := remove(path); rerr != nil {
		return nil, errors.Join(err, rerr)
	}
	return tryCatalog(ctx, dir)
}

func tryCatalog(ctx context.Context, dir string) (_ *catalog, err error) {
	path := catalogIn(dir)
	made, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("readmodel: %w", err)
	}
	if err := made.Close(); err != nil {
		return nil, fmt.Errorf("readmodel: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path, "_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	c := &catalog{dir: dir, db: db}
	err = c.transaction(ctx, func(conn *sql.Conn) error {
		var format, tables int
		if err := conn.QueryRowContext(ctx, "SELECT user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version").Scan(&format, &tables); err != nil {
			return err
		}
		switch {
		case format > catalogFormat:
			return fmt.Errorf("%w: its format is %d, and this program knows %d: move the folder away, and the read models are made again", ErrNewer, format, catalogFormat)
		case format == catalogFormat:
			return nil
		case tables > 0:
			return fmt.Errorf("%w: it is no catalog", ErrDamaged)
		}
		for _, s := range catalogTables {
			if _, err := conn.ExecContext(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("readmodel: %s: %w", path, err), db.Close())
	}
	return c, nil
}

func (c *catalog) transaction(ctx context.Context, do func(*sql.Conn) error) (err error) {
	ctx = context.WithoutCancel(ctx)
	conn, err := c.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return transaction(ctx, conn, func() error { return do(conn) })
}

// take makes this process the owner of the folder. Its generation is above that of each earlier
// owner, also if the catalog was lost in between, unless the clock went back.
func (c *catalog) take(ctx context.Context) error {
	return c.db.QueryRowContext(ctx, "UPDATE owner SET generation = max(generation + 1, ?) RETURNING generation", time.Now().UnixNano()).Scan(&c.generation)
}

// own runs do in a transaction, unless another process has taken the folder over.
func (c *catalog) own(ctx context.Context, do func(*sql.Conn) error) error {
	return c.transaction(ctx, func(conn *sql.Conn) error {
		var now int64
		if err := conn.QueryRowContext(ctx, "SELECT generation FROM owner").Scan(&now); err != nil {
			return err
		}
		if now != c.generation {
			return ErrFenced
		}
		return do(conn)
	})
}

// path returns the file of a build.
func (c *catalog) path(r row) string {
	return filepath.Join(c.dir, fmt.Sprintf("%s.v%d.%d.db", r.Model, r.Version, r.ID))
}

// builds returns the builds of a model, or of all models if it is empty.
func (c *catalog) builds(ctx context.Context, model string) (all []row, err error) {
	rows, err := c.db.QueryContext(ctx, "SELECT id, model, version, state, began, seen, as_of, events, total, rate, why FROM builds WHERE ?1 = '' OR model = ?1 ORDER BY model, id", model)
	if err != nil {
		return nil, err
	}
	err = each(rows, func() error {
		var r row
		var began, seen, asOf int64
		if err := rows.Scan(&r.ID, &r.Model, &r.Version, &r.State, &began, &seen, &asOf, &r.Events, &r.Total, &r.Rate, &r.Why); err != nil {
			return err
		}
		r.Began, r.Seen, r.AsOf = eventstore.Instant(began), eventstore.Instant(seen), eventstore.Instant(asOf)
		all = append(all, r)
		return nil
	})
	return all, err
}

// add adds a build that begins now.
func (c *catalog) add(ctx context.Context, p Projection, at time.Time, why string) (row, error) {
	r := row{Model: p.Name, Version: p.Version, State: stateBuilding, Began: at, Why: why}
	err := c.own(ctx, func(conn *sql.Conn) error {
		return conn.QueryRowContext(ctx, "INSERT INTO builds (model, version, state, began, seen, as_of, events, total, rate, why) VALUES (?, ?, ?, ?, ?, 0, 0, 0, 0, ?) RETURNING id",
			r.Model, r.Version, r.State, eventstore.Nanos(at), eventstore.Nanos(at), why).Scan(&r.ID)
	})
	return r, err
}

// drop removes a build and its file, which must be closed.
func (c *catalog) drop(ctx context.Context, r row) error {
	err := c.own(ctx, func(conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "DELETE FROM builds WHERE id = ?", r.ID)
		return err
	})
	if err != nil {
		return err
	}
	return remove(c.path(r))
}

// promote makes a build live in one transaction. The live build of its version becomes the kept
// one. The builds of that version that were kept before are returned, for removal.
func (c *catalog) promote(ctx context.Context, r row) (dropped []row, err error) {
	all, err := c.builds(ctx, r.Model)
	if err != nil {
		return nil, err
	}
	err = c.own(ctx, func(conn *sql.Conn) error {
		for _, other := range all {
			if other.Version == r.Version && other.ID != r.ID && other.State == stateKept {
				dropped = append(dropped, other)
				if _, err := conn.ExecContext(ctx, "DELETE FROM builds WHERE id = ?", other.ID); err != nil {
					return err
				}
			}
		}
		// A build that was kept leaves its place for the live one.
		for _, change := range []struct {
			text string
			args []any
		}{
			{"UPDATE builds SET state = 'switching' WHERE id = ?", []any{r.ID}},
			{"UPDATE builds SET state = ? WHERE model = ? AND version = ? AND state = ?", []any{stateKept, r.Model, r.Version, stateLive}},
			{"UPDATE builds SET state = ? WHERE id = ? AND state = 'switching'", []any{stateLive, r.ID}},
		} {
			if _, err := conn.ExecContext(ctx, change.text, change.args...); err != nil {
				return err
			}
		}
		return nil
	})
	return dropped, err
}

// beat stores where a build is, for those who look from outside.
func (c *catalog) beat(ctx context.Context, r row) error {
	return c.own(ctx, func(conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "UPDATE builds SET seen = ?, as_of = ?, events = ?, total = ?, rate = ?, why = ? WHERE id = ?",
			eventstore.Nanos(r.Seen), eventstore.Nanos(r.AsOf), r.Events, r.Total, r.Rate, r.Why, r.ID)
		return err
	})
}

// request stores what an operator wants.
func (c *catalog) request(ctx context.Context, model, what string, at time.Time) error {
	_, err := c.db.ExecContext(ctx, "INSERT INTO requests (model, what, at) VALUES (?, ?, ?)", model, what, eventstore.Nanos(at))
	return err
}

// taken returns the requests for a model and removes them.
func (c *catalog) taken(ctx context.Context, model string) (all []string, err error) {
	err = c.own(ctx, func(conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, "DELETE FROM requests WHERE model = ? RETURNING what", model)
		if err != nil {
			return err
		}
		return each(rows, func() error {
			var what string
			err := rows.Scan(&what)
			all = append(all, what)
			return err
		})
	})
	return all, err
}

// sweep removes view files that the catalog does not name.
func (c *catalog) sweep(ctx context.Context) error {
	all, err := c.builds(ctx, "")
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for _, r := range all {
		named[c.path(r)] = true
	}
	found, err := filepath.Glob(filepath.Join(c.dir, "*.v*.*.db"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range found {
		if !named[path] {
			errs = append(errs, remove(path))
		}
	}
	return errors.Join(errs...)
}
