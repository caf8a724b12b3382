package api

import (
	"fmt"
	"strings"
	"time"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// Basis says on which data of which dependency an answer is based.
type Basis = license.Basis

// License is the JSON form of a license.
type License struct {
	ID          string         `json:"license" doc:"The license's id."`
	Status      string         `json:"status" enum:"active,provisional,expired,released,revoked,unknown" doc:"As of now. unknown: the store could not be asked, or a newer version of the service granted it."`
	Device      string         `json:"device"`
	Title       string         `json:"title"`
	Studio      string         `json:"studio"`
	Plan        string         `json:"plan"`
	Granted     time.Time      `json:"granted,omitzero"`
	Expires     time.Time      `json:"expires,omitzero" doc:"When it ends, counting a play that has begun."`
	NoticeFrom  time.Time      `json:"notice_from,omitzero" doc:"From when the member is to be reminded of the end."`
	Country     string         `json:"country,omitempty" doc:"Where the device was when it was granted or last renewed, if that is known."`
	DeviceKind  string         `json:"device_kind,omitempty" doc:"What the device is, if that is known."`
	Provisional bool           `json:"provisional,omitempty" doc:"Promised; not yet confirmed by the store."`
	Downloaded  *time.Time     `json:"downloaded,omitempty"`
	Plays       int            `json:"plays"`
	Renewals    int            `json:"renewals"`
	Limits      license.Limits `json:"limits" doc:"The limits that it was granted or last renewed under."`
	Reason      string         `json:"reason,omitempty" doc:"Why it was revoked."`
	NewerEvents []string       `json:"newer_events,omitempty" doc:"Events about it that this version of the service can't interpret; the rest is what the others say."`
}

func licenseOf(l license.License, status license.Status) License {
	w := License{
		ID: l.ID, Status: string(status), Device: l.Device, Title: l.Title, Studio: l.Studio, Plan: l.Plan,
		Granted: l.Granted, Expires: l.ExpiresAt(), Provisional: l.Provisional, NoticeFrom: l.NoticeFrom(), Country: l.Country, DeviceKind: l.DeviceKind,
		Plays: l.PlayCount, Renewals: l.RenewalCount, Limits: l.Limits, Reason: l.Reason, NewerEvents: l.Newer,
	}
	if !l.Downloaded.IsZero() {
		w.Downloaded = &l.Downloaded
	}
	if status == "" { // A report was accepted for a license that could not be read.
		w.Status, w.Expires = "unknown", time.Time{}
	}
	return w
}

// Key is a content key, wrapped for the device.
type Key struct {
	ID        string `json:"key_id"`
	Algorithm string `json:"algorithm"`
	Wrapped   []byte `json:"wrapped"`
}

// Answer is the result of a command.
type Answer struct {
	Outcome   string            `json:"outcome" enum:"done,promised,accepted" doc:"done: it is in the store. promised: granted for a short time, the store will have it. accepted: noted, the store will have it."`
	License   License           `json:"license"`
	Key       *Key              `json:"key,omitempty"`
	Token     string            `json:"token,omitempty" doc:"The signed promise of a provisional license."`
	Warnings  []license.Warning `json:"warnings,omitempty"`
	DecidedOn []Basis           `json:"decided_on" doc:"The data that the answer rests on."`
	Repeated  bool              `json:"repeated,omitempty" doc:"The same key was answered before."`
	Version   int64             `json:"version,omitempty" doc:"The version of the member's stream."`
}

func answerOf(a app.Answer) Answer {
	w := Answer{
		Outcome: string(a.Outcome), License: licenseOf(a.License, a.Status), Token: a.Token, Warnings: a.Warnings,
		DecidedOn: on(a.DecidedOn), Repeated: a.Repeated, Version: a.Version,
	}
	if a.Key != nil {
		w.Key = &Key{ID: a.Key.ID, Algorithm: a.Key.Algorithm, Wrapped: a.Key.Wrapped}
	}
	return w
}

// on returns the bases as a list that is never null in JSON.
func on(b []license.Basis) []Basis {
	if b == nil {
		return []Basis{}
	}
	return b
}

// etag returns the entity tag of what a version of a stream shows. An answer that was not
// decided on live data of the store has none, because it may be older than its version says.
func etag(version int64, bases []license.Basis) string {
	for _, b := range bases {
		if b.Dependency == app.EventStore && b.Source != "live" {
			return ""
		}
	}
	if version == 0 {
		return ""
	}
	return fmt.Sprintf(`"%d"`, version)
}

// licenseTag returns the entity tag of one license, which is the same in the answers of
// commands and when it is read. The status of a license changes as time passes.
func licenseTag(answer app.Answer) string {
	tag := etag(answer.Version, answer.DecidedOn)
	if tag == "" {
		return ""
	}
	return strings.TrimSuffix(tag, `"`) + "-" + string(answer.Status) + `"`
}

// StoryEvent is one event of a story.
type StoryEvent struct {
	Version  int64     `json:"version" doc:"Its place in the member's stream."`
	Index    int       `json:"index,omitempty" doc:"Its place among the events that a stored event of an older version was split into."`
	Type     string    `json:"type"`
	Occurred time.Time `json:"occurred"`
	Recorded time.Time `json:"recorded" doc:"When it was asked to be stored; later than occurred for what a device reported late."`
	Commit   string    `json:"commit"`
	Cause    string    `json:"cause,omitempty"`
	Trace    string    `json:"trace,omitempty" doc:"The trace id; open it in Jaeger."`
	Actor    string    `json:"actor,omitempty"`
	What     any       `json:"event" doc:"The event as it is stored, with the rules and the data that it was decided on."`
}

// Story lists everything that happened to a license.
type Story struct {
	License   License      `json:"license"`
	Events    []StoryEvent `json:"events" doc:"The newest events, at most 1000, the oldest first."`
	Earlier   int          `json:"earlier,omitempty" doc:"How many events there are before them."`
	Waiting   bool         `json:"waiting,omitempty" doc:"The store has not taken everything yet."`
	DecidedOn []Basis      `json:"decided_on"`
	Version   int64        `json:"version"`
}

func storyOf(s app.Story) Story {
	w := Story{License: licenseOf(s.License, s.Status), Events: make([]StoryEvent, 0, len(s.Events)), Earlier: s.Earlier, Waiting: s.Waiting, DecidedOn: on(s.DecidedOn), Version: s.Version}
	for _, e := range s.Events {
		w.Events = append(w.Events, StoryEvent{
			Version: e.Version, Index: e.Index, Type: e.Event.Kind(), Occurred: e.Occurred, Recorded: e.Recorded,
			Commit: e.Commit, Cause: e.Cause, Trace: e.Trace, Actor: e.Actor, What: e.Event,
		})
	}
	return w
}

// Page is a part of a member's licenses, the oldest first.
type Page struct {
	Licenses    []License `json:"licenses"`
	Next        string    `json:"next,omitempty" doc:"Give it as after to go on."`
	DecidedOn   []Basis   `json:"decided_on"`
	Version     int64     `json:"version"`
	Partial     bool      `json:"partial,omitempty" doc:"The store could not be asked: there may be licenses that are not listed."`
	NewerEvents []string  `json:"newer_events,omitempty" doc:"Events about the member that this version of the service can't interpret: there may be licenses that are not listed."`
}
