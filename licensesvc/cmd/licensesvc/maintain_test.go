package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
)

// TestEventsAreBackedUpVerifiedAndRestored by the commands, and what they refuse.
func TestEventsAreBackedUpVerifiedAndRestored(t *testing.T) {
	data, other, backup := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "backup.db")
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: eventsIn(data)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Append(t.Context(), eventstore.Commit{ID: "c", Stream: "m-1", Events: []eventstore.Event{{Type: "t", Schema: 1, Data: []byte("{}")}}}); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		want int
		says string
	}{
		{"verify --data " + data, 0, ""},
		{"verify", 2, "--data is missing"},
		{"verify --data " + other, 2, "no such file"},
		{"backup --data " + data, 2, "accepts 1 arg"},
		{"backup --data " + other + " " + backup, 2, "no such file"},
		{"backup --data " + data + " " + backup, 0, "are in"},
		{"backup --data " + data + " " + backup, 2, "does not exist"},
		{"restore --data " + data + " " + backup, 2, "does not exist"},
		{"restore --data " + other + " " + backup + ".none", 2, "no such file"},
		{"restore --data " + other + " " + backup, 0, "holds the events"},
		{"verify --data " + other, 0, ""},
	} {
		var out bytes.Buffer
		streams := &cli.Streams{Out: &out, Err: &out}
		if got := cli.Run(t.Context(), program(streams), streams, strings.Fields(c.args)); got != c.want || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: status %d, want %d and %q\n%s", c.args, got, c.want, c.says, out.String())
		}
	}
}

// TestAMissingStoreBesideAJournalIsRefused.
func TestAMissingStoreBesideAJournalIsRefused(t *testing.T) {
	data := t.TempDir()
	if usedBefore(data) {
		t.Error("an empty folder was used before")
	}
	if err := os.WriteFile(filepath.Join(data, "journal"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	streams := &cli.Streams{Out: &out, Err: &out}
	if got := cli.Run(t.Context(), program(streams), streams, []string{"serve", "--data", data, "--listen", "127.0.0.1:0"}); got == 0 || !strings.Contains(out.String(), "restore the store from a backup") {
		t.Errorf("status %d\n%s", got, out.String())
	}
}
