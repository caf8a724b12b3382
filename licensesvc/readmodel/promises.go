package readmodel

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// Outcome is what became of a promise.
type Outcome string

// The outcomes.
const (
	// OutcomeOpen: nothing yet, and the license has not expired.
	OutcomeOpen Outcome = "open"
	// OutcomeConfirmed: it has become a full license.
	OutcomeConfirmed Outcome = "confirmed"
	// OutcomeEnded: it was revoked, such as because a limit was exceeded.
	OutcomeEnded Outcome = "ended"
	// OutcomeGivenBack: the member released it before anything else happened.
	OutcomeGivenBack Outcome = "given_back"
	// OutcomeExpired: it expired before anything else happened.
	OutcomeExpired Outcome = "expired"
)

// Promises keeps the licenses that were promised while the store failed, and what became of them.
func Promises() Projection {
	return Projection{Name: PromisesName, Version: 1, Handle: handlePromise, Schema: []string{
		`CREATE TABLE promises (stream TEXT NOT NULL, license TEXT NOT NULL, device TEXT NOT NULL, title TEXT NOT NULL, studio TEXT NOT NULL, promised INTEGER NOT NULL,
			expires INTEGER NOT NULL, over TEXT NOT NULL, outcome TEXT NOT NULL, settled INTEGER, reason TEXT NOT NULL, PRIMARY KEY (stream, license)) WITHOUT ROWID`,
		`CREATE INDEX latest ON promises (promised, stream, license)`,
	}}
}

func handlePromise(_ context.Context, v *View, e Event) error {
	const settle = "UPDATE promises SET outcome = ?, settled = ?, reason = ? WHERE stream = ? AND license = ? AND outcome = 'open'"
	var err error
	switch x := e.Event.(type) {
	case license.Promised:
		over := []byte("[]")
		if len(x.Over) > 0 {
			if over, err = json.Marshal(x.Over); err != nil {
				return err
			}
		}
		_, err = v.Exec("INSERT INTO promises VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'open', NULL, '')", e.Stream, x.License, x.Device, x.Title, x.Studio, eventstore.Nanos(x.At), eventstore.Nanos(x.Expires), string(over))
	case license.Confirmed:
		_, err = v.Exec(settle, string(OutcomeConfirmed), eventstore.Nanos(x.At), "", e.Stream, x.License)
	case license.Revoked:
		_, err = v.Exec(settle, string(OutcomeEnded), eventstore.Nanos(x.At), x.Reason, e.Stream, x.License)
	case license.Released:
		_, err = v.Exec(settle, string(OutcomeGivenBack), eventstore.Nanos(x.Occurred), "", e.Stream, x.License)
	case license.Granted, license.Renewed, license.Downloaded, license.Played:
	default:
		err = unhandled(e)
	}
	return err
}

// Promise is a promised license and what became of it.
type Promise struct {
	Stream, License, Device, Title, Studio string
	Promised, Expires                      time.Time
	// Over names the limits that it exceeded.
	Over    []string
	Outcome Outcome
	// Settled is when the outcome was decided, or zero. Reason is why it ended.
	Settled time.Time
	Reason  string
}

// PromisesSince returns the promises that were made after a moment, the oldest first. Give the last
// one of a page, with its stream and license, to go on.
func (m *Models) PromisesSince(ctx context.Context, after time.Time, afterStream, afterLicense string, limit int) (all []Promise, f Freshness, err error) {
	f, err = m.Query(ctx, PromisesName, Token{}, 0, func(ctx context.Context, db *sql.DB) error {
		rows, err := db.QueryContext(ctx, `SELECT stream, license, device, title, studio, promised, expires, over, outcome, coalesce(settled, 0), reason FROM promises
			WHERE (promised, stream, license) > (?, ?, ?) ORDER BY promised, stream, license LIMIT ?`, eventstore.Nanos(after), afterStream, afterLicense, limit)
		if err != nil {
			return err
		}
		now := m.cfg.Clock()
		return each(rows, func() error {
			var p Promise
			var promised, expires, settled int64
			var over string
			if err := rows.Scan(&p.Stream, &p.License, &p.Device, &p.Title, &p.Studio, &promised, &expires, &over, &p.Outcome, &settled, &p.Reason); err != nil {
				return err
			}
			p.Promised, p.Expires, p.Settled = eventstore.Instant(promised), eventstore.Instant(expires), eventstore.Instant(settled)
			if p.Outcome == OutcomeOpen && !now.Before(p.Expires) {
				p.Outcome, p.Settled = OutcomeExpired, p.Expires
			}
			all = append(all, p)
			return json.Unmarshal([]byte(over), &p.Over)
		})
	})
	return all, f, err
}
