package license

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Status is the state of a license at a given moment.
type Status string

// These are the states of a license.
const (
	StatusActive      Status = "active"
	StatusProvisional Status = "provisional"
	StatusExpired     Status = "expired"
	StatusReleased    Status = "released"
	StatusRevoked     Status = "revoked"
	// StatusUnknown: a newer program granted the license in a way that this one can't interpret.
	StatusUnknown Status = "unknown"
)

// License is one license of a member, as its events describe it. It is a value: what a State
// returns may be kept and changed. What grows with the number of events is bounded; see the fields.
type License struct {
	ID     string `json:"license"`
	Device string `json:"device"`
	Title  string `json:"title"`
	Studio string `json:"studio"`
	// Plan, Country and Limits are those of the grant or of the last renewal.
	Plan       string `json:"plan"`
	Country    string `json:"country,omitempty"`
	DeviceKind string `json:"device_kind,omitempty"`
	Limits     Limits `json:"limits"`
	// Granted is when the license was granted. Since is when it was granted or last renewed.
	Granted time.Time `json:"granted"`
	Since   time.Time `json:"since"`
	// Expires is when the license ends if no play begins; see ExpiresAt.
	Expires  time.Time     `json:"expires"`
	Playback time.Duration `json:"playback_ns"`
	// Notice is how long before its end the member is reminded of it. 0: not at all.
	Notice time.Duration `json:"notice_ns,omitempty"`
	// Began is when the first play since Since began, or zero. A play that a device dates before
	// the grant began at the grant.
	Began time.Time `json:"began,omitzero"`
	// Provisional is true if the license was promised and is not yet confirmed.
	Provisional bool      `json:"provisional,omitempty"`
	Downloaded  time.Time `json:"downloaded,omitzero"`
	// PlayCount is the number of plays, and FirstPlay is when the first one began.
	PlayCount int       `json:"play_count,omitempty"`
	FirstPlay time.Time `json:"first_play,omitzero"`
	// Plays are the times at which plays began, the oldest first. Only the newest are kept, at most
	// 64. PlayDays counts the others.
	Plays    []time.Time `json:"plays,omitempty"`
	PlayDays []PlayDay   `json:"play_days,omitempty"`
	// RenewalCount is the number of renewals. Renewals are the ids of the newest ones, at most 64.
	RenewalCount int      `json:"renewal_count,omitempty"`
	Renewals     []string `json:"renewals,omitempty"`
	// Renewed are the times of the newest renewals, at most 64, the oldest first.
	Renewed []time.Time `json:"renewed,omitempty"`
	// Reports are the ids of the newest device reports that were recorded: at most 128, and at most
	// 32 once the license has ended. An older report that is sent again is found in the event store
	// by its commit.
	Reports  []string  `json:"reports,omitempty"`
	Released time.Time `json:"released,omitzero"`
	Revoked  time.Time `json:"revoked,omitzero"`
	Reason   string    `json:"reason,omitempty"`
	// Newer lists the types of the events about the license that this program does not know. The
	// rest is what the known events say.
	Newer []string `json:"newer_events,omitempty"`
}

// PlayDay is the number of older plays on one day.
type PlayDay struct {
	// Day is the number of days since 1970, in UTC.
	Day   int64 `json:"d"`
	Plays int   `json:"n"`
}

// ExpiresAt returns when the license ends: at Expires, or Playback after the first play since it
// was granted or renewed, whichever comes first. For a play that was reported late, the time when
// it began counts.
func (l License) ExpiresAt() time.Time {
	if !l.Began.IsZero() && l.Playback > 0 {
		if end := l.Began.Add(l.Playback); end.Before(l.Expires) {
			return end
		}
	}
	return l.Expires
}

// NoticeFrom returns from when the member is to be reminded of the license's end, or the zero time.
func (l License) NoticeFrom() time.Time {
	if l.Notice == 0 || l.Ended() {
		return time.Time{}
	}
	return l.ExpiresAt().Add(-l.Notice)
}

// StatusAt returns the state of the license at a moment.
func (l License) StatusAt(at time.Time) Status {
	switch {
	case !l.Revoked.IsZero():
		return StatusRevoked
	case !l.Released.IsZero():
		return StatusReleased
	case !l.granted():
		return StatusUnknown
	case !at.Before(l.ExpiresAt()):
		return StatusExpired
	case l.Provisional:
		return StatusProvisional
	}
	return StatusActive
}

// ActiveAt reports whether the device may play at that moment.
func (l License) ActiveAt(at time.Time) bool {
	s := l.StatusAt(at)
	return s == StatusActive || s == StatusProvisional
}

// Ended reports whether the license was released or revoked.
func (l License) Ended() bool { return !l.Revoked.IsZero() || !l.Released.IsZero() }

// State holds a member's licenses, folded from the member's events. The zero value is a member
// without events. A State never changes, so it may be shared between goroutines.
type State struct {
	// licenses are all licenses. Neither the slice nor a license in it changes once it is part of a
	// state.
	licenses byID
	// newer lists the unknown events that name no license.
	newer []string
}

// License returns a license by its id.
func (s State) License(id string) (License, bool) {
	i, ok := s.licenses.find(id)
	if !ok {
		return License{}, false
	}
	return s.licenses[i].license().clone(), true
}

// Licenses returns all licenses, oldest first.
func (s State) Licenses() []License {
	all := make([]License, 0, len(s.licenses))
	for _, p := range s.licenses {
		all = append(all, p.license().clone())
	}
	slices.SortFunc(all, func(a, b License) int {
		return cmp.Or(a.Granted.Compare(b.Granted), strings.Compare(a.ID, b.ID))
	})
	return all
}

// clone returns a copy that shares nothing that can change.
func (l License) clone() License {
	c := l
	c.Plays, c.PlayDays = slices.Clone(l.Plays), slices.Clone(l.PlayDays)
	c.Newer, c.Renewed = slices.Clone(l.Newer), slices.Clone(l.Renewed)
	c.Renewals, c.Reports = slices.Clone(l.Renewals), slices.Clone(l.Reports)
	return c
}
