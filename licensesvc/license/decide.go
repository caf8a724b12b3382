package license

import (
	"cmp"
	"slices"
	"time"
)

// Decision is the result of a command: the events to append. There are none if everything has
// already happened.
type Decision struct {
	Events []Event
	// License is the license after the decision, and Next the state.
	License License
	Next    State
	// Warnings say what the member should expect, such as a last download.
	Warnings []Warning
}

// Decide answers a command with events, or with a *Refusal as the error. It is a pure function. A
// nil command, and a command with missing fields, are refused as Invalid.
func Decide(s State, c Command, r Rules) (Decision, error) {
	var d Decision
	var refusal *Refusal
	switch c := c.(type) {
	case Request:
		d, refusal = decideRequest(s, c, r)
	case Promise:
		d, refusal = decidePromise(s, c, r)
	case Renew:
		d, refusal = decideRenew(s, c, r)
	case Play:
		d, refusal = decidePlay(s, c, r)
	case ReportPlay:
		d, refusal = decideReportPlay(s, c)
	case ReportDownload:
		d, refusal = decideReportDownload(s, c)
	case Release:
		d, refusal = decideRelease(s, c)
	case Revoke:
		d, refusal = decideRevoke(s, c)
	default:
		refusal = refuse(Invalid, "unknown command %T", c)
	}
	if refusal != nil {
		return Decision{Warnings: d.Warnings}, refusal
	}
	next, err := Fold(s, d.Events...)
	if err != nil {
		return Decision{}, err
	}
	d.Next = next
	if len(d.Events) > 0 {
		d.License, _ = next.License(d.Events[0].Of())
		d.Warnings = append(d.Warnings, d.License.endsSoon(decidedAt(c))...)
	}
	return d, nil
}

// complete refuses a command whose required fields are empty.
func complete(fields ...string) *Refusal {
	for i := 0; i < len(fields); i += 2 {
		if fields[i+1] == "" {
			return refuse(Invalid, "%s is empty: give one", fields[i])
		}
	}
	return nil
}

func decideRequest(s State, c Request, r Rules) (Decision, *Refusal) {
	if bad := complete("license", c.License, "device", c.Device, "title", c.Title.ID); bad != nil {
		return Decision{}, bad
	}
	if there, ok := s.License(c.License); ok {
		return sameRequest(there, c)
	}
	q := c.ask(s, r)
	if refusal := q.first(toDownload...); refusal != nil {
		return Decision{}, refusal
	}
	if refusal := undecided(s.aboutAny(anyLicense)); refusal != nil {
		return Decision{}, refusal
	}
	q.usage = s.usageAt(c.At, &q.license, "")
	if refusal := cmp.Or(q.first(toHold...), q.first(toGet...)); refusal != nil {
		return Decision{}, refusal
	}
	granted := q.granted(c, c.At.Add(q.title.Terms.License))
	return Decision{Events: []Event{granted}, Warnings: q.downloadWarnings()}, nil
}

// ask returns the question whether the member may have the license.
func (c Request) ask(s State, r Rules) question {
	q := r.ask(s, c.At, c.Member, c.Title, License{ID: c.License, Device: c.Device, Title: c.Title.ID, Studio: c.Title.Studio, Country: c.Country, DeviceKind: c.DeviceKind})
	q.held = c.StudioHeld
	return q
}

func sameRequest(there License, c Request) (Decision, *Refusal) {
	if !there.granted() {
		return Decision{}, undecided(there.Newer)
	}
	if there.Device != c.Device || there.Title != c.Title.ID {
		return Decision{}, refuse(IDTaken, "license %s is for title %s on device %s; use another Idempotency-Key for another request",
			there.ID, there.Title, there.Device)
	}
	return Decision{License: there}, nil
}

// granted returns the event of a grant that lasts until a time, or until the title leaves.
func (q question) granted(c Request, expires time.Time) Granted {
	return Granted{
		License: c.License, Device: c.Device, Title: c.Title.ID, Studio: c.Title.Studio, At: c.At, Expires: q.ruling.ending(expires),
		PlaybackSeconds: int64(q.title.Terms.Playback / time.Second), NoticeSeconds: q.ruling.noticeSeconds(), Plan: c.Member.Plan,
		Country: c.Country, DeviceKind: c.DeviceKind, Limits: q.license.Limits,
		Rules: q.ruling.Version, Terms: c.Title.Terms.Version, Basis: slices.Clone(c.Basis),
	}
}

func decidePromise(s State, c Promise, r Rules) (Decision, *Refusal) {
	if bad := complete("license", c.License, "device", c.Device, "title", c.Title.ID); bad != nil {
		return Decision{}, bad
	}
	if there, ok := s.License(c.License); ok {
		return sameRequest(there, c.Request)
	}
	if refusal := undecided(s.aboutAny(anyLicense)); refusal != nil {
		return Decision{}, refusal
	}
	q := c.Request.ask(s, r)
	var brokenRules []string
	if refusal := q.first(toDownload...); refusal != nil {
		brokenRules = append(brokenRules, string(refusal.Code))
	} else {
		q.usage = s.usageAt(c.At, &q.license, "")
		for _, b := range append(q.broken(toHold...), q.broken(toGet...)...) {
			brokenRules = append(brokenRules, string(b.Code))
		}
	}
	// The promise was made, so it is recorded whatever the rules say now.
	promised := Promised{Granted: q.granted(c.Request, c.Until), Over: brokenRules}
	if len(brokenRules) > 0 {
		return Decision{Events: []Event{promised, Revoked{License: c.License, At: c.Now,
			Reason: "the provisional license went over " + brokenRules[0]}}}, nil
	}
	return Decision{Events: []Event{promised, Confirmed{License: c.License, At: c.Now, Expires: q.ruling.ending(c.At.Add(q.title.Terms.License))}}}, nil
}

func decideRenew(s State, c Renew, r Rules) (Decision, *Refusal) {
	if bad := complete("license", c.License, "request", c.Request); bad != nil {
		return Decision{}, bad
	}
	if l, ok := s.License(c.License); ok && slices.Contains(l.Renewals, c.Request) {
		return Decision{License: l}, nil
	}
	l, refusal := s.usable(c.License)
	if refusal != nil {
		return Decision{}, refusal
	}
	l.Country = cmp.Or(c.Country, l.Country)
	q := r.ask(s, c.At, c.Member, c.Title, l)
	q.held = c.StudioHeld
	if refusal := cmp.Or(q.first(toDownload...), q.first(toRenew...)); refusal != nil {
		return Decision{}, refusal
	}
	if refusal := undecided(s.aboutAny(anyLicense)); refusal != nil {
		return Decision{}, refusal
	}
	q.usage = s.usageAt(c.At, &q.license, l.ID)
	if refusal := q.first(toExtend...); refusal != nil {
		return Decision{}, refusal
	}
	expires := c.At.Add(q.title.Terms.Renewal)
	if expires.Before(l.Expires) {
		expires = l.Expires
	}
	return Decision{Warnings: q.renewalWarnings(), Events: []Event{Renewed{License: l.ID, Request: c.Request, At: c.At, Expires: q.ruling.ending(expires),
		NoticeSeconds: q.ruling.noticeSeconds(), Plan: c.Member.Plan, Country: l.Country, Limits: q.license.Limits, Rules: q.ruling.Version,
		Terms: c.Title.Terms.Version, Basis: slices.Clone(c.Basis)}}}, nil
}

// usable returns a license that was neither released nor revoked, or a refusal.
func (s State) usable(id string) (License, *Refusal) {
	l, refusal := s.find(id)
	if refusal == nil {
		refusal = undecided(s.about(l))
	}
	switch {
	case refusal != nil:
		return l, refusal
	case !l.Revoked.IsZero():
		return l, refuse(Ended, "license %s was revoked: %s", id, l.Reason)
	case !l.Released.IsZero():
		return l, refuse(Ended, "license %s was released; request a new one", id)
	}
	return l, nil
}

func decidePlay(s State, c Play, r Rules) (Decision, *Refusal) {
	if bad := complete("license", c.License, "report", c.Report); bad != nil {
		return Decision{}, bad
	}
	if l, ok := s.License(c.License); ok && slices.Contains(l.Reports, c.Report) {
		return Decision{License: l}, nil
	}
	l, refusal := s.usable(c.License)
	if refusal != nil {
		return Decision{}, refusal
	}
	if !l.ActiveAt(c.At) {
		return Decision{}, refuse(Expired, "license %s expired at %s; renew it", l.ID, l.ExpiresAt().Format(time.RFC3339))
	}
	ruling := r.Resolve(Subject{Plan: l.Plan, Studio: l.Studio, Title: l.Title, Country: l.Country, DeviceKind: l.DeviceKind, At: c.At})
	q := question{at: c.At, license: l, ruling: &ruling, state: s}
	if refusal := hasNotLeft(q); refusal != nil {
		return Decision{}, refusal
	}
	if refusal := undecided(s.aboutAny(ofTitle(l.Title))); refusal != nil {
		return Decision{}, refusal
	}
	// A device whose clock is ahead may have dated its earlier plays a little later than now.
	q.usage = s.usageUntil(c.At, c.At.Add(clockSkew), &l, "")
	if refusal := q.first(toPlay...); refusal != nil {
		return Decision{}, refusal
	}
	return Decision{Events: []Event{Played{License: l.ID, Report: c.Report, Occurred: c.At}}, Warnings: q.playWarnings()}, nil
}

func decideReportPlay(s State, c ReportPlay) (Decision, *Refusal) {
	l, occurred, refusal := s.reported(c.License, c.Report, c.Occurred, c.At)
	if refusal != nil {
		return Decision{}, refusal
	}
	if slices.Contains(l.Reports, c.Report) {
		return Decision{License: l}, nil
	}
	d := Decision{Events: []Event{Played{License: l.ID, Report: c.Report, Occurred: occurred}}}
	if len(s.aboutAny(ofTitle(l.Title))) > 0 { // What the play went over can't be said.
		return d, nil
	}
	recent := c.Asked && c.At.Sub(occurred) <= clockSkew
	until := occurred
	if recent {
		until = c.At
	}
	// A device whose clock is ahead may have dated its earlier plays a little later than this one.
	q := question{at: occurred, license: l, state: s, usage: s.usageUntil(occurred, until.Add(clockSkew), &l, "")}
	broken := q.broken(toPlay...)
	if recent && len(broken) > 0 && l.ActiveAt(occurred) {
		return Decision{}, broken[0]
	}
	switch {
	case l.Ended() && !occurred.Before(endOf(l)):
		broken = append([]*Refusal{refuse(Ended, "the play began after the license had ended")}, broken...)
	case !occurred.Before(l.ExpiresAt()):
		broken = append([]*Refusal{refuse(Expired, "the play began after the license had expired")}, broken...)
	}
	d.Events[0], d.Warnings = overrun(Played{License: l.ID, Report: c.Report, Occurred: occurred}, broken)
	if len(broken) == 0 {
		d.Warnings = q.playWarnings()
	}
	return d, nil
}

// overrun marks a play with what it went over, and says so.
func overrun(e Played, broken []*Refusal) (Played, []Warning) {
	var warnings []Warning
	for _, b := range broken {
		e.Over = append(e.Over, string(b.Code))
		warnings = append(warnings, Warning{Code: string(b.Code), Detail: b.Detail + "; the play is recorded as one that was not allowed"})
	}
	return e, warnings
}

func endOf(l License) time.Time {
	if l.Revoked.IsZero() {
		return l.Released
	}
	return earliest(l.Released, l.Revoked)
}

// reported checks a device's report, and returns when it happened. The license may have ended by
// now. A report without a time happens when it is received, and never before the grant: the clock
// of the service may have been ahead at the grant, and that is not the device's fault.
func (s State) reported(id, report string, occurred, at time.Time) (License, time.Time, *Refusal) {
	if bad := complete("license", id, "report", report); bad != nil {
		return License{}, occurred, bad
	}
	l, refusal := s.find(id)
	switch {
	case refusal != nil:
		return l, occurred, refusal
	case occurred.IsZero():
		if at.Before(l.Granted) {
			at = l.Granted
		}
		return l, at, nil
	case occurred.Before(l.Granted.Add(-clockSkew)):
		return l, occurred, refuse(Invalid, "occurred is %s, before the license was granted: the device's clock is wrong", occurred.Format(time.RFC3339))
	case occurred.After(at.Add(clockSkew)):
		return l, occurred, refuse(Invalid, "occurred is %s, which is to come: the device's clock is wrong", occurred.Format(time.RFC3339))
	}
	return l, occurred, nil
}

func decideReportDownload(s State, c ReportDownload) (Decision, *Refusal) {
	l, occurred, refusal := s.reported(c.License, c.Report, c.Occurred, c.At)
	if refusal != nil {
		return Decision{}, refusal
	}
	if slices.Contains(l.Reports, c.Report) {
		return Decision{License: l}, nil
	}
	return Decision{Events: []Event{Downloaded{License: l.ID, Report: c.Report, Occurred: occurred}}}, nil
}

func decideRelease(s State, c Release) (Decision, *Refusal) {
	l, occurred, refusal := s.reported(c.License, "release", c.Occurred, c.At)
	if refusal != nil {
		return Decision{}, refusal
	}
	if l.Ended() {
		return Decision{License: l}, nil
	}
	return Decision{Events: []Event{Released{License: l.ID, Occurred: occurred}}}, nil
}

func decideRevoke(s State, c Revoke) (Decision, *Refusal) {
	if bad := complete("license", c.License, "reason", c.Reason); bad != nil {
		return Decision{}, bad
	}
	l, refusal := s.find(c.License)
	switch {
	case refusal != nil:
		return Decision{}, refusal
	case l.Ended():
		return Decision{License: l}, nil
	}
	return Decision{Events: []Event{Revoked{License: l.ID, At: c.At, Reason: c.Reason}}}, nil
}
