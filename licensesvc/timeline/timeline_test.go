package timeline_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/timeline"
	"github.com/backstay-go/backstay/licensesvc/wire"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// limits are those of every license in these tests.
var limits = license.Limits{Devices: 2, Licenses: 30, StudioDownloads: 5, TitleDownloads: 3, TitlePlays: 9}

// history draws a stream: grants first, then anything about them, devices that report late, clocks
// that are off, and events of a newer program.
func history(t *rapid.T) []timeline.Entry {
	c, err := wire.New()
	if err != nil {
		t.Fatal(err)
	}
	now := start
	var stored []eventstore.Event
	add := func(e license.Event) {
		s, err := c.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		skew := time.Duration(rapid.IntRange(-600, 600).Draw(t, "skew")) * time.Second
		s.Stream, s.Version, s.Recorded, s.Commit = "member-m", int64(len(stored)+1), now.Add(skew), fmt.Sprint("c", len(stored))
		stored = append(stored, s)
	}
	granted := map[string]bool{}
	for range rapid.IntRange(0, 25).Draw(t, "events") {
		now = now.Add(time.Duration(rapid.IntRange(0, 72).Draw(t, "pass")) * time.Hour)
		id := fmt.Sprint("l", rapid.IntRange(0, 3).Draw(t, "license"))
		ago := now.Add(-time.Duration(rapid.IntRange(0, 400).Draw(t, "late")) * time.Hour)
		kind := rapid.IntRange(0, 8).Draw(t, "kind")
		switch {
		case kind == 8:
			add(license.Unknown{Type: "license.shared", Schema: 3, License: []string{"", id}[rapid.IntRange(0, 1).Draw(t, "about")], Occurred: ago, Data: json.RawMessage(`{"license":"` + id + `"}`)})
		case !granted[id]:
			g := license.Granted{License: id, Device: "d1", Title: "m-1", Studio: "m", At: now, Expires: now.Add(48 * time.Hour), PlaybackSeconds: 3600, Plan: "basic",
				Limits: limits, Rules: "2026-11", Terms: "m@1", Basis: []license.Basis{{Dependency: "catalog", Source: "stale", AgeSeconds: 90}}}
			granted[id] = true
			if kind == 1 {
				add(license.Promised{Granted: g, Over: []string{"device_limit"}})
				continue
			}
			add(g)
		default:
			add([]license.Event{
				license.Confirmed{License: id, At: now, Expires: now.Add(time.Hour)}, license.Downloaded{License: id, Report: fmt.Sprint("r", len(stored)), Occurred: ago},
				license.Renewed{License: id, Request: fmt.Sprint("q", len(stored)), At: now, Expires: now.Add(9 * time.Hour)}, license.Played{License: id, Report: fmt.Sprint("p", len(stored)), Occurred: ago},
				license.Played{License: id, Report: fmt.Sprint("p", len(stored)), Occurred: now, Over: []string{"play_year_limit"}}, license.Released{License: id, Occurred: ago},
				license.Revoked{License: id, At: now, Reason: "fraud"}, license.Released{License: id, Occurred: now},
			}[kind])
		}
	}
	entries, err := timeline.Decode(c, stored)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func at(t interface{ Fatal(...any) }, entries []timeline.Entry, p timeline.Point) (timeline.State, bool) {
	b := timeline.NewBuilder(p, start)
	for _, e := range entries {
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	return b.State()
}

// folded folds the first n events without this package.
func folded(t interface{ Fatal(...any) }, entries []timeline.Entry, n int) license.State {
	var s license.State
	for _, e := range entries[:n] {
		var err error
		if s, err = license.Fold(s, e.Events...); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func same(a, b license.State) bool {
	return reflect.DeepEqual(a.Licenses(), b.Licenses()) && strings.Join(a.Newer(), " ") == strings.Join(b.Newer(), " ")
}

func TestTheStateAtAVersionIsTheFoldOfItsEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := history(t)
		for n := range len(entries) + 1 {
			s, ok := at(t, entries, timeline.AtVersion(int64(n)))
			if !ok || s.Version != int64(n) || !same(s.Member, folded(t, entries, n)) {
				t.Fatalf("version %d of %d: %+v, %v", n, len(entries), s, ok)
			}
		}
		if s, ok := at(t, entries, timeline.AtVersion(int64(len(entries)+1))); ok || s.Version != int64(len(entries)) {
			t.Fatalf("a version after the end: %+v", s)
		}
	})
}

func TestWhatWasKnownIsAPrefixThatGrowsWithTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := history(t)
		var version int64
		for hour := -24; hour < 25*72+24; hour += 7 {
			when := start.Add(time.Duration(hour) * time.Hour)
			s, _ := at(t, entries, timeline.AtTime(when, timeline.Recorded))
			if s.Version < version || !same(s.Member, folded(t, entries, int(s.Version))) || !s.AsOf.Equal(when) {
				t.Fatalf("at %s: version %d after %d", when, s.Version, version)
			}
			version = s.Version
			if int(version) < len(entries) && !entries[version].Stored.Recorded.After(when) {
				t.Fatalf("at %s event %d is missing", when, version+1)
			}
		}
		if int(version) != len(entries) {
			t.Fatalf("in the end %d of %d events were known", version, len(entries))
		}
	})
}

func TestWhatHadHappenedHasNoLaterEvent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := history(t)
		var count int64
		for hour := -24 * 30; hour < 25*72+24; hour += 11 {
			when := start.Add(time.Duration(hour) * time.Hour)
			s, _ := at(t, entries, timeline.AtTime(when, timeline.Occurred))
			for _, l := range s.Member.Licenses() {
				if l.Granted.After(when) || l.FirstPlay.After(when) || l.Downloaded.After(when) || l.Released.After(when) || l.Revoked.After(when) {
					t.Fatalf("at %s: %+v", when, l)
				}
			}
			if s.Events < count {
				t.Fatalf("at %s %d events had happened, and %d before", when, s.Events, count)
			}
			count = s.Events
		}
		end, _ := at(t, entries, timeline.Point{})
		if s, _ := at(t, entries, timeline.AtTime(start.Add(25*72*time.Hour), timeline.Occurred)); !same(s.Member, end.Member) {
			t.Fatalf("in the end %+v, not %+v", s.Member.Licenses(), end.Member.Licenses())
		}
	})
}

// A difference is empty, in words too, only if the states are equal; and what it says turns one
// state into the other.
func TestADifferenceIsComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := history(t)
		draw := func(name string) timeline.State {
			by := timeline.Recorded
			switch rapid.IntRange(0, 2).Draw(t, name+" by") {
			case 0:
				s, _ := at(t, entries, timeline.AtVersion(int64(rapid.IntRange(0, len(entries)).Draw(t, name))))
				return s
			case 1:
				by = timeline.Occurred
			}
			s, _ := at(t, entries, timeline.AtTime(start.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, name))*time.Hour), by))
			return s
		}
		a, b := draw("a"), draw("b")
		changes, err := timeline.Diff(a, b, "")
		if err != nil {
			t.Fatal(err)
		}
		equal := reflect.DeepEqual(a.Licenses(""), b.Licenses("")) && reflect.DeepEqual(a.Member.Newer(), b.Member.Newer())
		words := timeline.InWords(changes)
		if equal != (len(changes) == 0) || equal != (len(words) == 0) {
			t.Fatalf("equal is %v, and the difference is %v: %q", equal, changes, words)
		}
		if !reflect.DeepEqual(applied(t, plain(t, a), changes), plain(t, b)) {
			t.Fatalf("%v does not turn one state into the other", changes)
		}
	})
}

// plain returns a state as JSON values by license and field, made in another way than by Diff.
func plain(t *rapid.T, s timeline.State) map[string]any {
	all := map[string]any{}
	if n := s.Member.Newer(); len(n) > 0 {
		all["/newer_events"] = fmt.Sprintf("[%q]", strings.Join(n, `","`))
		raw, _ := json.Marshal(n)
		all["/newer_events"] = string(raw)
	}
	for _, l := range s.Licenses("") {
		raw, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(raw, &object); err != nil {
			t.Fatal(err)
		}
		for k, v := range object {
			if k != "limits" {
				all[l.ID+"/"+k] = string(v)
			}
		}
		for k, v := range map[string]int{"devices": l.Limits.Devices, "licenses": l.Limits.Licenses, "studio_downloads": l.Limits.StudioDownloads,
			"title_downloads_per_year": l.Limits.TitleDownloads, "title_plays_per_year": l.Limits.TitlePlays} {
			if k != "licenses" || v != 0 {
				all[l.ID+"/limits."+k] = fmt.Sprint(v)
			}
		}
	}
	return all
}

func applied(t *rapid.T, state map[string]any, changes []timeline.Change) map[string]any {
	for _, c := range changes {
		name := c.License + "/" + c.Field
		if had, ok := state[name]; ok != (c.Before != nil) || ok && had != string(c.Before) {
			t.Fatalf("%s was %v, and the change says %s", name, had, c.Before)
		}
		delete(state, name)
		if c.After != nil {
			state[name] = string(c.After)
		}
	}
	return state
}

func TestAReplayDescribesEachEvent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r timeline.Replay
		for _, e := range history(t) {
			decisions, err := r.Add(e)
			if err != nil || len(decisions) != 1 {
				t.Fatal(decisions, err)
			}
			d := decisions[0]
			lines := strings.Join(d.Lines(), "\n")
			switch e := e.Events[0].(type) {
			case license.Unknown:
				if !d.Unknown || !strings.Contains(lines, "a newer one wrote license.shared@3") || !strings.Contains(lines, string(e.Data)) {
					t.Fatal(lines)
				}
			case license.Granted:
				if !strings.Contains(lines, "decided on catalog stale (1m30s old)") || !strings.Contains(lines, "under rules 2026-11 and terms m@1") || !strings.Contains(lines, "of 2 devices") {
					t.Fatal(lines)
				}
			case license.Promised:
				if !strings.Contains(lines, "over the limit nevertheless: device_limit") {
					t.Fatal(lines)
				}
			}
			if d.What == "" || !strings.Contains(lines, "commit "+d.Commit) {
				t.Fatal(lines)
			}
		}
	})
}

func TestPointsAreRead(t *testing.T) {
	noon := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]timeline.Point{
		"": {}, "0": timeline.AtVersion(0), "17": timeline.AtVersion(17), "2026-11-29T13:00:00+01:00": timeline.AtTime(noon, timeline.Occurred),
		"2026-11-29": timeline.AtTime(noon.Add(-12*time.Hour), timeline.Occurred),
	} {
		if got, err := timeline.ParsePoint(text, timeline.Occurred); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"-1", "yesterday", "2026-13-01", "1.5"} {
		if _, err := timeline.ParsePoint(text, timeline.Recorded); !errors.Is(err, timeline.ErrPoint) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, want := range map[string]string{"3..7": "at version 3, at version 7", "..": "at version 0, now", "2026-11-29..": "as it was known at 2026-11-29T00:00:00Z, now"} {
		from, to, err := timeline.ParseRange(text, timeline.Recorded)
		if got := from.String() + ", " + to.String(); err != nil || got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	if _, _, err := timeline.ParseRange("3-7", timeline.Recorded); !errors.Is(err, timeline.ErrPoint) {
		t.Error(err)
	}
	if _, err := timeline.ParseBy("occured"); !errors.Is(err, timeline.ErrPoint) || !strings.Contains(err.Error(), `did you mean "occurred"?`) {
		t.Error(err)
	}
}

func TestAGapIsNotFolded(t *testing.T) {
	b := timeline.NewBuilder(timeline.Point{}, start)
	if err := b.Add(timeline.Entry{Stored: eventstore.Event{Stream: "s", Version: 2}}); !errors.Is(err, eventstore.ErrCorrupt) {
		t.Error(err)
	}
}
