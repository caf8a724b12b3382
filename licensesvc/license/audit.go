package license

import (
	"fmt"
	"slices"
	"time"
)

// Violation is a rule that a history has broken.
type Violation struct {
	License string
	Code    Code
	Detail  string
}

// Audit recounts a member's history by brute force, without State. Before each grant it replays
// the earlier events, and compares the grant with the limits that the grant names. Three more
// things are violations: a license granted twice, an event after the license's end, and a promise
// over a limit that was not ended. Plays that a device reports late may exceed a limit, but must
// say so. After an event that this program does not know, nothing is judged.
func Audit(events []Event) []Violation {
	var found []Violation
	add := func(license string, code Code, format string, args ...any) {
		found = append(found, Violation{license, code, fmt.Sprintf(format, args...)})
	}
	for i, e := range events {
		if _, unknown := e.(Unknown); unknown {
			break
		}
		before := events[:i]
		switch e := e.(type) {
		case Granted:
			for _, code := range recount(before, e) {
				add(e.License, code, "granted at %s over its limits %+v", e.At.Format(time.RFC3339), e.Limits)
			}
		case Promised:
			ended := slices.ContainsFunc(events[i:], func(later Event) bool {
				_, revoked := later.(Revoked)
				return revoked && later.Of() == e.License
			})
			if codes := recount(before, e.Granted); len(codes) > 0 && !ended {
				add(e.License, codes[0], "promised at %s over its limits %+v, and not ended", e.At.Format(time.RFC3339), e.Limits)
			}
		case Played:
			l := fold(before, e.License)
			if plays := countPlays(before, l.title, e.Occurred); plays >= l.limits.TitlePlays && !slices.Contains(e.Over, string(PlayYearLimit)) {
				add(e.License, PlayYearLimit, "play %d of %d within a year, not marked", plays+1, l.limits.TitlePlays)
			}
		case Renewed:
			if l := fold(before, e.License); l.over {
				add(e.License, Ended, "renewed at %s after its end", e.At.Format(time.RFC3339))
			}
		}
	}
	return found
}

// recount returns the limits that a grant breaks, given the events before it.
func recount(before []Event, g Granted) []Code {
	var codes []Code
	devices := map[string]bool{}
	held, studio, year := 0, 0, 0
	for _, id := range granted(before) {
		if id == g.License {
			return append(codes, IDTaken)
		}
		l := fold(before, id)
		if l.title == g.Title && l.granted.After(g.At.Add(-Year)) {
			year++
		}
		if l.over || !g.At.Before(l.expires()) {
			continue
		}
		held++
		devices[l.device] = true
		if l.studio == g.Studio {
			studio++
		}
	}
	if !devices[g.Device] && len(devices) >= g.Limits.Devices {
		codes = append(codes, DeviceLimit)
	}
	if g.Limits.Licenses > 0 && held >= g.Limits.Licenses {
		codes = append(codes, LicenseLimit)
	}
	if studio >= g.Limits.StudioDownloads {
		codes = append(codes, StudioLimit)
	}
	if year >= g.Limits.TitleDownloads {
		codes = append(codes, TitleYearLimit)
	}
	return codes
}

func granted(events []Event) []string {
	var ids []string
	for _, e := range events {
		switch e.(type) {
		case Granted, Promised:
			ids = append(ids, e.Of())
		}
	}
	return ids
}

// account is one license as its events describe it.
type account struct {
	device, title, studio  string
	granted, since, expiry time.Time
	playback               time.Duration
	limits                 Limits
	plays                  []time.Time
	over                   bool
}

func (t account) expires() time.Time {
	end := t.expiry
	for _, p := range t.plays {
		if p.Before(t.granted) { // The device's clock is slow.
			p = t.granted
		}
		if !p.Before(t.since) && t.playback > 0 && p.Add(t.playback).Before(end) {
			end = p.Add(t.playback)
		}
	}
	return end
}

func fold(events []Event, id string) account {
	var t account
	begin := func(e Granted) {
		t = account{device: e.Device, title: e.Title, studio: e.Studio, granted: e.At, since: e.At, expiry: e.Expires,
			playback: time.Duration(e.PlaybackSeconds) * time.Second, limits: e.Limits}
	}
	for _, e := range events {
		if e.Of() != id {
			continue
		}
		switch e := e.(type) {
		case Granted:
			begin(e)
		case Promised:
			begin(e.Granted)
		case Confirmed:
			t.expiry = e.Expires
		case Renewed:
			t.expiry, t.since = e.Expires, e.At
		case Played:
			t.plays = append(t.plays, e.Occurred)
		case Released, Revoked:
			t.over = true
		}
	}
	return t
}

func countPlays(events []Event, title string, at time.Time) int {
	n := 0
	for _, e := range events {
		if p, ok := e.(Played); ok && fold(events, p.License).title == title && p.Occurred.After(at.Add(-Year)) && !p.Occurred.After(at) {
			n++
		}
	}
	return n
}
