package license_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/licensesvc/license"
)

// anyCommand draws commands over few ids, so that they meet, and over two years.
func anyCommand(now time.Time) *rapid.Generator[license.Command] {
	return rapid.Custom(func(t *rapid.T) license.Command {
		id := fmt.Sprint("l", rapid.IntRange(0, 12).Draw(t, "license"))
		device := fmt.Sprint("d", rapid.IntRange(0, 4).Draw(t, "device"))
		film := fmt.Sprintf("%c-%d", "mno"[rapid.IntRange(0, 2).Draw(t, "studio")], rapid.IntRange(0, 2).Draw(t, "title"))
		report := fmt.Sprint("r", rapid.IntRange(0, 30).Draw(t, "report"))
		ago := time.Duration(rapid.IntRange(0, 100).Draw(t, "hours ago")) * time.Hour
		req := request(id, device, film, now)
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0, 1, 2, 3:
			return req
		case 4:
			return license.Promise{Request: req, Until: now.Add(time.Hour), Now: now}
		case 5:
			return license.Renew{License: id, Request: report, Member: member(), Title: title(film), At: now}
		case 6:
			return license.Play{License: id, Report: report, At: now}
		case 7:
			return license.ReportPlay{License: id, Report: report, Occurred: now.Add(-ago), At: now}
		case 8:
			return license.Release{License: id, Occurred: now.Add(-ago), At: now}
		}
		return license.Revoke{License: id, Reason: "test", At: now}
	})
}

func TestNoSequenceOfCommandsBreaksARule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var state license.State
		var events []license.Event
		now := start
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 24*20).Draw(t, "pass")) * time.Hour)
			c := anyCommand(now).Draw(t, "command")
			before := state.Licenses()
			d, err := license.Decide(state, c, license.DefaultRules())
			if err != nil && !errors.Is(err, license.ErrRefused) {
				t.Fatalf("%+v: %v", c, err)
			}
			if err != nil && len(d.Events) > 0 {
				t.Fatalf("refused with events: %v", d.Events)
			}
			next, err := license.Fold(state, d.Events...)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(before, state.Licenses()) {
				t.Fatal("the old state was changed")
			}
			if again, err := license.Decide(next, c, license.DefaultRules()); err == nil && len(again.Events) > 0 {
				t.Fatalf("the same command twice: %+v, then %+v", d.Events, again.Events)
			}
			state, events = next, append(events, d.Events...)
		}
		if v := license.Audit(events); len(v) > 0 {
			t.Fatalf("%+v", v)
		}
		stepwise := license.State{}
		for _, e := range events {
			var err error
			if stepwise, err = license.Evolve(stepwise, e); err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(stepwise.Licenses(), state.Licenses()) {
			t.Fatal("folding one by one gives another state")
		}
		if restored := license.Restore(state.Licenses()); !reflect.DeepEqual(restored.Licenses(), state.Licenses()) {
			t.Fatal("a restored state differs")
		}
	})
}

// An auditor that finds nothing is of no use: it must find what is put there.
func TestAuditFindsWhatIsBroken(t *testing.T) {
	limits := license.Limits{Devices: 1, StudioDownloads: 2, TitleDownloads: 1, TitlePlays: 1}
	grant := func(id, device, film string) license.Granted {
		return license.Granted{License: id, Device: device, Title: film, Studio: film[:1], At: start, Expires: start.Add(day), Limits: limits}
	}
	played := license.Played{License: "l1", Report: "p", Occurred: start}
	for _, tc := range []struct {
		want   license.Code
		events []license.Event
	}{
		{license.DeviceLimit, []license.Event{grant("l1", "a", "m-1"), grant("l2", "b", "n-2")}},
		{license.StudioLimit, []license.Event{grant("l1", "a", "m-1"), grant("l2", "a", "m-2"), grant("l3", "a", "m-3")}},
		{license.TitleYearLimit, []license.Event{grant("l1", "a", "m-1"), grant("l2", "a", "m-1")}},
		{license.IDTaken, []license.Event{grant("l1", "a", "m-1"), grant("l1", "a", "m-1")}},
		{license.PlayYearLimit, []license.Event{grant("l1", "a", "m-1"), played, played}},
		{license.Ended, []license.Event{grant("l1", "a", "m-1"), license.Released{License: "l1"}, license.Renewed{License: "l1", At: start}}},
		{license.TitleYearLimit, []license.Event{grant("l1", "a", "m-1"), license.Promised{Granted: grant("l2", "a", "m-1")}}},
	} {
		found := license.Audit(tc.events)
		if len(found) != 1 || found[0].Code != tc.want {
			t.Errorf("found %v, want %s", found, tc.want)
		}
	}
}
