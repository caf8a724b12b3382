package readmodel

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// Projections returns the read models of this program.
func Projections() []Projection { return []Projection{Licenses(), Use(), Promises()} }

// The names of the read models.
const (
	LicensesName = "licenses"
	UseName      = "use"
	PromisesName = "promises"
)

// Licenses keeps one row for each license, with the time when it ends: for the devices of a member,
// and for licenses that expire soon.
func Licenses() Projection {
	return Projection{Name: LicensesName, Version: 1, Handle: handleLicense, Schema: []string{
		`CREATE TABLE licenses (stream TEXT NOT NULL, license TEXT NOT NULL, device TEXT NOT NULL, title TEXT NOT NULL, studio TEXT NOT NULL, plan TEXT NOT NULL,
			granted INTEGER NOT NULL, since INTEGER NOT NULL, expires INTEGER NOT NULL, playback INTEGER NOT NULL, began INTEGER, ends INTEGER NOT NULL,
			provisional INTEGER NOT NULL, downloaded INTEGER, released INTEGER, revoked INTEGER, reason TEXT NOT NULL, plays INTEGER NOT NULL, renewals INTEGER NOT NULL,
			PRIMARY KEY (stream, license)) WITHOUT ROWID`,
		// A license that was released or revoked does not expire.
		`CREATE INDEX ending ON licenses (ends) WHERE released IS NULL AND revoked IS NULL`,
		// Plays can count for a renewal that is recorded after them, if the device's clock is ahead.
		`CREATE TABLE ahead (stream TEXT NOT NULL, license TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (stream, license, at)) WITHOUT ROWID`,
	}}
}

// playBegan is the column began after a play that began at ?3.
const playBegan = "(CASE WHEN max(?3, granted) < since THEN began ELSE min(coalesce(began, max(?3, granted)), max(?3, granted)) END)"

// endsAt computes the column ends, as license.License.ExpiresAt does.
const endsAt = "ends = CASE WHEN playback > 0 AND began IS NOT NULL THEN min(expires, began + playback) ELSE expires END"

func handleLicense(_ context.Context, v *View, e Event) error {
	switch x := e.Event.(type) {
	case license.Granted:
		return insertLicense(v, e.Stream, x, false)
	case license.Promised:
		return insertLicense(v, e.Stream, x.Granted, true)
	case license.Confirmed:
		return one(v.Exec("UPDATE licenses SET provisional = 0, expires = ?3, ends = CASE WHEN playback > 0 AND began IS NOT NULL THEN min(?3, began + playback) ELSE ?3 END WHERE stream = ?1 AND license = ?2",
			e.Stream, x.License, eventstore.Nanos(x.Expires)))
	case license.Downloaded:
		return one(v.Exec("UPDATE licenses SET downloaded = min(coalesce(downloaded, ?3), ?3) WHERE stream = ?1 AND license = ?2", e.Stream, x.License, eventstore.Nanos(x.Occurred)))
	case license.Renewed:
		return renewLicense(v, e.Stream, x)
	case license.Played:
		return playLicense(v, e, x)
	case license.Released:
		return one(v.Exec("UPDATE licenses SET released = min(coalesce(released, ?3), ?3) WHERE stream = ?1 AND license = ?2", e.Stream, x.License, eventstore.Nanos(x.Occurred)))
	case license.Revoked:
		return one(v.Exec("UPDATE licenses SET revoked = ?3, reason = ?4 WHERE stream = ?1 AND license = ?2", e.Stream, x.License, eventstore.Nanos(x.At), x.Reason))
	}
	return unhandled(e)
}

// one turns a change that found no row into an error: the event is about a license that no earlier
// event of its stream granted.
func one(changed int64, err error) error {
	if err == nil && changed != 1 {
		return fmt.Errorf("no earlier event of the stream granted the license (%d rows changed)", changed)
	}
	return err
}

func unhandled(e Event) error {
	return fmt.Errorf("an event of unknown kind %s (%T)", e.Kind(), e.Event)
}

func insertLicense(v *View, stream string, g license.Granted, provisional bool) error {
	at, expires := eventstore.Nanos(g.At), eventstore.Nanos(g.Expires)
	_, err := v.Exec("INSERT INTO licenses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, NULL, NULL, NULL, '', 0, 0)",
		stream, g.License, g.Device, g.Title, g.Studio, g.Plan, at, at, expires, g.PlaybackSeconds*int64(time.Second), expires, provisional)
	return err
}

// renewLicense begins a new period. A play that began before it no longer counts.
func renewLicense(v *View, stream string, x license.Renewed) error {
	at := eventstore.Nanos(x.At)
	if err := one(v.Exec(`UPDATE licenses SET since = ?3, expires = ?4, renewals = renewals + 1,
		began = (SELECT min(a.at) FROM ahead a WHERE a.stream = ?1 AND a.license = ?2 AND a.at >= ?3) WHERE stream = ?1 AND license = ?2`,
		stream, x.License, at, eventstore.Nanos(x.Expires))); err != nil {
		return err
	}
	return one(v.Exec("UPDATE licenses SET "+endsAt+" WHERE stream = ? AND license = ?", stream, x.License))
}

// playLicense counts a play. The first one of a period may end the license earlier.
func playLicense(v *View, e Event, x license.Played) error {
	at := eventstore.Nanos(x.Occurred)
	// A renewal is recorded after the play, so it can only begin before the play if that play is
	// dated after it was recorded. Clocks of servers may differ by a day at most.
	if x.Occurred.After(e.Recorded.Add(-24 * time.Hour)) {
		if _, err := v.Exec("INSERT OR IGNORE INTO ahead VALUES (?, ?, ?)", e.Stream, x.License, at); err != nil {
			return err
		}
	}
	return one(v.Exec("UPDATE licenses SET plays = plays + 1, began = "+playBegan+", ends = CASE WHEN playback > 0 THEN min(expires, coalesce("+playBegan+" + playback, expires)) ELSE expires END WHERE stream = ?1 AND license = ?2",
		e.Stream, x.License, at))
}

// LicenseRow is a license as the view has it.
type LicenseRow struct {
	Stream string
	license.License
	// Ends is when it expires, if nothing ends it before.
	Ends time.Time
}

// StatusAt returns the state at a moment.
func (l LicenseRow) StatusAt(at time.Time) license.Status { return l.License.StatusAt(at) }

const licenseColumns = "stream, license, device, title, studio, plan, granted, since, expires, playback, coalesce(began, 0), ends, provisional, coalesce(downloaded, 0), coalesce(released, 0), coalesce(revoked, 0), reason, plays, renewals"

func scanLicenses(rows *sql.Rows) (all []LicenseRow, err error) {
	err = each(rows, func() error {
		var l LicenseRow
		var granted, since, expires, playback, began, ends, downloaded, released, revoked int64
		if err := rows.Scan(&l.Stream, &l.ID, &l.Device, &l.Title, &l.Studio, &l.Plan, &granted, &since, &expires, &playback, &began, &ends, &l.Provisional,
			&downloaded, &released, &revoked, &l.Reason, &l.PlayCount, &l.RenewalCount); err != nil {
			return err
		}
		l.Playback = time.Duration(playback)
		for _, t := range []struct {
			to   *time.Time
			from int64
		}{{&l.Granted, granted}, {&l.Since, since}, {&l.Expires, expires}, {&l.Began, began}, {&l.Ends, ends}, {&l.Downloaded, downloaded}, {&l.Released, released}, {&l.Revoked, revoked}} {
			*t.to = eventstore.Instant(t.from)
		}
		all = append(all, l)
		return nil
	})
	return all, err
}

// OfStream returns the licenses of a stream after one of them, by id.
func (m *Models) OfStream(ctx context.Context, want Token, wait time.Duration, after string, limit int) (all []LicenseRow, f Freshness, err error) {
	f, err = m.Query(ctx, LicensesName, want, wait, func(ctx context.Context, db *sql.DB) error {
		rows, err := db.QueryContext(ctx, "SELECT "+licenseColumns+" FROM licenses WHERE stream = ? AND license > ? ORDER BY license LIMIT ?", want.Stream, after, limit)
		if err == nil {
			all, err = scanLicenses(rows)
		}
		return err
	})
	return all, f, err
}

// Expiring returns the licenses that expire after one moment and not after another, the soonest
// first. afterStream and afterLicense continue after a license that expires at from.
func (m *Models) Expiring(ctx context.Context, from, until time.Time, afterStream, afterLicense string, limit int) (all []LicenseRow, f Freshness, err error) {
	f, err = m.Query(ctx, LicensesName, Token{}, 0, func(ctx context.Context, db *sql.DB) error {
		rows, err := db.QueryContext(ctx, "SELECT "+licenseColumns+" FROM licenses WHERE released IS NULL AND revoked IS NULL AND ends <= ?1 AND (ends, stream, license) > (?2, ?3, ?4) ORDER BY ends, stream, license LIMIT ?5",
			eventstore.Nanos(until), eventstore.Nanos(from), afterStream, afterLicense, limit)
		if err == nil {
			all, err = scanLicenses(rows)
		}
		return err
	})
	return all, f, err
}
