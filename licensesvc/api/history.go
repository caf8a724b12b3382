package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/timeline"
)

// The highest numbers of licenses and of changes in one answer about the past.
const (
	maxPast    = 200
	maxChanges = 1000
)

const historyPath = "/v1/members/{member}/history"

// PastState is a member's state at a version or at a time.
type PastState struct {
	Point    string    `json:"point" doc:"What the state answers, in words."`
	Version  int64     `json:"version" doc:"The last event that counts. 0: none."`
	Events   int64     `json:"event_count" doc:"How many events count. By occurred time it can be smaller than the version, because reports come late."`
	AsOf     time.Time `json:"as_of" doc:"The moment for which the statuses are given: the time that was asked for; for a version, when it was recorded; else now."`
	Licenses []License `json:"licenses" doc:"The oldest first."`
	// Omitted is the number of older licenses that are left out.
	Omitted     int      `json:"omitted,omitempty" doc:"The number of older licenses that are left out; ask for one by license."`
	NewerEvents []string `json:"newer_events,omitempty" doc:"Events about the member that this version of the service can't interpret."`
	Newest      int64    `json:"newest_version" doc:"The newest version of the member's history."`
	DecidedOn   []Basis  `json:"decided_on"`
}

// PastChange is one field that differs between two states.
type PastChange struct {
	License string `json:"license,omitempty" doc:"Missing: the field is one of the member."`
	Field   string `json:"field" doc:"As in the stored state; fields of limits are written as limits.devices."`
	Before  any    `json:"before,omitempty" doc:"Missing: the earlier state does not have the field."`
	After   any    `json:"after,omitempty" doc:"Missing: the later state does not have the field."`
}

// PastDiff is the difference between two states of a member.
type PastDiff struct {
	From      string       `json:"from" doc:"The first state, in words."`
	To        string       `json:"to" doc:"The second state, in words."`
	Changes   []PastChange `json:"changes" doc:"Each field that differs. Empty: the states are equal."`
	Words     []string     `json:"words" doc:"The same in sentences."`
	Omitted   int          `json:"omitted,omitempty" doc:"The number of changes that are left out; ask for one license."`
	Newest    int64        `json:"newest_version" doc:"The newest version of the member's history."`
	DecidedOn []Basis      `json:"decided_on"`
}

type pastInput struct {
	Member  string `path:"member" minLength:"1" maxLength:"64" pattern:"^[!-~]*[!-\\-/-~][!-~]*$" patternDescription:"visible ASCII characters, not only dots" doc:"The member's id."`
	License string `query:"license" maxLength:"64" doc:"Only this license."`
	Version string `query:"version" pattern:"^([0-9]{1,18})?$" patternDescription:"a version" doc:"The state after this many events."`
	At      string `query:"at" pattern:"^([0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}))?)?$" patternDescription:"a time or a day" doc:"The state at this time of RFC 3339, or at the beginning of this day in UTC."`
	By      string `query:"by" enum:"recorded,occurred" doc:"Which time at is compared with: recorded (what was known then; the default) or occurred (what had happened then)."`
}

type diffInput struct {
	Member  string `path:"member" minLength:"1" maxLength:"64" pattern:"^[!-~]*[!-\\-/-~][!-~]*$" patternDescription:"visible ASCII characters, not only dots" doc:"The member's id."`
	License string `query:"license" maxLength:"64" doc:"Only this license."`
	From    string `query:"from" pattern:"^([0-9]{1,18}|[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}))?)?$" patternDescription:"a version, a time or a day" doc:"A version or a time. Default: the beginning."`
	To      string `query:"to" pattern:"^([0-9]{1,18}|[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}))?)?$" patternDescription:"a version, a time or a day" doc:"A version or a time. Default: now."`
	By      string `query:"by" enum:"recorded,occurred" doc:"Which time a time is compared with: recorded (what was known then; the default) or occurred (what had happened then)."`
}

// history registers the questions about the past.
func (a *API) history(h huma.API) {
	huma.Register(h, a.operation(h, "show-history", "A member's state at a version or at a time", http.MethodGet, historyPath, Read, http.StatusOK),
		func(ctx context.Context, in *pastInput) (*struct{ Body *PastState }, error) {
			body, err := a.past(ctx, in)
			if err != nil {
				return nil, a.refuse(ctx, err)
			}
			return &struct{ Body *PastState }{body}, nil
		})
	huma.Register(h, a.operation(h, "show-changes", "How a member's state differs between two versions or times", http.MethodGet, historyPath+"/changes", Read, http.StatusOK),
		func(ctx context.Context, in *diffInput) (*struct{ Body *PastDiff }, error) {
			body, err := a.changes(ctx, in)
			if err != nil {
				return nil, a.refuse(ctx, err)
			}
			return &struct{ Body *PastDiff }{body}, nil
		})
}

func (a *API) past(ctx context.Context, in *pastInput) (*PastState, error) {
	if in.Version != "" && (in.At != "" || in.By != "") {
		return nil, fmt.Errorf("%w: version can't be given with at or by: give one of them", app.ErrNoVersion)
	}
	text := in.At
	if in.Version != "" {
		text = in.Version
	}
	point, err := pointOf(text, in.By)
	if err != nil {
		return nil, err
	}
	past, err := a.app.History(ctx, in.Member, point)
	if err != nil {
		return nil, err
	}
	n := note(ctx)
	n.License, n.Outcome, n.On = in.License, string(app.Done), past.DecidedOn
	s := past.States[0]
	body := &PastState{Point: point.String(), Version: s.Version, Events: s.Events, AsOf: s.AsOf, Licenses: []License{}, NewerEvents: s.Member.Newer(), Newest: past.Version, DecidedOn: on(past.DecidedOn)}
	all := s.Licenses(in.License)
	if over := len(all) - maxPast; over > 0 {
		all, body.Omitted = all[over:], over
	}
	for _, l := range all {
		body.Licenses = append(body.Licenses, licenseOf(l.License, l.Status))
	}
	return body, nil
}

func (a *API) changes(ctx context.Context, in *diffInput) (*PastDiff, error) {
	if in.From == "" {
		in.From = "0"
	}
	from, err := pointOf(in.From, in.By)
	if err != nil {
		return nil, err
	}
	to, err := pointOf(in.To, in.By)
	if err != nil {
		return nil, err
	}
	past, err := a.app.History(ctx, in.Member, from, to)
	if err != nil {
		return nil, err
	}
	changes, err := timeline.Diff(past.States[0], past.States[1], in.License)
	if err != nil {
		return nil, err
	}
	n := note(ctx)
	n.License, n.Outcome, n.On = in.License, string(app.Done), past.DecidedOn
	body := &PastDiff{From: from.String(), To: to.String(), Changes: []PastChange{}, Newest: past.Version, DecidedOn: on(past.DecidedOn)}
	if over := len(changes) - maxChanges; over > 0 {
		changes, body.Omitted = changes[:maxChanges], over
	}
	body.Words = timeline.InWords(changes)
	for _, c := range changes {
		change := PastChange{License: c.License, Field: c.Field}
		if c.Before != nil {
			change.Before = c.Before
		}
		if c.After != nil {
			change.After = c.After
		}
		body.Changes = append(body.Changes, change)
	}
	return body, nil
}

// pointOf reads a point of a query. The description says what a point looks like; one that looks
// right and is none, such as the 31st of February, does not exist.
func pointOf(text, by string) (timeline.Point, error) {
	which, err := timeline.ParseBy(by)
	if err != nil {
		return timeline.Point{}, err
	}
	point, err := timeline.ParsePoint(text, which)
	if err != nil {
		return timeline.Point{}, fmt.Errorf("%w: %w", app.ErrNoVersion, err)
	}
	return point, nil
}
