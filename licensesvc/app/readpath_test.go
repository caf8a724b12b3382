package app_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
	stored "github.com/backstay-go/backstay/licensesvc/wire"
)

// counted is a store that counts what is read.
type counted struct {
	eventstore.Store
	loads, snapshots, events atomic.Int64
	saved                    chan int64
}

func (s *counted) Load(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	s.loads.Add(1)
	page, err := s.Store.Load(ctx, q)
	s.events.Add(int64(len(page.Events)))
	return page, err
}

func (s *counted) LoadSnapshot(ctx context.Context, stream string, fold int) (eventstore.Snapshot, bool, error) {
	s.snapshots.Add(1)
	return s.Store.LoadSnapshot(ctx, stream, fold)
}

func (s *counted) SaveSnapshot(ctx context.Context, snap eventstore.Snapshot) error {
	err := s.Store.SaveSnapshot(ctx, snap)
	select {
	case s.saved <- snap.Version:
	default:
	}
	return err
}

// reset returns what was read since the last time.
func (s *counted) reset() (reads, events int64) {
	return s.loads.Swap(0) + s.snapshots.Swap(0), s.events.Swap(0)
}

// instance is one more instance on the store.
func (h *house) instance(store eventstore.Store, change ...func(*app.Config)) *app.Service {
	h.t.Helper()
	cfg := app.Config{Store: store, Upstream: h.clients}
	for _, c := range change {
		c(&cfg)
	}
	s, err := app.New(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// patient gives the store's guard so much time that a slow machine is no failure.
func (h *house) patient() {
	h.t.Helper()
	p := h.guarded.Policy()
	p.Default.Timeout, p.Default.AttemptTimeout = time.Minute, 0
	for name, operation := range p.Operations {
		operation.Timeout, operation.AttemptTimeout = time.Minute, 0
		p.Operations[name] = operation
	}
	p.Bulkhead.MaxWait = time.Minute
	if err := h.guarded.Update(p); err != nil {
		h.t.Fatal(err)
	}
}

// longStream gives a member a license with many plays, and returns its id.
func (h *house) longStream(member string, plays int) string {
	h.t.Helper()
	codec, err := stored.New()
	if err != nil {
		h.t.Fatal(err)
	}
	a := h.grant(member, "tablet", server.TitleID("meridian", 2), "long")
	version := a.Version
	for plays > 0 {
		c := eventstore.Commit{ID: fmt.Sprint("plays-", version), Stream: app.Stream(member), Expected: version}
		for range min(plays, eventstore.MaxEvents) {
			e, err := codec.Encode(license.Played{License: a.License.ID, Report: fmt.Sprint("report-", version, "-", len(c.Events)), Occurred: a.License.Granted})
			if err != nil {
				h.t.Fatal(err)
			}
			c.Events = append(c.Events, e)
		}
		done, err := h.store.LoadAppender.Append(h.t.Context(), c)
		if err != nil || done.Outcome != eventstore.Applied {
			h.t.Fatal(done, err)
		}
		version, plays = done.Version, plays-len(c.Events)
	}
	return a.License.ID
}

// TestALongStream (akka-core#26785, akka-persistence-cassandra#391): a member with 10,000 events
// is served after a restart as one with few is.
func TestALongStream(t *testing.T) {
	const plays = 10_000
	h := build(t)
	h.patient()
	m := h.member(upstream.PlanPremium)
	id := h.longStream(m, plays)
	store := &counted{Store: h.guarded, saved: make(chan int64, 100)}
	first := h.instance(store)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- first.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	if view, err := first.Licenses(t.Context(), m); err != nil || view.Version != plays+1 || view.Licenses[0].PlayCount != plays {
		t.Fatalf("%+v, %v", view, err)
	}
	for v := int64(0); v < plays; v = <-store.saved {
	}
	in := app.ReportInput{Member: m, License: id}
	for name, do := range map[string]func(s *app.Service, n int) error{
		"list": func(s *app.Service, _ int) error { _, err := s.Licenses(t.Context(), m); return err },
		"show": func(s *app.Service, _ int) error { _, err := s.Show(t.Context(), m, id); return err },
		"download": func(s *app.Service, n int) error {
			in.Key = fmt.Sprint("download", n)
			_, err := s.Download(t.Context(), in)
			return err
		},
	} {
		restarted := h.instance(store)
		for n, most := range []int64{2, 1} { // The second time it is remembered.
			store.reset()
			if err := do(restarted, n); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if reads, events := store.reset(); reads > most || events > 30 {
				t.Errorf("%s, time %d: %d reads, %d events", name, n+1, reads, events)
			}
		}
	}
	// A story is read once, and only goes on.
	restarted := h.instance(store)
	for n := range 3 {
		story, err := restarted.Explain(t.Context(), m, id)
		if err != nil || len(story.Events) != 1000 || story.Earlier+1000 != int(story.Version) || story.License.PlayCount != plays {
			t.Fatalf("%d events after %d of %d, %v", len(story.Events), story.Earlier, story.Version, err)
		}
		if reads, events := store.reset(); n > 0 && (reads > 1 || events > 0) {
			t.Errorf("the story, time %d: %d reads, %d events", n+1, reads, events)
		}
	}
}

// TestCommandsOfOneMemberAtOnce (jet/equinox#19): those that the rules allow are all done, each
// decided on the one before.
func TestCommandsOfOneMemberAtOnce(t *testing.T) {
	const n = 30
	h := build(t)
	h.patient()
	m := h.member(upstream.PlanPremium)
	id := h.grant(m, "tablet", server.TitleID("meridian", 2), "first").License.ID
	store := &counted{Store: h.guarded}
	for name, do := range map[string]func(s *app.Service, i int) error{
		"downloads": func(s *app.Service, i int) error {
			_, err := s.Download(t.Context(), app.ReportInput{Member: m, License: id, Key: fmt.Sprint("d", i)})
			return err
		},
		"renewals": func(s *app.Service, i int) error {
			_, err := s.Renew(t.Context(), app.RenewInput{Member: m, License: id, Key: fmt.Sprint("r", i)})
			return err
		},
		"requests": func(s *app.Service, i int) error {
			_, err := s.Request(t.Context(), request(m, "tablet", server.TitleID([]string{"meridian", "fathom", "halyard"}[i%3], 4+2*i), fmt.Sprint("q", i)))
			var refused *app.Refused
			if errors.As(err, &refused) { // The limit of a studio.
				return nil
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := h.instance(store) // It remembers nothing.
			store.reset()
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					if err := do(s, i); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if reads, _ := store.reset(); name != "requests" && reads > 3 {
				t.Errorf("%d commands made %d reads", n, reads)
			}
		})
	}
	h.history(m)
}

// TestPlaysDatedBeforeTheGrantNeverStartTheWindow (ExoPlayer#2622): a device whose clock is slow
// may watch as long as another.
func TestPlaysDatedBeforeTheGrantNeverStartTheWindow(t *testing.T) {
	h := build(t)
	m := h.member(upstream.PlanPremium)
	hours := func(title string, play func(l license.License) app.ReportInput) float64 {
		t.Helper()
		l := h.grant(m, "tablet", title, title).License
		a, err := h.app.Play(t.Context(), play(l))
		if err != nil {
			t.Fatal(err)
		}
		return a.License.ExpiresAt().Sub(l.Granted).Hours()
	}
	honest := hours(server.TitleID("meridian", 2), func(l license.License) app.ReportInput {
		return app.ReportInput{Member: m, License: l.ID, Key: "p1"}
	})
	slow := hours(server.TitleID("meridian", 4), func(l license.License) app.ReportInput {
		return app.ReportInput{Member: m, License: l.ID, Key: "p2", Occurred: l.Granted.Add(-9 * time.Minute)}
	})
	if slow > honest+1 {
		t.Errorf("after one play each, one device may watch for %.0f h, and one with a slow clock for %.0f h", honest, slow)
	}
	h.history(m)
}

// TestThePlayLimitIsTheClientsChoice no longer: plays that begin now are refused over the limit,
// whether or not they are dated; plays that are reported late are recorded, with a warning.
func TestThePlayLimitIsTheClientsChoice(t *testing.T) {
	h := build(t)
	m := h.member(upstream.PlanPremium)
	a := h.grant(m, "tablet", server.TitleID("bowline", 2), "r")
	limit := a.License.Limits.TitlePlays
	play := func(key string, occurred time.Time) (app.Answer, error) {
		return h.app.Play(t.Context(), app.ReportInput{Member: m, License: a.License.ID, Key: key, Occurred: occurred})
	}
	for name, dated := range map[string]func() time.Time{
		"now":                 time.Now,
		"a little in advance": func() time.Time { return time.Now().Add(9 * time.Minute) },
		"a little late":       func() time.Time { return time.Now().Add(-time.Millisecond) },
		"not at all":          func() time.Time { return time.Time{} },
	} {
		for i := range 3 * limit {
			b, err := play(fmt.Sprint(name, i), dated())
			var refused *app.Refused
			if err != nil && (!errors.As(err, &refused) || refused.Code != license.PlayYearLimit) {
				t.Fatalf("%s: %v", name, err)
			}
			if err == nil && b.License.PlayCount > limit {
				t.Fatalf("%s: play %d of %d was answered %+v", name, b.License.PlayCount, limit, b)
			}
		}
	}
	// The clock of this instance is an hour ahead: the same time is long past there.
	later := h.instance(h.guarded, func(c *app.Config) { c.Clock = func() time.Time { return time.Now().Add(time.Hour) } })
	b, err := later.Play(t.Context(), app.ReportInput{Member: m, License: a.License.ID, Key: "offline", Occurred: time.Now()})
	if err != nil || b.License.PlayCount != limit+1 || len(b.Warnings) != 1 || b.Warnings[0].Code != string(license.PlayYearLimit) {
		t.Errorf("a play that began offline: %+v, %v", b, err)
	}
	h.history(m)
}

// TestTheSameKeyAfterARefusal is refused, although another one would be allowed.
func TestTheSameKeyAfterARefusal(t *testing.T) {
	h := build(t)
	m := h.member(upstream.PlanBasic) // one device
	a := h.grant(m, "tablet", server.TitleID("capstan", 2), "r")
	in := request(m, "phone", server.TitleID("capstan", 4), "k")
	_, first := h.app.Request(t.Context(), in)
	if _, err := h.app.Release(t.Context(), app.ReportInput{Member: m, License: a.License.ID, Key: "x"}); err != nil {
		t.Fatal(err)
	}
	_, second := h.app.Request(t.Context(), in)
	var one, two *app.Refused
	if !errors.As(first, &one) || !errors.As(second, &two) || one.Code != license.DeviceLimit || two.Code != one.Code || two.Version != one.Version {
		t.Errorf("first %v, then %v", first, second)
	}
	in.Key = "another"
	if b, err := h.app.Request(t.Context(), in); err != nil || b.Outcome != app.Done {
		t.Errorf("%+v, %v", b, err)
	}
}

// TestTheSameKeyAfterTheEnd is answered as it was, with what the license is now.
func TestTheSameKeyAfterTheEnd(t *testing.T) {
	h := build(t)
	m := h.member(upstream.PlanPremium)
	a := h.grant(m, "tablet", server.TitleID("capstan", 2), "r")
	in := func(key string) app.ReportInput {
		return app.ReportInput{Member: m, License: a.License.ID, Key: key}
	}
	commands := map[string]func() (app.Answer, error){
		"request": func() (app.Answer, error) {
			return h.app.Request(t.Context(), request(m, "tablet", server.TitleID("capstan", 2), "r"))
		},
		"renewal": func() (app.Answer, error) {
			return h.app.Renew(t.Context(), app.RenewInput{Member: m, License: a.License.ID, Key: "n"})
		},
		"play":     func() (app.Answer, error) { return h.app.Play(t.Context(), in("p")) },
		"download": func() (app.Answer, error) { return h.app.Download(t.Context(), in("d")) },
	}
	for name, do := range commands {
		if b, err := do(); err != nil || b.Outcome != app.Done {
			t.Fatalf("%s: %+v, %v", name, b, err)
		}
	}
	if _, err := h.app.Release(t.Context(), in("x")); err != nil {
		t.Fatal(err)
	}
	commands["release"] = func() (app.Answer, error) { return h.app.Release(t.Context(), in("x")) }
	for name, do := range commands {
		b, err := do()
		if err != nil || b.Outcome != app.Done || !b.Repeated || b.Status != license.StatusReleased || b.Key != nil {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
}
