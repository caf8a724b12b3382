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

// Audit recounts a member's history by brute force, without State. Before each grant and renewal it replays
// the earlier events, and compares the grant, or the renewal, with the limits that it names. Three more
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
			for _, code := range recountRenewal(before, e) {
				add(e.License, code, "renewed at %s over its limits %+v", e.At.Format(time.RFC3339), e.Limits)
			}
		}
	}
	return found
}

// recount returns the limits that a grant breaks, given the events before it.
func recount(before []Event, g Granted) []Code {
	year, month := 0, 0
	for _, id := range granted(before) {
		if id == g.License {
			return []Code{IDTaken}
		}
		l := fold(before, id)
		if l.title == g.Title && l.granted.After(g.At.Add(-Year)) {
			year++
		}
		if l.granted.UTC().Format("2006-01") == g.At.UTC().Format("2006-01") {
			month++
		}
	}
	held := recountHeld(before, g.At, g.License, g.Device, g.Studio)
	var codes []Code
	if !held.devices[g.Device] && len(held.devices) >= g.Limits.Devices {
		codes = append(codes, DeviceLimit)
	}
	codes = append(codes, held.over(g.Limits)...)
	if year >= g.Limits.TitleDownloads {
		codes = append(codes, TitleYearLimit)
	}
	if g.Limits.MonthDownloads > 0 && month >= g.Limits.MonthDownloads {
		codes = append(codes, MonthLimit)
	}
	return codes
}

// recountRenewal returns the limits that a renewal breaks, given the events before it. Renewals of
// an older program name no limits.
func recountRenewal(before []Event, e Renewed) []Code {
	l := fold(before, e.License)
	if e.Limits == (Limits{}) {
		return nil
	}
	held := recountHeld(before, e.At, e.License, l.device, l.studio)
	codes := held.over(e.Limits)
	held.devices[l.device] = true
	if len(held.devices) > e.Limits.Devices {
		codes = append(codes, DeviceLimit)
	}
	renewals := 0
	for _, earlier := range before {
		if r, ok := earlier.(Renewed); ok && fold(before, r.License).title == l.title && r.At.After(e.At.Add(-Year)) {
			renewals++
		}
	}
	if n := e.Limits.TitleRenewals; n != 0 && renewals >= max(0, n) {
		codes = append(codes, TitleRenewalLimit)
	}
	return codes
}

// heldLicenses is what a member holds at a moment.
type heldLicenses struct {
	devices                 map[string]bool
	all, onDevice, ofStudio int
}

func recountHeld(before []Event, at time.Time, except, device, studio string) heldLicenses {
	held := heldLicenses{devices: map[string]bool{}}
	for _, id := range granted(before) {
		l := fold(before, id)
		if id == except || l.over || !at.Before(l.expires()) {
			continue
		}
		held.all++
		held.devices[l.device] = true
		if l.device == device {
			held.onDevice++
		}
		if l.studio == studio {
			held.ofStudio++
		}
	}
	return held
}

// over returns the limits that one more license exceeds, except that of devices.
func (h heldLicenses) over(l Limits) (codes []Code) {
	if l.DeviceDownloads > 0 && h.onDevice >= l.DeviceDownloads {
		codes = append(codes, DeviceDownloadLimit)
	}
	if l.Licenses > 0 && h.all >= l.Licenses {
		codes = append(codes, LicenseLimit)
	}
	if h.ofStudio >= l.StudioDownloads {
		codes = append(codes, StudioLimit)
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
			if e.Limits != (Limits{}) {
				t.limits = e.Limits
			}
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
