package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/licensesvc/readmodel"
	"github.com/backstay-go/backstay/licensesvc/service"
)

// TestReadModelsAreLookedAfter by the commands, and what they refuse.
func TestReadModelsAreLookedAfter(t *testing.T) {
	data, other := t.TempDir(), t.TempDir()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: eventsIn(data)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Append(t.Context(), eventstore.Commit{ID: "c", Stream: "member-1", Events: []eventstore.Event{{Type: "license.granted", Schema: 1, Data: []byte("[")}}}); err != nil {
		t.Fatal(err)
	}
	m, err := readmodel.Open(t.Context(), readmodel.Config{Dir: service.ViewsIn(data), Store: store, Poll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx)
	}()
	run := func(args string) (int, string) {
		var out bytes.Buffer
		streams := &cli.Streams{Out: &out, Err: &out}
		return cli.Run(t.Context(), program(streams), streams, strings.Fields(args)), out.String()
	}
	eventually := func(args string, want int, says string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; <-time.After(5 * time.Millisecond) {
			got, text := run(args)
			if got == want && strings.Contains(text, says) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: status %d, want %d and %q\n%s", args, got, want, says, text)
			}
		}
	}
	list := "readmodels list --data " + data
	eventually(list, 1, "waits: member-1 version 1")
	eventually(list+" --output json", 1, `"cause": "decode"`)
	for _, c := range []struct {
		args string
		want int
		says string
	}{
		{"readmodels list", 2, "--data is missing"},
		{"readmodels list --data " + other, 2, "no such file"},
		{"readmodels rebuild --data " + data, 2, "accepts 1 arg"},
		{"readmodels rebuild --data " + data + " nothing", 1, "no read model"},
		{"readmodels rebuild --back --data " + data + " use", 1, "no earlier view"},
		{"readmodels rebuild --cancel --data " + data + " use", 1, "not being rebuilt"},
		{"readmodels rebuild --cancel --back --data " + data + " use", 2, "not both"},
		{"readmodels retry --data " + data + " --stream none use", 1, "no stream"},
		{"readmodels skip --data " + data + " use", 2, "--stream is missing"},
		{"readmodels retry --data " + data + " use", 0, "1 streams"},
		{"readmodels skip --data " + data + " --stream member-1 use", 0, "asked for"},
		{"readmodels rebuild --data " + data + " licenses", 0, "asked for"},
	} {
		if got, text := run(c.args); got != c.want || !strings.Contains(text, c.says) {
			t.Errorf("%s: status %d, want %d and %q\n%s", c.args, got, c.want, c.says, text)
		}
	}
	eventually(list, 1, "1 events skipped")
	eventually(list, 1, "kept")
	cancel()
	<-done
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}
