package outbox

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/app/journal"
	"github.com/backstay-go/backstay/licensesvc/app/token"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream"

	"github.com/backstay-go/backstay/resilience"
)

var writes = flag.Bool("write", false, "measure in full and write README.md")

// gone is a store that can be made unavailable.
type gone struct {
	eventstore.LoadAppender
	is atomic.Bool
}

func (g *gone) Append(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	if g.is.Load() {
		return eventstore.Appended{Outcome: eventstore.Rejected}, eventstore.ErrUnavailable
	}
	return g.LoadAppender.Append(ctx, c)
}

func (g *gone) Resolve(ctx context.Context, stream, commit string) (eventstore.Appended, error) {
	if g.is.Load() {
		return eventstore.Appended{}, eventstore.ErrUnknown
	}
	return g.LoadAppender.Resolve(ctx, stream, commit)
}

func (g *gone) Load(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	if g.is.Load() {
		return eventstore.Page{}, eventstore.ErrUnavailable
	}
	return g.LoadAppender.Load(ctx, q)
}

// well is an upstream that answers at once.
type well struct{}

func live[T any](v T) (resilience.Result[T], error) {
	return resilience.Result[T]{Value: v, Source: resilience.Live}, nil
}

func (well) MemberToIssue(_ context.Context, id string) (resilience.Result[upstream.Member], error) {
	return live(upstream.Member{ID: id, Plan: upstream.PlanPremium, Status: upstream.StatusActive})
}

func (w well) MemberToRenew(ctx context.Context, id string) (resilience.Result[upstream.Member], error) {
	return w.MemberToIssue(ctx, id)
}

func (well) Title(_ context.Context, id string) (resilience.Result[upstream.Title], error) {
	return live(upstream.Title{ID: id, Studio: "s", Name: id, Offline: true, Terms: upstream.Terms{Version: "1", StudioDownloads: 100,
		TitleDownloadsPerYear: 100, TitlePlaysPerYear: 1000, LicenseHours: 720, RenewalHours: 168, PlaybackHours: 48}})
}

func (well) Key(context.Context, upstream.KeyRequest) (resilience.Result[upstream.Key], error) {
	return live(upstream.Key{ID: "k", Algorithm: "A256GCM", Wrapped: []byte("0123456789012345678901234567890123456789")})
}

// each runs f for 0 to n-1 on 64 goroutines.
func each(t *testing.T, n int, f func(int) error) {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || t.Failed() {
					return
				}
				if err := f(i); err != nil {
					t.Errorf("number %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// latencies sends requests of an outage one after the other and returns their sorted times. A
// request lists, renews or plays.
func latencies(t *testing.T, service *app.Service, held []string, from int, round string, n int) []time.Duration {
	t.Helper()
	var took []time.Duration
	for i := range n {
		member := from + i%100
		who, began := name(1+member), time.Now()
		var err error
		switch i % 3 {
		case 0:
			_, err = service.Licenses(t.Context(), who)
		case 1:
			_, err = service.Renew(t.Context(), app.RenewInput{Member: who, License: held[member], Key: fmt.Sprintf("renew-%s-%d", round, i)})
		case 2:
			_, err = service.Play(t.Context(), app.ReportInput{Member: who, License: held[member], Key: fmt.Sprintf("play-%s-%d", round, i)})
		}
		if err != nil {
			t.Fatalf("request %d of %s: %v", i, round, err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took
}

func TestOutbox(t *testing.T) {
	members, entries, requests := 300, 1000, 30
	if *writes {
		members, entries, requests = 10_000, 100_000, 3000
	}
	dir := t.TempDir()
	opened, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "events.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	kept, err := journal.Open(journal.Config{Path: filepath.Join(dir, "journal")})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	signer, err := token.Open(filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	store := &gone{LoadAppender: opened}
	rules := license.DefaultRules()
	service, err := app.New(app.Config{Store: store, Upstream: well{}, Journal: kept, Signer: signer, Rules: rules, CacheBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	held := make([]string, members)
	each(t, members, func(i int) error {
		a, err := service.Request(t.Context(), app.RequestInput{Member: name(1 + i), Device: "d", Title: "t", Key: "first"})
		held[i] = a.License.ID
		return err
	})

	store.is.Store(true)
	empty := latencies(t, service, held, members-200, "empty", requests)
	began := time.Now()
	each(t, entries, func(i int) error {
		m := i % (members - 200)
		_, err := service.Play(t.Context(), app.ReportInput{Member: name(1 + m), License: held[m], Key: fmt.Sprintf("p-%d", i), Occurred: time.Now()})
		return err
	})
	accepted := time.Since(began)
	full := latencies(t, service, held, members-100, "full", requests)
	pending := service.Pending()

	store.is.Store(false)
	began = time.Now()
	for service.Pending() > 0 {
		if err := service.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	drained := time.Since(began)

	var page strings.Builder
	fmt.Fprintf(&page, `# A long outbox

The event store is unavailable, and what devices report is accepted into the outbox. A request lists, renews or plays; each member with a request has few entries. Then the store is back, and the outbox is drained into SQLite.

`+"`cd docs/benchmarks && go test -count 1 -run TestOutbox ./outbox -args -write`"+`, %s, %s/%s, %d cores.

| | |
|-|-|
| reports accepted per second, 64 at once | %.0f |
| entries | %d |
| a request during the outage, outbox empty: median, p99 | %s, %s |
| a request during the outage, with the entries: median, p99 | %s, %s |
| ratio of the medians | %.2f |
| drained per second | %.0f |
`, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		float64(entries)/accepted.Seconds(), pending, at(empty, 0.5), at(empty, 0.99), at(full, 0.5), at(full, 0.99),
		at(full, 0.5).Seconds()/at(empty, 0.5).Seconds(), float64(pending)/drained.Seconds())
	if !*writes {
		t.Log(page.String())
		return
	}
	if err := os.WriteFile("README.md", []byte(page.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func at(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(int(float64(len(sorted))*q), len(sorted)-1)].Round(time.Microsecond)
}

func name(n int) string { return fmt.Sprintf("m-%05d", n) }
