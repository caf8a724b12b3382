package license_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/licensesvc/license"
)

// plays returns a state after so many plays of one license, an hour apart.
func plays(t testing.TB, n int) (license.State, []license.Event) {
	t.Helper()
	events := []license.Event{license.Granted{License: "l", Device: "d", Title: "m-1", Studio: "m", At: start, Expires: start.Add(10 * 365 * day),
		Limits: license.Limits{Devices: 1, StudioDownloads: 10, TitleDownloads: 10, TitlePlays: 40}}}
	for i := range n {
		events = append(events, license.Played{License: "l", Report: fmt.Sprint("r", i), Occurred: start.Add(time.Duration(i) * time.Hour)})
	}
	state, err := license.Fold(license.State{}, events...)
	if err != nil {
		t.Fatal(err)
	}
	return state, events
}

// TestFoldingIsLinear: an event costs the same after 100 events and after 100,000, in one batch or
// many, and what a license takes is bounded.
func TestFoldingIsLinear(t *testing.T) {
	few, _ := plays(t, 200)
	many, _ := plays(t, 100_000)
	if l, _ := many.License("l"); l.PlayCount != 100_000 || !l.FirstPlay.Equal(start) || len(l.Plays) > 64 || len(l.Reports) > 128 {
		t.Errorf("%d plays since %s, %d plays and %d reports kept", l.PlayCount, l.FirstPlay, len(l.Plays), len(l.Reports))
	}
	if few.Size()*4 < many.Size() || many.Size() > 40_000 {
		t.Errorf("a state takes %d bytes after 200 plays, and %d after 100,000", few.Size(), many.Size())
	}
	allocated := func(s license.State) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range 1000 {
			var err error
			if s, err = license.Evolve(s, license.Played{License: "l", Report: fmt.Sprint("x", i), Occurred: start}); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if a, b := allocated(few), allocated(many); b > 4*a {
		t.Errorf("1000 events allocate %d bytes after 200 events, and %d after 100,000", a, b)
	}
}

// TestCountsOfManyPlays against all plays by brute force: exact while few are counted, and never
// too low for a window that ends now.
func TestCountsOfManyPlays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 60).Draw(t, "limit")
		state, err := license.Fold(license.State{}, license.Granted{License: "l", Device: "d", Title: "m-1", Studio: "m", At: start, Expires: start.Add(20 * 365 * day),
			Limits: license.Limits{Devices: 1, StudioDownloads: 10, TitleDownloads: 10, TitlePlays: limit}})
		if err != nil {
			t.Fatal(err)
		}
		now := start
		var all []time.Time
		for i := range rapid.IntRange(1, 400).Draw(t, "plays") {
			now = now.Add(time.Duration(rapid.IntRange(0, 120).Draw(t, "pass")) * time.Hour)
			at := now.Add(-time.Duration(rapid.IntRange(0, 400).Draw(t, "late")) * time.Hour)
			if at.Before(start) {
				at = start
			}
			all = append(all, at)
			if state, err = license.Evolve(state, license.Played{License: "l", Report: fmt.Sprint(i), Occurred: at}); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for _, at := range all {
			if at.After(now.Add(-license.Year)) {
				n++
			}
		}
		d, err := license.Decide(state, license.Play{License: "l", Report: "next", At: now}, license.DefaultRules())
		if allowed := err == nil && len(d.Events) == 1; allowed != (n < limit) {
			t.Fatalf("%d of %d plays within a year: %v", n, limit, err)
		}
	})
}

// TestAStateNeverChanges, whatever is folded on it, and whatever is done to what it returned.
func TestAStateNeverChanges(t *testing.T) {
	type kept struct {
		state license.State
		was   string
	}
	rapid.Check(t, func(t *rapid.T) {
		var states []kept
		var state license.State
		now := start
		content := func(s license.State) string {
			b, err := json.Marshal(s.Licenses())
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 24*20).Draw(t, "pass")) * time.Hour)
			// Any earlier state may be folded on, as when two commands are decided on one.
			if len(states) > 0 && rapid.IntRange(0, 3).Draw(t, "back") == 0 {
				state = states[rapid.IntRange(0, len(states)-1).Draw(t, "which")].state
			}
			d, err := license.Decide(state, anyCommand(now).Draw(t, "command"), license.DefaultRules())
			if err != nil {
				continue
			}
			for _, l := range state.Licenses() {
				for i := range l.Plays {
					l.Plays[i] = time.Time{}
				}
				_ = append(l.Plays, now)
				_ = append(l.Reports, "other")
			}
			if next, err := license.Fold(state, d.Events...); err != nil || content(next) != content(d.Next) {
				t.Fatalf("the decision's state is not that of its events: %v", err)
			}
			state = d.Next
			states = append(states, kept{state, content(state)})
		}
		for i, k := range states {
			if is := content(k.state); is != k.was {
				t.Fatalf("state %d was %s and is %s", i, k.was, is)
			}
			b, err := k.state.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			if restored, err := license.RestoreSnapshot(b); err != nil || content(restored) != k.was {
				t.Fatalf("restored: %v", err)
			}
		}
	})
}

// TestAnEndedLicenseShrinks to what rules and answers need.
func TestAnEndedLicenseShrinks(t *testing.T) {
	state, _ := plays(t, 1000)
	before, _ := state.License("l")
	for name, end := range map[string]license.Event{
		"released": license.Released{License: "l", Occurred: start.Add(2000 * time.Hour)},
		"revoked":  license.Revoked{License: "l", At: start.Add(2000 * time.Hour), Reason: "fraud"},
	} {
		ended, err := license.Evolve(state, end)
		if err != nil {
			t.Fatal(err)
		}
		after, _ := ended.License("l")
		if len(after.Reports) > 32 || after.PlayCount != 1000 || len(after.Plays) != len(before.Plays) || ended.Size() >= state.Size() {
			t.Errorf("%s: %d reports, %d plays, %d of %d bytes", name, len(after.Reports), after.PlayCount, ended.Size(), state.Size())
		}
		// The newest reports are known as such.
		d, err := license.Decide(ended, license.Play{License: "l", Report: "r999", At: start.Add(3000 * time.Hour)}, license.DefaultRules())
		if err != nil || len(d.Events) != 0 {
			t.Errorf("%s: the same play again: %+v, %v", name, d, err)
		}
	}
}
