package license

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The number of a license's newest plays, renewals and reports that are kept one by one.
const (
	keptPlays    = 64
	keptPlayDays = 400 // more than a year
	keptRenewals = 64
	keptReports  = 128
	// endedReports and endedRenewals are kept of a license that has ended.
	endedReports  = 32
	endedRenewals = 16
)

// Evolve returns the state after the event; the given state does not change. An event that does
// not fit, such as one about a license that does not exist, is an error that names the event. It
// means that the stream is damaged, and Evolve does not guess.
func Evolve(s State, e Event) (State, error) { return Fold(s, e) }

// Fold returns the state after several events. However many there are, it copies each license
// that they change once.
func Fold(s State, events ...Event) (State, error) {
	if len(events) == 0 {
		return s, nil
	}
	d := &draft{base: s.licenses, newer: s.newer}
	for _, e := range events {
		if err := d.apply(e); err != nil {
			return s, err
		}
	}
	return State{licenses: d.base.with(d.changed), newer: d.newer}, nil
}

// draft is a state that is being made from another one.
type draft struct {
	base    byID
	changed []*License // the new licenses and those that change, sorted by id; they belong to the draft
	newer   []string
}

// find returns the place of a changed license, or the place where it is to be inserted.
func (d *draft) find(id string) (int, bool) {
	return slices.BinarySearchFunc(d.changed, id, func(l *License, id string) int { return strings.Compare(l.ID, id) })
}

// change returns a license that may be changed.
func (d *draft) change(id string) (*License, bool) {
	i, ok := d.find(id)
	if ok {
		return d.changed[i], true
	}
	at, ok := d.base.find(id)
	if !ok {
		return nil, false
	}
	own := d.base[at].license().clone()
	d.changed = slices.Insert(d.changed, i, &own)
	return &own, true
}

// add adds a license.
func (d *draft) add(id string) *License {
	l := &License{ID: id}
	i, _ := d.find(id)
	d.changed = slices.Insert(d.changed, i, l)
	return l
}

func (d *draft) apply(e Event) error {
	switch e := e.(type) {
	case Granted:
		return d.grant(e, false)
	case Promised:
		return d.grant(e.Granted, true)
	case Unknown:
		d.mark(e)
		return nil
	}
	l, ok := d.change(e.Of())
	if !ok {
		return fmt.Errorf("license: event %s is about license %q, which no earlier event granted", e.Kind(), e.Of())
	}
	switch e := e.(type) {
	case Confirmed:
		l.Provisional, l.Expires = false, e.Expires.UTC()
	case Downloaded:
		l.Downloaded = earliest(l.Downloaded, e.Occurred.UTC())
		l.reported(e.Report)
	case Renewed:
		l.renew(e)
	case Played:
		l.play(e.Occurred.UTC())
		l.reported(e.Report)
	case Released:
		l.Released = earliest(l.Released, e.Occurred.UTC())
		l.shrink()
	case Revoked:
		l.Revoked, l.Reason = e.At.UTC(), e.Reason
		l.shrink()
	default:
		return fmt.Errorf("license: event of unknown kind %s (%T)", e.Kind(), e)
	}
	return nil
}

func (d *draft) grant(e Granted, provisional bool) error {
	l, ok := d.change(e.License)
	switch {
	case !ok:
		l = d.add(e.License)
	case l.granted():
		return fmt.Errorf("license: license %q is granted twice in its stream", e.License)
	}
	*l = License{
		ID: e.License, Device: e.Device, Title: e.Title, Studio: e.Studio, Plan: e.Plan, Country: e.Country, DeviceKind: e.DeviceKind, Limits: e.Limits,
		Notice: time.Duration(e.NoticeSeconds) * time.Second, Granted: e.At.UTC(), Since: e.At.UTC(), Expires: e.Expires.UTC(), Playback: time.Duration(e.PlaybackSeconds) * time.Second,
		Provisional: provisional, Newer: l.Newer,
	}
	return nil
}

func (l *License) renew(e Renewed) {
	l.Expires, l.Since = e.Expires.UTC(), e.At.UTC()
	l.RenewalCount++
	l.Renewals = newest(append(l.Renewals, e.Request), keptRenewals)
	i, _ := slices.BinarySearchFunc(l.Renewed, l.Since, time.Time.Compare)
	l.Renewed = slices.Insert(l.Renewed, i, l.Since)
	if n := len(l.Renewed) - keptRenewals; n > 0 {
		l.Renewed = slices.Delete(l.Renewed, 0, n)
	}
	if e.Limits != (Limits{}) {
		l.Plan, l.Country, l.Limits, l.Notice = e.Plan, e.Country, e.Limits, time.Duration(e.NoticeSeconds)*time.Second
	}
	l.Began = time.Time{}
	for _, p := range l.Plays {
		l.begin(p)
	}
}

// begin notes that a play began.
func (l *License) begin(at time.Time) {
	if at.Before(l.Granted) {
		at = l.Granted
	}
	if !at.Before(l.Since) {
		l.Began = earliest(l.Began, at)
	}
}

func (l *License) play(at time.Time) {
	l.begin(at)
	l.PlayCount++
	l.FirstPlay = earliest(l.FirstPlay, at)
	i, _ := slices.BinarySearchFunc(l.Plays, at, time.Time.Compare)
	l.Plays = slices.Insert(l.Plays, i, at)
	if len(l.Plays) > keptPlays {
		l.countDay(l.Plays[0])
		l.Plays = slices.Delete(l.Plays, 0, 1)
	}
}

// countDay counts a play that is no longer kept one by one.
func (l *License) countDay(at time.Time) {
	day := dayOf(at)
	i, found := slices.BinarySearchFunc(l.PlayDays, day, func(d PlayDay, day int64) int { return cmp.Compare(d.Day, day) })
	if found {
		l.PlayDays[i].Plays++
		return
	}
	l.PlayDays = slices.Insert(l.PlayDays, i, PlayDay{Day: day, Plays: 1})
	if len(l.PlayDays) > keptPlayDays {
		l.PlayDays = slices.Delete(l.PlayDays, 0, 1)
	}
}

func dayOf(t time.Time) int64 {
	seconds := t.Unix()
	day := seconds / 86400
	if seconds%86400 < 0 {
		day--
	}
	return day
}

// playsBetween counts the plays after one moment and not after another. It is exact as long as fewer
// than 64 plays are counted. Beyond that, the older plays count for the whole of the days on which
// from and until lie.
func (l *License) playsBetween(from, until time.Time) (n int) {
	for _, p := range l.Plays {
		if p.After(from) && !p.After(until) {
			n++
		}
	}
	first, last := dayOf(from), dayOf(until)
	for _, d := range l.PlayDays {
		if d.Day >= first && d.Day <= last {
			n += d.Plays
		}
	}
	return n
}

func (l *License) reported(id string) {
	kept := keptReports
	if l.Ended() {
		kept = endedReports
	}
	l.Reports = newest(append(l.Reports, id), kept)
}

// shrink leaves of an ended license what rules and answers need.
func (l *License) shrink() {
	l.Reports = slices.Clip(newest(l.Reports, endedReports))
	l.Renewals = slices.Clip(newest(l.Renewals, endedRenewals))
	l.Plays, l.PlayDays = slices.Clip(l.Plays), slices.Clip(l.PlayDays)
}

// newest drops the oldest ids beyond a number. The slice must belong to the caller.
func newest(ids []string, n int) []string {
	if over := len(ids) - n; over > 0 {
		return slices.Delete(ids, 0, over)
	}
	return ids
}
