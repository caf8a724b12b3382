package readmodel

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/readmodel"
	"github.com/backstay-go/backstay/licensesvc/wire"
	"github.com/backstay-go/backstay/resilience"
)

var writes = flag.Bool("write", false, "measure in full and write README.md")

var start = time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)

// life is what a member does: ten events about one license.
func life(member, n int) []license.Event {
	at := start.Add(time.Duration(n) * time.Hour)
	id := fmt.Sprintf("lic-%032x", member*1000+n)
	g := license.Granted{License: id, Device: fmt.Sprintf("device-%d", n%3), Title: fmt.Sprintf("meridian-%03d", n%40), Studio: "meridian", At: at, Expires: at.Add(720 * time.Hour),
		PlaybackSeconds: 48 * 3600, Plan: "premium", Limits: license.Limits{Devices: 4}, Rules: "rules-1", Terms: "meridian-7",
		Basis: []license.Basis{{Dependency: "membership", Source: "live"}, {Dependency: "catalog", Source: "stale", AgeSeconds: 30}}}
	events := []license.Event{g, license.Downloaded{License: id, Report: "report", Occurred: at.Add(time.Minute)}}
	for i := range 6 {
		events = append(events, license.Played{License: id, Report: fmt.Sprintf("report-%d", i), Occurred: at.Add(time.Duration(i) * time.Hour)})
	}
	return append(events, license.Renewed{License: id, Request: "request", At: at.Add(8 * time.Hour), Expires: at.Add(900 * time.Hour), Rules: "rules-1", Terms: "meridian-7", Basis: g.Basis},
		license.Released{License: id, Occurred: at.Add(20 * time.Hour)})
}

// bench is a store with events.
type bench struct {
	t      *testing.T
	path   string
	store  *sqlite.Store
	codec  *wire.Codec
	events int64
}

func newBench(t *testing.T, events int) *bench {
	b := &bench{t: t, path: filepath.Join(t.TempDir(), "events.db")}
	var err error
	if b.codec, err = wire.New(); err != nil {
		t.Fatal(err)
	}
	// The store's guard admits everything: the store is measured, and not what its guard refuses.
	policy := sqlite.Policy()
	policy.Breaker, policy.Bulkhead = nil, resilience.BulkheadPolicy{Limit: 1024}
	for name, o := range policy.Operations {
		o.Timeout, o.AttemptTimeout, o.Retry = time.Minute, 0, nil
		policy.Operations[name] = o
	}
	if b.store, err = sqlite.Open(t.Context(), sqlite.Config{Path: b.path, Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.store.Close() })
	var wg sync.WaitGroup
	const writers, lives = 32, 5
	for w := range writers {
		wg.Go(func() {
			for m := w; m*lives*10 < events; m += writers {
				for n := range lives {
					if err := b.append(m, n); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	stats, err := b.store.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.events = stats.Events
	return b
}

// append appends the nth life of a member.
func (b *bench) append(member, n int) error {
	var stored []eventstore.Event
	for _, e := range life(member, n) {
		s, err := b.codec.Encode(e)
		if err != nil {
			return err
		}
		s.Recorded = e.When()
		stored = append(stored, s)
	}
	a, err := b.store.Append(b.t.Context(), eventstore.Commit{ID: fmt.Sprintf("commit-%d", n), Stream: fmt.Sprintf("member-%d", member), Expected: int64(n * 10), Events: stored})
	if err == nil && a.Outcome != eventstore.Applied {
		err = fmt.Errorf("%s", a.Outcome)
	}
	return err
}

// rawScan reads all rows of the events' table in their order and decodes them. It returns events per
// second.
func (b *bench) rawScan() float64 {
	db, err := sql.Open("sqlite", "file:"+b.path+"?_pragma=query_only(1)")
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	began := time.Now()
	rows, err := db.QueryContext(b.t.Context(), "SELECT stream, version, id, type, schema, commit_id, occurred, recorded, cause, correlation, trace, actor, data FROM events ORDER BY position")
	if err != nil {
		b.t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var e eventstore.Event
		var occurred, recorded int64
		if err := rows.Scan(&e.Stream, &e.Version, &e.ID, &e.Type, &e.Schema, &e.Commit, &occurred, &recorded, &e.Cause, &e.Correlation, &e.Trace, &e.Actor, &e.Data); err != nil {
			b.t.Fatal(err)
		}
		e.Occurred, e.Recorded = eventstore.Instant(occurred), eventstore.Instant(recorded)
		if _, err := b.codec.Decode(e); err != nil {
			b.t.Fatal(err)
		}
		n++
	}
	if err := rows.Err(); err != nil || int64(n) != b.events {
		b.t.Fatal(n, err)
	}
	return float64(n) / time.Since(began).Seconds()
}

// replay reads the feed of all slices and decodes it.
func (b *bench) replay() float64 {
	began, n := time.Now(), 0
	for slice := range eventstore.Slices {
		var cursor eventstore.Cursor
		for {
			page, err := b.store.Feed(b.t.Context(), slice, cursor, 0)
			if err != nil {
				b.t.Fatal(err)
			}
			if len(page.Events) == 0 {
				break
			}
			decoded, err := b.codec.DecodeAll(page.Events)
			if err != nil {
				b.t.Fatal(err)
			}
			n, cursor = n+len(decoded), page.Next
		}
	}
	return float64(n) / time.Since(began).Seconds()
}

// models opens read models, and returns how to end them.
func (b *bench) models(dir string) (m *readmodel.Models, end func()) {
	m, err := readmodel.Open(b.t.Context(), readmodel.Config{Dir: dir, Store: b.store, Events: func(ctx context.Context) (int64, error) { return b.events, nil }})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx)
	}()
	return m, func() {
		cancel()
		<-done
		if err := m.Close(); err != nil {
			b.t.Error(err)
		}
	}
}

// until waits for a condition.
func until(t *testing.T, is func() bool) {
	for deadline := time.Now().Add(10 * time.Minute); !is(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing happened in ten minutes")
		}
	}
}

// live reports whether all views are complete.
func live(m *readmodel.Models) bool {
	return !slices.ContainsFunc(m.Status(), func(s readmodel.Status) bool { return s.State != "live" || s.Rebuild != nil })
}

// catchUp makes all views from the beginning, and returns events per second.
func (b *bench) catchUp() float64 {
	began := time.Now()
	m, end := b.models(b.t.TempDir())
	defer end()
	until(b.t, func() bool { return live(m) })
	return float64(b.events) / time.Since(began).Seconds()
}

// appends returns the appends per second of eight writers for as long as they may go on.
func (b *bench) appends(first int, goOn func() bool) float64 {
	var n atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for w := range 8 {
		wg.Go(func() {
			for m := first + w; goOn(); m += 8 {
				if err := b.append(m, 0); err != nil {
					b.t.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / time.Since(began).Seconds()
}

// slowdown compares appends while the views are live with appends while one is rebuilt too. The order
// changes from round to round.
func (b *bench) slowdown(rounds int, length time.Duration) (ratio float64) {
	dir := b.t.TempDir()
	m, end := b.models(dir)
	defer end()
	until(b.t, func() bool { return live(m) })
	var ratios []float64
	first := 10_000_000
	for range rounds {
		plain := b.appends(first, within(length))
		first += 1_000_000
		ask(b.t, dir, readmodel.Rebuild)
		until(b.t, func() bool { return !live(m) })
		during := b.appends(first, within(length))
		first += 1_000_000
		if live(m) {
			b.t.Log("the rebuild ended before the appends did")
		}
		ask(b.t, dir, readmodel.Cancel)
		until(b.t, func() bool { return live(m) })
		after := b.appends(first, within(length))
		first += 1_000_000
		ratios = append(ratios, during/((plain+after)/2))
	}
	return median(ratios)
}

func within(length time.Duration) func() bool {
	end := time.Now().Add(length)
	return func() bool { return time.Now().Before(end) }
}

func ask(t *testing.T, dir, what string) {
	op, err := readmodel.OpenOperator(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	err = op.Ask(t.Context(), readmodel.LicensesName, what)
	if what == readmodel.Cancel {
		err = nil // It may have ended.
	}
	if err := errors.Join(err, op.Close()); err != nil {
		t.Fatal(err)
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// processor returns the time that the processors spend on do, per event, in µs. In contrast to a rate,
// it hardly depends on what else the machine does.
func (b *bench) processor(do func() float64) (rate, micros float64) {
	used := func() (total int64) {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			b.t.Fatal(err)
		}
		return r.Utime.Nano() + r.Stime.Nano()
	}
	before := used()
	rate = do()
	return rate, float64(used()-before) / float64(b.events) / 1000
}

// TestReadModels measures, and writes the table if asked to.
func TestReadModels(t *testing.T) {
	events, rounds, length := 20_000, 1, 500*time.Millisecond
	if *writes {
		events, rounds, length = 500_000, 3, 2*time.Second
	}
	b := newBench(t, events)
	var rates, costs [3][]float64
	for range rounds {
		for i, do := range []func() float64{b.rawScan, b.replay, b.catchUp} {
			rate, micros := b.processor(do)
			rates[i], costs[i] = append(rates[i], rate), append(costs[i], micros)
		}
	}
	scan, replay, caught := median(rates[0]), median(rates[1]), median(rates[2])
	kept := b.slowdown(rounds, length)
	page := fmt.Sprintf("# Read models\n\n`cd docs/benchmarks && go test -count 1 -timeout 30m -run TestReadModels ./readmodel -args -write` (%s %s/%s, %d cores): %d events of ten kinds in streams of 50, on SQLite; the median of %d rounds. A raw scan reads the rows of the events' table in their order on one connection, and decodes them. Eight writers append ten events at a time.\n\n| what | events/s | of a raw scan | processor time per event | bar |\n|-|-|-|-|-|\n"+
		"| raw scan with decoding | %.0f | | %.1f µs | |\n| replay of the feed with decoding | %.0f | %.2f | %.1f µs | 0.6 of a raw scan |\n| catch-up of all read models together | %.0f | %.2f | %.1f µs | 30,000 events/s |\n\nAppends per second while a read model is rebuilt, compared with those before and after: %.2f (bar: 0.8). The views follow the appends in all three cases.\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), b.events, rounds, scan, median(costs[0]), replay, replay/scan, median(costs[1]), caught, caught/scan, median(costs[2]), kept)
	if !*writes {
		t.Log(strings.TrimSpace(page))
		return
	}
	if err := os.WriteFile("README.md", []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
}
