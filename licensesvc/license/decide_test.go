package license_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/license"
)

var (
	day   = 24 * time.Hour
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	terms = license.Terms{Version: "t1", StudioDownloads: 3, TitleDownloadsPerYear: 2, TitlePlaysPerYear: 3,
		License: 30 * day, Renewal: 7 * day, Playback: 2 * day}
)

func member() license.Member { return license.Member{Status: license.MemberActive, Plan: "standard"} }

func title(id string) license.Title {
	return license.Title{ID: id, Studio: id[:1], Known: true, Offline: true, Terms: terms}
}

func request(id, device, t string, at time.Time) license.Request {
	return license.Request{License: id, Device: device, Member: member(), Title: title(t), At: at}
}

// history runs commands, and fails the test on a refusal that is not expected.
type history struct {
	t      *testing.T
	state  license.State
	events []license.Event
}

func (h *history) do(c license.Command) license.Decision {
	h.t.Helper()
	d, err := license.Decide(h.state, c, license.DefaultRules())
	if err != nil {
		h.t.Fatalf("%T: %v", c, err)
	}
	h.take(d)
	return d
}

func (h *history) take(d license.Decision) {
	h.t.Helper()
	next, err := license.Fold(h.state, d.Events...)
	if err != nil {
		h.t.Fatal(err)
	}
	h.state, h.events = next, append(h.events, d.Events...)
}

func (h *history) refused(c license.Command, want license.Code) *license.Refusal {
	h.t.Helper()
	_, err := license.Decide(h.state, c, license.DefaultRules())
	var r *license.Refusal
	if !errors.As(err, &r) || !errors.Is(err, license.ErrRefused) || r.Code != want {
		h.t.Fatalf("%T: %v; want %s", c, err, want)
	}
	return r
}

func (h *history) status(id string, at time.Time) license.Status {
	h.t.Helper()
	l, ok := h.state.License(id)
	if !ok {
		h.t.Fatalf("no license %s", id)
	}
	return l.StatusAt(at)
}

func TestRequestRefusals(t *testing.T) {
	changed := func(change func(*license.Request)) license.Request {
		r := request("l9", "phone", "m-9", start)
		change(&r)
		return r
	}
	for _, tc := range []struct {
		name string
		do   license.Request
		want license.Code
	}{
		{"a suspended membership", changed(func(r *license.Request) { r.Member.Status = license.MemberSuspended }), license.MembershipSuspended},
		{"no membership", changed(func(r *license.Request) { r.Member.Status = license.MemberUnknown }), license.MembershipUnknown},
		{"an unheard-of status", changed(func(r *license.Request) { r.Member.Status = "?" }), license.MembershipUnknown},
		{"an unknown plan", changed(func(r *license.Request) { r.Member.Plan = "gold" }), license.PlanWithoutDownload},
		{"an unknown title", changed(func(r *license.Request) { r.Title.Known = false }), license.TitleUnknown},
		{"a title that stays online", changed(func(r *license.Request) { r.Title.Offline = false }), license.TitleNotOffline},
		{"no device", changed(func(r *license.Request) { r.Device = "" }), license.Invalid},
		{"no license id", changed(func(r *license.Request) { r.License = "" }), license.Invalid},
	} {
		t.Run(tc.name, func(t *testing.T) { (&history{t: t}).refused(tc.do, tc.want) })
	}
	(&history{t: t}).refused(nil, license.Invalid)
}

func TestDevicesAreLimitedByPlan(t *testing.T) {
	h := &history{t: t}
	h.do(request("l1", "phone", "m-1", start))
	h.do(request("l2", "tablet", "n-2", start))
	r := h.refused(request("l3", "tv", "o-3", start), license.DeviceLimit)
	if r.Limit != 2 {
		t.Errorf("limit %d, want 2", r.Limit)
	}
	h.do(request("l3", "phone", "o-3", start))
	h.do(license.Release{License: "l2", Occurred: start.Add(time.Hour), At: start.Add(time.Hour)})
	h.do(request("l4", "tv", "o-4", start.Add(2*time.Hour)))
}

func TestStudioDownloadsAreLimitedByTerms(t *testing.T) {
	h := &history{t: t}
	for i := range 3 {
		h.do(request(fmt.Sprint("l", i), "phone", fmt.Sprint("m-", i), start))
	}
	h.refused(request("l3", "phone", "m-3", start), license.StudioLimit)
	h.do(request("l3", "phone", "n-3", start)) // another studio's
	h.do(request("l4", "phone", "m-4", start.Add(31*day)))
}

func TestTitleDownloadsAreLimitedByYearAndWarned(t *testing.T) {
	h := &history{t: t}
	if d := h.do(request("l1", "phone", "m-1", start)); len(d.Warnings) != 1 || d.Warnings[0].Code != license.WarnLastDownload {
		t.Errorf("before the last download: %v, want a warning", d.Warnings)
	}
	h.do(license.Release{License: "l1", Occurred: start, At: start})
	if d := h.do(request("l2", "phone", "m-1", start.Add(day))); len(d.Warnings) != 1 || d.Warnings[0].Code != license.WarnNoDownloadLeft {
		t.Errorf("with the last download: %v, want a warning", d.Warnings)
	}
	h.do(license.Release{License: "l2", Occurred: start.Add(day), At: start.Add(day)})
	r := h.refused(request("l3", "phone", "m-1", start.Add(2*day)), license.TitleYearLimit)
	if want := start.Add(license.Year); !r.Until.Equal(want) {
		t.Errorf("until %s, want %s", r.Until, want)
	}
	h.do(request("l3", "phone", "m-1", r.Until))
}

func TestTheSameRequestAgainChangesNothing(t *testing.T) {
	h := &history{t: t}
	h.do(request("l1", "phone", "m-1", start))
	if d := h.do(request("l1", "phone", "m-1", start.Add(time.Hour))); len(d.Events) != 0 || d.License.ID != "l1" {
		t.Errorf("events %v, license %v", d.Events, d.License)
	}
	h.refused(request("l1", "tv", "m-1", start), license.IDTaken)
	renew := license.Renew{License: "l1", Request: "r1", Member: member(), Title: title("m-1"), At: start.Add(day)}
	h.do(renew)
	renew.At = start.Add(2 * day)
	if d := h.do(renew); len(d.Events) != 0 {
		t.Errorf("events %v", d.Events)
	}
	play := license.Play{License: "l1", Report: "p1", At: start.Add(2 * day)}
	h.do(play)
	if d := h.do(play); len(d.Events) != 0 {
		t.Errorf("events %v", d.Events)
	}
}

func TestExpiryRenewalAndPlayback(t *testing.T) {
	h := &history{t: t}
	h.do(request("l1", "phone", "m-1", start))
	if s := h.status("l1", start.Add(30*day-1)); s != license.StatusActive {
		t.Errorf("%s before its expiry", s)
	}
	if s := h.status("l1", start.Add(30*day)); s != license.StatusExpired {
		t.Errorf("%s at its expiry", s)
	}
	h.refused(license.Play{License: "l1", Report: "p", At: start.Add(30 * day)}, license.Expired)
	h.do(license.Play{License: "l1", Report: "p1", At: start.Add(day)})
	if s := h.status("l1", start.Add(3*day)); s != license.StatusExpired {
		t.Errorf("%s two days after its first play", s)
	}
	h.do(license.Renew{License: "l1", Request: "r1", Member: member(), Title: title("m-1"), At: start.Add(28 * day)})
	if s := h.status("l1", start.Add(34*day)); s != license.StatusActive {
		t.Errorf("%s after its renewal", s)
	}
	h.refused(license.Renew{License: "l1", Request: "r2", Member: member(), Title: title("m-1"), At: start.Add(35*day + license.RenewalGrace + 1)}, license.Expired)
}

func TestDevicesReportLateAndOutOfOrder(t *testing.T) {
	h := &history{t: t}
	h.do(request("l1", "phone", "m-1", start))
	now := start.Add(20 * day)
	report := func(id string, occurred time.Time) license.ReportPlay {
		return license.ReportPlay{License: "l1", Report: id, Occurred: occurred, At: now}
	}
	h.do(report("p2", start.Add(5*day)))
	h.do(report("p1", start.Add(4*day))) // earlier, reported later
	if d := h.do(report("p2", start.Add(5*day))); len(d.Events) != 0 {
		t.Error("the same report was recorded twice")
	}
	l, _ := h.state.License("l1")
	if want := start.Add(6 * day); !l.ExpiresAt().Equal(want) {
		t.Errorf("expires %s, want two days after the earliest play, %s", l.ExpiresAt(), want)
	}
	d := h.do(report("p3", start.Add(10*day)))
	if over := d.Events[0].(license.Played).Over; len(over) != 1 || over[0] != string(license.Expired) {
		t.Errorf("a play after the expiry says %v", over)
	}
	d = h.do(report("p4", start.Add(11*day)))
	if over := d.Events[0].(license.Played).Over; len(over) != 2 {
		t.Errorf("the fourth of three plays says %v", over)
	}
	h.refused(report("p5", now.Add(day)), license.Invalid)
	h.refused(report("p6", start.Add(-day)), license.Invalid)
	if v := license.Audit(h.events); len(v) != 0 {
		t.Error(v)
	}
}

// TestTheServicesClockIsNotTheDevices grants by a clock that is an hour ahead. Once it was put
// right, what a device reports without a time is taken, at the time of the grant.
func TestTheServicesClockIsNotTheDevices(t *testing.T) {
	later := start.Add(time.Hour)
	for name, report := range map[string]license.Command{
		"play":     license.ReportPlay{License: "l1", Report: "p", At: start},
		"download": license.ReportDownload{License: "l1", Report: "d", At: start},
		"release":  license.Release{License: "l1", At: start},
	} {
		h := &history{t: t}
		h.do(request("l1", "phone", "m-1", later))
		d := h.do(report)
		if len(d.Events) != 1 || !d.Events[0].When().Equal(later) {
			t.Errorf("%s: %+v; want one event, at the time of the grant", name, d.Events)
		}
	}
	h := &history{t: t}
	h.do(request("l1", "phone", "m-1", later))
	h.refused(license.Release{License: "l1", Occurred: start, At: later}, license.Invalid)
}

func TestPromisesAreConfirmedOrEnded(t *testing.T) {
	h := &history{t: t}
	promise := func(id, titleID string) license.Promise {
		return license.Promise{Request: request(id, "phone", titleID, start), Until: start.Add(time.Hour), Now: start.Add(10 * time.Minute)}
	}
	h.do(promise("l1", "m-1"))
	if s := h.status("l1", start.Add(2*time.Hour)); s != license.StatusActive {
		t.Errorf("%s after it was confirmed", s)
	}
	h.do(promise("l2", "m-2"))
	h.do(promise("l3", "m-3"))
	d := h.do(promise("l4", "m-4")) // the fourth of three of one studio
	if len(d.Events) != 2 || h.status("l4", start.Add(2*time.Hour)) != license.StatusRevoked {
		t.Errorf("%v", d.Events)
	}
	if d := h.do(promise("l4", "m-4")); len(d.Events) != 0 {
		t.Errorf("reconciled twice: %v", d.Events)
	}
	if v := license.Audit(h.events); len(v) != 0 {
		t.Error(v)
	}
}

func TestEndedLicensesStayEnded(t *testing.T) {
	h := &history{t: t}
	h.do(request("l1", "phone", "m-1", start))
	h.do(license.Revoke{License: "l1", Reason: "device lost", At: start.Add(day)})
	h.do(license.Revoke{License: "l1", Reason: "again", At: start.Add(day)})
	h.do(license.Release{License: "l1", Occurred: start.Add(day), At: start.Add(day)})
	for _, c := range []license.Command{
		license.Play{License: "l1", Report: "p", At: start.Add(day)},
		license.Renew{License: "l1", Request: "r", Member: member(), Title: title("m-1"), At: start.Add(day)},
	} {
		h.refused(c, license.Ended)
	}
	if len(h.events) != 2 {
		t.Errorf("%d events, want 2", len(h.events))
	}
	h.refused(license.Play{License: "l7", Report: "p", At: start}, license.NotFound)
}
