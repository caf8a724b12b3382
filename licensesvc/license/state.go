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
	Plan   string `json:"plan"`
	Limits Limits `json:"limits"`
	// Granted is when the license was granted. Since is when it was granted or last renewed.
	Granted time.Time `json:"granted"`
	Since   time.Time `json:"since"`
	// Expires is when the license ends if no play begins; see ExpiresAt.
	Expires  time.Time     `json:"expires"`
	Playback time.Duration `json:"playback_ns"`
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
	return s.licenses[i].clone(), true
}

// byID are licenses, sorted by their ids. For the few that most members have, it takes less memory
// than a map, and less time to copy.
type byID []*License

// find returns the place of a license, or the place where it is to be inserted.
func (b byID) find(id string) (int, bool) {
	return slices.BinarySearchFunc(b, id, func(l *License, id string) int { return strings.Compare(l.ID, id) })
}

// Licenses returns all licenses, oldest first.
func (s State) Licenses() []License {
	all := make([]License, 0, len(s.licenses))
	for _, l := range s.licenses {
		all = append(all, l.clone())
	}
	slices.SortFunc(all, func(a, b License) int {
		return cmp.Or(a.Granted.Compare(b.Granted), strings.Compare(a.ID, b.ID))
	})
	return all
}

// clone returns a copy that shares nothing that can change.
func (l *License) clone() License {
	c := *l
	c.Plays, c.PlayDays = slices.Clone(l.Plays), slices.Clone(l.PlayDays)
	c.Newer = slices.Clone(l.Newer)
	c.Renewals, c.Reports = slices.Clone(l.Renewals), slices.Clone(l.Reports)
	return c
}

// usage says how much of each limit is in use at a moment.
type usage struct {
	devices  map[string]bool
	licenses int
	studio   int
	title    int
	plays    int
	// titleFrees and playFrees are when the oldest counted license and play leave the window of a
	// year.
	titleFrees, playFrees time.Time
}

// usageAt counts the use at a moment, for a title of a studio. The license named except is not
// counted as held, so that a decision about it does not count it.
func (s State) usageAt(at time.Time, studio, title, except string) usage {
	return s.usageUntil(at, at, studio, title, except)
}

// usageUntil is usageAt that also counts the plays after the moment, up to until.
func (s State) usageUntil(at, until time.Time, studio, title, except string) usage {
	u := usage{devices: map[string]bool{}}
	from := at.Add(-Year)
	for _, l := range s.licenses {
		if l.ID != except && l.ActiveAt(at) {
			u.devices[l.Device] = true
			u.licenses++
			if l.Studio == studio {
				u.studio++
			}
		}
		if l.Title != title {
			continue
		}
		if l.Granted.After(from) {
			u.title++
			u.titleFrees = earliest(u.titleFrees, l.Granted.Add(Year))
		}
		n, oldest := l.playsBetween(from, until)
		u.plays += n
		if n > 0 {
			u.playFrees = earliest(u.playFrees, oldest.Add(Year))
		}
	}
	return u
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
