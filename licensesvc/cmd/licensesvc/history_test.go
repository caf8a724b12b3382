package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/wire"
)

// past is when the events of filled happened.
var past = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// filled makes a data folder with events of a number of members: a grant, a play that was reported
// a day late, an event of a newer program, and a release. It returns the folder and the open store.
func filled(t testing.TB, members int) (string, *sqlite.Store) {
	t.Helper()
	data := t.TempDir()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: eventsIn(data)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := wire.New()
	if err != nil {
		t.Fatal(err)
	}
	for m := range members {
		var events []eventstore.Event
		id := fmt.Sprintf("lic-%d", m)
		for i, e := range []license.Event{
			license.Granted{License: id, Device: "phone", Title: "meridian-1", Studio: "meridian", Plan: "basic", At: past, Expires: past.Add(48 * time.Hour), Rules: "2026-11", Terms: "t@1",
				Limits: license.Limits{Devices: 2, StudioDownloads: 3, TitleDownloads: 4, TitlePlays: 5}, Basis: []license.Basis{{Dependency: "catalog", Source: "stale", AgeSeconds: 60}}},
			license.Played{License: id, Report: "r", Occurred: past.Add(time.Hour)},
			license.Unknown{Type: "license.shared", Schema: 2, License: id, Occurred: past.Add(26 * time.Hour), Data: json.RawMessage(`{"license":"` + id + `"}`)},
			license.Released{License: id, Occurred: past.Add(27 * time.Hour)},
		} {
			stored, err := c.Encode(e)
			if err != nil {
				t.Fatal(err)
			}
			stored.Recorded, stored.Trace = past.Add([]time.Duration{0, 25, 26, 27}[i]*time.Hour), "0af7"
			events = append(events, stored)
		}
		if a, err := s.Append(t.Context(), eventstore.Commit{ID: "c", Stream: app.Stream(fmt.Sprintf("m-%d", m)), Events: events}); err != nil || a.Outcome != eventstore.Applied {
			t.Fatal(a, err)
		}
	}
	return data, s
}

func TestHistoryAndReplay(t *testing.T) {
	data, _ := filled(t, 1)
	before, err := os.ReadFile(eventsIn(data) + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args       string
		want       int
		says, lack string
	}{
		{"history", 2, "accepts 1 arg", ""},
		{"history m-0", 2, "--data is missing", ""},
		{"history m-0 --data " + filepath.Join(data, "none"), 2, "no such file", ""},
		{"history m-9 --data DATA", 2, `no events of member "m-9"`, ""},
		{"history m-0 --data DATA --version 5", 2, "has 4 events", ""},
		{"history m-0 --data DATA --version 1 --at 2026-11-01", 2, "version", ""},
		{"history m-0 --data DATA --version new", 2, "neither a version", ""},
		{"history m-0 --data DATA --at 7", 2, "--version", ""},
		{"history m-0 --data DATA --diff 7", 2, "such as 3..7", ""},
		{"history m-0 --data DATA --by occured", 2, `did you mean "occurred"`, ""},
		{"history m-0 --data DATA", 0, "version 4, 1 licenses\n  lic-0  released", ""},
		{"history m-0 --data DATA --version 2", 0, "lic-0  active", "shared"},
		{"history m-0 --data DATA --version 3", 0, "not known to this program: license.shared@2", ""},
		{"history m-0 --data DATA --at 2026-11-01T14:00:00Z", 0, "as it was known at 2026-11-01T14:00:00Z: version 1", ""},
		{"history m-0 --data DATA --at 2026-11-01T14:00:00Z", 0, "0 plays", ""},
		{"history m-0 --data DATA --at 2026-11-01T14:00:00Z --by occurred", 0, "1 plays", "released"},
		{"history m-0 --data DATA --at 2020-01-01", 0, "0 licenses", "lic-0"},
		{"history m-0 --data DATA --license lic-1", 0, "0 licenses", "lic-0"},
		{"history m-0 --data DATA --diff 1..2", 0, "play_count of license lic-0 is now 1", ""},
		{"history m-0 --data DATA --diff ..", 0, "license lic-0 (released) is there", ""},
		{"history m-0 --data DATA --diff 4..", 0, "nothing differs", ""},
		{"history m-0 --data DATA --diff 2..4 -o json", 0, `"field": "status",`, ""},
		{"history m-0 --data DATA --version 1 -o json", 0, `"status": "active"`, ""},
		{"replay m-0", 2, "--data is missing", ""},
		{"replay m-0 --data DATA", 0, "decided on catalog stale (1m0s old)", ""},
		{"replay m-0 --data DATA", 0, "limits: 1 of 2 devices", ""},
		{"replay m-0 --data DATA", 0, "recorded 2026-11-02T13:00:00Z, 24h0m0s after it happened", ""},
		{"replay m-0 --data DATA --license lic-1", 0, "", "lic-0"},
		{"replay m-0 --data DATA -o json", 0, `"unknown":true,"data":{"license":"lic-0"}`, ""},
	} {
		var out bytes.Buffer
		streams := &cli.Streams{Out: &out, Err: &out}
		got := cli.Run(t.Context(), program(streams), streams, strings.Fields(strings.ReplaceAll(c.args, "DATA", data)))
		if got != c.want || !strings.Contains(out.String(), c.says) || c.lack != "" && strings.Contains(out.String(), c.lack) {
			t.Errorf("%s: status %d, want %d and %q\n%s", c.args, got, c.want, c.says, out.String())
		}
	}
	if after, err := os.ReadFile(eventsIn(data) + "-wal"); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the store was changed: %v", err)
	}
}
