package timeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/licensesvc/license"
)

// Decision is one event of a history with all that explains it.
type Decision struct {
	Version int64 `json:"version"`
	// Index counts the events that the stored event was split into, from 0.
	Index    int       `json:"index,omitempty"`
	Type     string    `json:"type"`
	Schema   int       `json:"schema"`
	License  string    `json:"license,omitempty"`
	Occurred time.Time `json:"occurred"`
	Recorded time.Time `json:"recorded"`
	Commit   string    `json:"commit"`
	Cause    string    `json:"cause,omitempty"`
	Trace    string    `json:"trace,omitempty"`
	Actor    string    `json:"actor,omitempty"`
	// What says in one sentence what happened.
	What string `json:"what"`
	// DecidedOn lists the data that was used. Rules and Terms name the versions of the service's
	// rules and of the studio's terms. They are empty for events that record what a device or an
	// operator did.
	DecidedOn []license.Basis `json:"decided_on,omitempty"`
	Rules     string          `json:"rules,omitempty"`
	Terms     string          `json:"terms,omitempty"`
	// Limits says how much of each limit was in use after the event.
	Limits []Limit `json:"limits,omitempty"`
	// Over names the limits that were exceeded nevertheless.
	Over []string `json:"over,omitempty"`
	// Unknown is true if a newer program wrote the event. Data is then its stored form, unchanged.
	Unknown bool            `json:"unknown,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// Limit is one limit and how much of it is in use.
type Limit struct {
	Name string `json:"name"`
	Used int    `json:"used"`
	// Of is the limit. A limit that does not exist is not listed.
	Of int `json:"of"`
}

// Replay folds a history and describes each of its events. The zero value is ready. A Replay must
// not be used concurrently.
type Replay struct{ state license.State }

// Add folds the next entry of the stream and returns its decisions.
func (r *Replay) Add(e Entry) ([]Decision, error) {
	var all []Decision
	for i, event := range e.Events {
		next, err := fold(r.state, e, []license.Event{event})
		if err != nil {
			return nil, err
		}
		d := Decision{
			Version: e.Stored.Version, Index: i, Type: e.Stored.Type, Schema: e.Stored.Schema, License: event.Of(),
			Occurred: e.Stored.Occurred, Recorded: e.Stored.Recorded, Commit: e.Stored.Commit, Cause: e.Stored.Cause, Trace: e.Stored.Trace, Actor: e.Stored.Actor,
		}
		d.explain(event, r.state)
		if l, ok := next.License(event.Of()); ok && counts(event) {
			d.Limits = limitsOf(l, next.UseAt(event.When(), l))
		}
		r.state = next
		all = append(all, d)
	}
	return all, nil
}

// counts reports whether an event is of a kind that the limits are about.
func counts(e license.Event) bool {
	switch e.(type) {
	case license.Granted, license.Promised, license.Confirmed, license.Renewed, license.Played:
		return true
	}
	return false
}

func limitsOf(l license.License, used license.Limits) []Limit {
	all := []Limit{
		{"devices", used.Devices, l.Limits.Devices},
		{"studio_downloads", used.StudioDownloads, l.Limits.StudioDownloads},
		{"title_downloads_per_year", used.TitleDownloads, l.Limits.TitleDownloads},
		{"title_plays_per_year", used.TitlePlays, l.Limits.TitlePlays},
	}
	for _, optional := range []Limit{
		{"licenses", used.Licenses, l.Limits.Licenses},
		{"device_downloads", used.DeviceDownloads, l.Limits.DeviceDownloads},
		{"title_renewals_per_year", used.TitleRenewals, max(0, l.Limits.TitleRenewals)},
		{"downloads_per_month", used.MonthDownloads, l.Limits.MonthDownloads},
	} {
		if optional.Of > 0 {
			all = append(all, optional)
		}
	}
	return all
}

// explain fills in what the event itself says. before is the state before it.
func (d *Decision) explain(event license.Event, before license.State) {
	switch e := event.(type) {
	case license.Granted:
		d.grant(e, "was granted")
	case license.Promised:
		d.grant(e.Granted, "was promised while the event store could not be reached,")
		d.Over = e.Over
	case license.Confirmed:
		d.What = fmt.Sprintf("the promise of license %s was confirmed; it lasts until %s", e.License, stamp(e.Expires))
	case license.Downloaded:
		d.What = fmt.Sprintf("the device reported that it has the file of license %s (report %s)", e.License, e.Report)
	case license.Renewed:
		d.What = fmt.Sprintf("license %s was renewed until %s (request %s)", e.License, stamp(e.Expires), e.Request)
		d.DecidedOn, d.Rules, d.Terms = e.Basis, e.Rules, e.Terms
	case license.Played:
		d.What = fmt.Sprintf("a play began under license %s (report %s)", e.License, e.Report)
		d.Over = e.Over
	case license.Released:
		d.What = fmt.Sprintf("license %s was given back", e.License)
	case license.Revoked:
		d.What = fmt.Sprintf("license %s was revoked: %s", e.License, e.Reason)
	case license.Unknown:
		d.unknown(e)
	default:
		d.What = fmt.Sprintf("%s happened to license %s", event.Kind(), event.Of())
	}
	if l, ok := before.License(event.Of()); ok && d.DecidedOn == nil && l.Title != "" {
		d.What += fmt.Sprintf(" [title %s on device %s]", l.Title, l.Device)
	}
}

func (d *Decision) grant(e license.Granted, how string) {
	d.What = fmt.Sprintf("license %s %s for title %s of studio %s on device %s, plan %s, until %s", e.License, how, e.Title, e.Studio, e.Device, e.Plan, stamp(e.Expires))
	if e.PlaybackSeconds > 0 {
		d.What += fmt.Sprintf(", or %s after the first play", time.Duration(e.PlaybackSeconds)*time.Second)
	}
	d.DecidedOn, d.Rules, d.Terms = e.Basis, e.Rules, e.Terms
}

func (d *Decision) unknown(e license.Unknown) {
	d.Unknown, d.Data = true, e.Data
	if !json.Valid(e.Data) {
		d.Data = nil // A text that is no JSON could not be printed as JSON.
	}
	about := "the member"
	if e.License != "" {
		about = "license " + e.License
	}
	d.What = fmt.Sprintf("something happened to %s that this program does not know: a newer one wrote %s@%d", about, e.Type, e.Schema)
}

// Lines describes the decision for people: a line for what happened, and one for each thing that
// explains it.
func (d Decision) Lines() []string {
	number := fmt.Sprint(d.Version)
	if d.Index > 0 {
		number += fmt.Sprintf(".%d", d.Index)
	}
	lines := []string{fmt.Sprintf("%s  %s  %s", number, stamp(d.Occurred), d.What)}
	add := func(format string, args ...any) { lines = append(lines, "    "+fmt.Sprintf(format, args...)) }
	if late := d.Recorded.Sub(d.Occurred); late >= time.Second {
		add("recorded %s, %s after it happened", stamp(d.Recorded), late.Round(time.Second))
	}
	if len(d.DecidedOn) > 0 {
		add("decided on %s", strings.Join(bases(d.DecidedOn), ", "))
	}
	if d.Rules != "" {
		add("under rules %s and terms %s", d.Rules, d.Terms)
	}
	if len(d.Limits) > 0 {
		add("limits: %s", strings.Join(limitWords(d.Limits), ", "))
	}
	if len(d.Over) > 0 {
		add("over the limit nevertheless: %s", strings.Join(d.Over, ", "))
	}
	if d.Unknown {
		add("stored as %s", d.Data)
	}
	who := []string{"commit " + d.Commit}
	for _, part := range []struct{ name, value string }{{"actor", d.Actor}, {"cause", d.Cause}, {"trace", d.Trace}} {
		if part.value != "" {
			who = append(who, part.name+" "+part.value)
		}
	}
	add("%s", strings.Join(who, ", "))
	return lines
}

func bases(all []license.Basis) []string {
	words := make([]string, 0, len(all))
	for _, b := range all {
		text := b.Dependency + " " + b.Source
		if b.AgeSeconds > 0 {
			text += fmt.Sprintf(" (%s old)", time.Duration(b.AgeSeconds)*time.Second)
		}
		words = append(words, text)
	}
	return slices.Clip(words)
}

// limitNames are the limits in words.
var limitNames = map[string]string{
	"devices": "devices", "licenses": "licenses", "device_downloads": "licenses on the device", "studio_downloads": "licenses of the studio",
	"title_downloads_per_year": "licenses of the title in a year", "title_plays_per_year": "plays of the title in a year",
	"title_renewals_per_year": "renewals of the title in a year", "downloads_per_month": "licenses in the month",
}

func limitWords(all []Limit) []string {
	words := make([]string, 0, len(all))
	for _, l := range all {
		words = append(words, fmt.Sprintf("%d of %d %s", l.Used, l.Of, limitNames[l.Name]))
	}
	return words
}
