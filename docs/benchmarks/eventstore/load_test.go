package eventstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/wire"
)

// nobody stands for the services that a read does not ask.
type nobody struct{ app.Upstream }

// bare is a store without snapshots.
type bare struct{ eventstore.LoadAppender }

// TestLoad measures what a member's list costs a service that has just started, by the length of
// the member's stream.
func TestLoad(t *testing.T) {
	long, times := 20_000, 20
	if *writes {
		long, times = 100_000, 300
	}
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "events.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for name, n := range map[string]int{"short": 10, "long": long} {
		stream(t, store, name, n)
	}
	keep(t, store, "long", int64(long))
	var row []string
	first := 0.0
	for _, c := range []struct {
		what, member string
		events       int
		store        eventstore.LoadAppender
		times        int
	}{
		{"10 events", "short", 10, store, times},
		{fmt.Sprintf("%d events", long), "long", long, store, times},
		{fmt.Sprintf("%d events, without snapshots", long), "long", long, bare{store}, 3},
	} {
		took := make([]time.Duration, c.times)
		for i := range took {
			service := start(t, c.store)
			begin := time.Now()
			view, err := service.Licenses(t.Context(), c.member)
			took[i] = time.Since(begin)
			if err != nil || view.Version != int64(c.events) {
				t.Fatalf("%s: %+v, %v", c.what, view, err)
			}
		}
		slices.Sort(took)
		median := float64(took[len(took)/2].Microseconds())
		if first == 0 {
			first = median
		}
		row = append(row, fmt.Sprintf("| %s | %.2f | %.1f |", c.what, median/1000, median/first))
		t.Log(row[len(row)-1])
	}
	if !*writes {
		return
	}
	page := "# Loading a stream after a restart\n\nA member's list, asked of a service that has just started, on SQLite: median of " + fmt.Sprint(times) +
		" starts. The target for 100,000 events is 3 times the load of 10 events. `go test -run TestLoad ./eventstore -args -write` writes this table.\n\n" +
		"| stream | ms | times the first row |\n|-|-|-|\n"
	for _, r := range row {
		page += r + "\n"
	}
	if err := os.WriteFile("load.md", []byte(page), 0o600); err != nil {
		t.Error(err)
	}
}

func start(t *testing.T, store eventstore.LoadAppender) *app.Service {
	t.Helper()
	s, err := app.New(app.Config{Store: store, Upstream: nobody{}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stream appends a license and its plays.
func stream(t *testing.T, store eventstore.Appender, member string, n int) {
	t.Helper()
	codec, err := wire.New()
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().UTC().Truncate(time.Second)
	var events []license.Event
	for i := range n {
		if i == 0 {
			events = append(events, license.Granted{License: "l", Device: "tablet", Title: "meridian-002", Studio: "meridian", At: at, Expires: at.Add(720 * time.Hour), Plan: "premium"})
			continue
		}
		events = append(events, license.Played{License: "l", Report: fmt.Sprintf("%032d", i), Occurred: at.Add(time.Duration(i) * time.Second)})
	}
	version := int64(0)
	for page := range slices.Chunk(events, eventstore.MaxEvents) {
		c := eventstore.Commit{ID: fmt.Sprint("c", version), Stream: app.Stream(member), Expected: version}
		for _, e := range page {
			stored, err := codec.Encode(e)
			if err != nil {
				t.Fatal(err)
			}
			c.Events = append(c.Events, stored)
		}
		done, err := store.Append(t.Context(), c)
		if err != nil || done.Outcome != eventstore.Applied {
			t.Fatal(done, err)
		}
		version = done.Version
	}
}

// keep has a service save a snapshot.
func keep(t *testing.T, store eventstore.Store, member string, version int64) {
	t.Helper()
	s := start(t, store)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	if _, err := s.Licenses(t.Context(), member); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		snap, ok, err := store.LoadSnapshot(t.Context(), app.Stream(member), license.FoldVersion)
		if err != nil {
			t.Fatal(err)
		}
		if ok && snap.Version == version {
			return
		}
	}
}
