package readmodel

import (
	"context"
	"database/sql"
	"time"

	"github.com/backstay-go/backstay/licensesvc/license"
)

// Use counts, for each studio, title and day, what members did. An event counts for the day, in UTC,
// on which it occurred.
func Use() Projection {
	return Projection{Name: UseName, Version: 1, Handle: handleUse, Schema: []string{
		`CREATE TABLE titles (stream TEXT NOT NULL, license TEXT NOT NULL, studio TEXT NOT NULL, title TEXT NOT NULL, PRIMARY KEY (stream, license)) WITHOUT ROWID`,
		`CREATE TABLE use (studio TEXT NOT NULL, day INTEGER NOT NULL, title TEXT NOT NULL, licenses INTEGER NOT NULL, renewals INTEGER NOT NULL, downloads INTEGER NOT NULL,
			plays INTEGER NOT NULL, ended INTEGER NOT NULL, PRIMARY KEY (studio, day, title)) WITHOUT ROWID`,
	}}
}

func handleUse(_ context.Context, v *View, e Event) error {
	var licenses, renewals, downloads, plays, ended int
	switch x := e.Event.(type) {
	case license.Granted:
		licenses = 1
		if _, err := v.Exec("INSERT INTO titles VALUES (?, ?, ?, ?)", e.Stream, x.License, x.Studio, x.Title); err != nil {
			return err
		}
	case license.Promised:
		licenses = 1
		if _, err := v.Exec("INSERT INTO titles VALUES (?, ?, ?, ?)", e.Stream, x.License, x.Studio, x.Title); err != nil {
			return err
		}
	case license.Confirmed:
		return nil // It was counted as it was promised.
	case license.Renewed:
		renewals = 1
	case license.Downloaded:
		downloads = 1
	case license.Played:
		plays = 1
	case license.Released, license.Revoked:
		ended = 1
	default:
		return unhandled(e)
	}
	return one(v.Exec(`INSERT INTO use SELECT studio, ?3, title, ?4, ?5, ?6, ?7, ?8 FROM titles WHERE stream = ?1 AND license = ?2
		ON CONFLICT (studio, day, title) DO UPDATE SET licenses = licenses + excluded.licenses, renewals = renewals + excluded.renewals,
		downloads = downloads + excluded.downloads, plays = plays + excluded.plays, ended = ended + excluded.ended`,
		e.Stream, e.Of(), dayOf(e.When()), licenses, renewals, downloads, plays, ended))
}

// dayOf returns the number of days since 1970, in UTC.
func dayOf(t time.Time) int64 {
	const day = 24 * 60 * 60
	s := t.Unix()
	if s < 0 {
		s -= day - 1
	}
	return s / day
}

// Used is what happened to the licenses for a title on a day.
type Used struct {
	Day   time.Time
	Title string
	// Licenses is the number of licenses that were granted or promised. Ended is the number of
	// those that were released or revoked.
	Licenses, Renewals, Downloads, Plays, Ended int64
}

// StudioUse returns the use of a studio's titles from one day to another, both included, after a
// day and a title, in their order.
func (m *Models) StudioUse(ctx context.Context, studio string, from, until time.Time, afterTitle string, limit int) (all []Used, f Freshness, err error) {
	f, err = m.Query(ctx, UseName, Token{}, 0, func(ctx context.Context, db *sql.DB) error {
		rows, err := db.QueryContext(ctx, `SELECT day, title, licenses, renewals, downloads, plays, ended FROM use
			WHERE studio = ?1 AND day <= ?2 AND (day, title) > (?3, ?4) ORDER BY day, title LIMIT ?5`, studio, dayOf(until), dayOf(from), afterTitle, limit)
		if err != nil {
			return err
		}
		return each(rows, func() error {
			var u Used
			var day int64
			err := rows.Scan(&day, &u.Title, &u.Licenses, &u.Renewals, &u.Downloads, &u.Plays, &u.Ended)
			u.Day = time.Unix(day*24*60*60, 0).UTC()
			all = append(all, u)
			return err
		})
	})
	return all, f, err
}
