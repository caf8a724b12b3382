package app_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/app/journal"
	"github.com/backstay-go/backstay/licensesvc/app/token"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
	stored "github.com/backstay-go/backstay/licensesvc/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a service on a real store, real servers and a real journal.
type house struct {
	t       *testing.T
	app     *app.Service
	store   *flaky // the file below the guard
	guarded *sqlite.Store
	journal *journal.Journal
	signer  *token.Signer
	clients *upstream.Clients
	down    map[string]*atomic.Bool
}

// flaky is a store whose calls can be made to fail.
type flaky struct {
	eventstore.LoadAppender
	// fail decides what happens to a call: nil lets it through.
	fail atomic.Pointer[func(call string) fault]
}

type fault int

const (
	none fault = iota
	// refused: the call is not carried out, and says so.
	refused
	// lost: the call is not carried out, and nobody knows.
	lost
	// unheard: the call is carried out, and the answer is lost.
	unheard
)

func (f *flaky) set(fail func(call string) fault) {
	if fail == nil {
		f.fail.Store(nil)
		return
	}
	f.fail.Store(&fail)
}

func (f *flaky) down() { f.set(func(string) fault { return refused }) }

func (f *flaky) of(call string) fault {
	if p := f.fail.Load(); p != nil {
		return (*p)(call)
	}
	return none
}

func (f *flaky) Load(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	if f.of("load") != none {
		return eventstore.Page{}, eventstore.ErrUnavailable
	}
	return f.LoadAppender.Load(ctx, q)
}

func (f *flaky) Append(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	return f.write(f.of("append"), func() (eventstore.Appended, error) { return f.LoadAppender.Append(ctx, c) })
}

func (f *flaky) Resolve(ctx context.Context, stream, commit string) (eventstore.Appended, error) {
	return f.write(f.of("resolve"), func() (eventstore.Appended, error) { return f.LoadAppender.Resolve(ctx, stream, commit) })
}

func (f *flaky) write(what fault, call func() (eventstore.Appended, error)) (eventstore.Appended, error) {
	switch what {
	case refused:
		return eventstore.Appended{Outcome: eventstore.Rejected}, eventstore.ErrUnavailable
	case lost:
		return eventstore.Appended{}, eventstore.ErrUnknown
	case unheard:
		if _, err := call(); err != nil && !errors.Is(err, eventstore.ErrUnknown) {
			return eventstore.Appended{}, errors.Join(eventstore.ErrUnknown, err)
		}
		return eventstore.Appended{}, eventstore.ErrUnknown
	}
	return call()
}

type wire struct {
	base http.Transport
	down *atomic.Bool
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.down.Load() {
		return nil, errors.New("connection refused")
	}
	return w.base.RoundTrip(r)
}

func (w *wire) CloseIdleConnections() { w.base.CloseIdleConnections() }

func build(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, down: map[string]*atomic.Bool{upstream.Membership: {}, upstream.Catalog: {}, upstream.KeyService: {}}}
	ctx, dir := t.Context(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// A breaker would turn one test's fault into the next call's refusal.
	policy := sqlite.Policy()
	policy.Breaker = nil
	var err error
	h.guarded, err = sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "events.db"), Policy: &policy, Between: func(file eventstore.LoadAppender) eventstore.LoadAppender {
		h.store = &flaky{LoadAppender: file}
		return h.store
	}})
	must(err)
	servers, err := server.Start(ctx, server.Config{})
	must(err)
	policies := map[string]func() (p resiliencePolicy){
		upstream.Membership: upstream.MembershipPolicy, upstream.Catalog: upstream.CatalogPolicy, upstream.KeyService: upstream.KeyServicePolicy,
	}
	noBreaker := map[string]resiliencePolicy{}
	for name, p := range policies {
		policy := p()
		policy.Breaker = nil
		noBreaker[name] = policy
	}
	h.clients, err = upstream.New(upstream.Config{
		Membership: servers.URL("membership"), Catalog: servers.URL("catalog"), Keys: servers.URL("key-service"), Policies: noBreaker,
		Transport: func(name string) http.RoundTripper { return &wire{down: h.down[name]} },
	})
	must(err)
	h.journal, err = journal.Open(journal.Config{Path: filepath.Join(dir, "journal")})
	must(err)
	h.signer, err = token.Open(filepath.Join(dir, "token.key"))
	must(err)
	h.app = h.another(h.journal)
	t.Cleanup(func() {
		if err := errors.Join(h.journal.Close(), h.clients.Close(), servers.Shutdown(context.WithoutCancel(ctx)), h.guarded.Close()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// another is one more instance on the same store.
func (h *house) another(j *journal.Journal) *app.Service {
	h.t.Helper()
	cfg := app.Config{Store: h.guarded, Upstream: h.clients, Journal: j}
	if j != nil {
		cfg.Signer = h.signer
	}
	s, err := app.New(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// member returns a member of a plan.
func (h *house) member(plan string) string {
	h.t.Helper()
	for n := 1; n < 200; n++ {
		if res, err := h.clients.MemberToIssue(h.t.Context(), server.MemberID(n)); err == nil && res.Value.Plan == plan {
			return res.Value.ID
		}
	}
	h.t.Fatalf("no member of plan %s", plan)
	return ""
}

func request(member, device, title, key string) app.RequestInput {
	return app.RequestInput{Member: member, Device: device, Title: title, Key: key}
}

func (h *house) grant(member, device, title, key string) app.Answer {
	h.t.Helper()
	a, err := h.app.Request(h.t.Context(), request(member, device, title, key))
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

// history reads a member's stream behind all guards, and audits it.
func (h *house) history(member string) []license.Event {
	h.t.Helper()
	var events []license.Event
	codec, err := stored.New()
	if err != nil {
		h.t.Fatal(err)
	}
	_, err = eventstore.LoadAll(h.t.Context(), h.store.LoadAppender, eventstore.Query{Stream: app.Stream(member)}, func(page []eventstore.Event) error {
		decoded, err := codec.DecodeAll(page)
		events = append(events, decoded...)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, v := range license.Audit(events) {
		h.t.Errorf("member %s: rule broken: %+v", member, v)
	}
	return events
}

func sources(on []license.Basis) string {
	var b strings.Builder
	for _, o := range on {
		b.WriteString(o.Dependency + "=" + o.Source + " ")
	}
	return strings.TrimSpace(b.String())
}

func unavailable(t *testing.T, err error, dependency string) *app.Unavailable {
	t.Helper()
	var u *app.Unavailable
	if !errors.As(err, &u) || u.Dependency != dependency || u.Retry <= 0 || u.Detail == "" {
		t.Fatalf("%v, want %s unavailable", err, dependency)
	}
	return u
}

func TestALicenseFromRequestToRelease(t *testing.T) {
	h := build(t)
	ctx, m, title := t.Context(), h.member(upstream.PlanStandard), server.TitleID("meridian", 2)
	a := h.grant(m, "phone", title, "k1")
	if a.Outcome != app.Done || a.Status != license.StatusActive || a.Key == nil || a.Version != 1 || a.Token != "" ||
		sources(a.DecidedOn) != "membership=live catalog=live key-service=live event-store=live" {
		t.Fatalf("%+v", a)
	}
	again := h.grant(m, "phone", title, "k1")
	if again.License.ID != a.License.ID || !again.Repeated || again.Key.ID != a.Key.ID || again.Version != 1 {
		t.Errorf("the same request: %+v", again)
	}
	var r *app.Refused
	if _, err := h.app.Request(ctx, request(m, "tablet", title, "k1")); !errors.As(err, &r) || r.Code != license.IDTaken {
		t.Errorf("the same key for another device: %v", err)
	}
	renewed, err := h.app.Renew(ctx, app.RenewInput{Member: m, License: a.License.ID, Key: "r1"})
	if err != nil || renewed.Version != 2 || !strings.Contains(sources(renewed.DecidedOn), "membership=live") {
		t.Fatalf("%+v, %v", renewed, err)
	}
	if twice, err := h.app.Renew(ctx, app.RenewInput{Member: m, License: a.License.ID, Key: "r1"}); err != nil || twice.Version != 2 || !twice.Repeated {
		t.Errorf("%+v, %v", twice, err)
	}
	played, err := h.app.Play(ctx, app.ReportInput{Member: m, License: a.License.ID, Key: "p1"})
	if err != nil || len(played.License.Plays) != 1 || played.Version != 3 {
		t.Fatalf("%+v, %v", played, err)
	}
	if _, err := h.app.Download(ctx, app.ReportInput{Member: m, License: a.License.ID, Key: "d1", Occurred: time.Now()}); err != nil {
		t.Error(err)
	}
	if offline, err := h.app.Play(ctx, app.ReportInput{Member: m, License: a.License.ID, Key: "p2", Occurred: time.Now()}); err != nil || offline.Version != 5 {
		t.Errorf("%+v, %v", offline, err)
	}
	shown, err := h.app.Show(ctx, m, a.License.ID)
	if err != nil || shown.Status != license.StatusActive || shown.Version != 5 {
		t.Errorf("%+v, %v", shown, err)
	}
	story, err := h.app.Explain(ctx, m, a.License.ID)
	if err != nil || len(story.Events) != 5 || story.Events[0].Event.Kind() != license.KindGranted || story.Events[1].Cause != "renew" {
		t.Errorf("%+v, %v", story, err)
	}
	for range 2 {
		if released, err := h.app.Release(ctx, app.ReportInput{Member: m, License: a.License.ID, Key: "x"}); err != nil || released.Status != license.StatusReleased || released.Version != 6 {
			t.Errorf("%+v, %v", released, err)
		}
	}
	if _, err := h.app.Show(ctx, m, "lic-none"); !errors.Is(err, app.ErrNotFound) {
		t.Error(err)
	}
	if view, err := h.app.Licenses(ctx, m); err != nil || len(view.Licenses) != 1 || view.Version != 6 {
		t.Errorf("%+v, %v", view, err)
	}
	h.history(m)
}

func TestARefusalIsDecidedOnAFreshRead(t *testing.T) {
	h := build(t)
	m := h.member(upstream.PlanBasic) // one device
	a := h.grant(m, "phone", server.TitleID("capstan", 2), "k1")
	var r *app.Refused
	_, err := h.app.Request(t.Context(), request(m, "tablet", server.TitleID("capstan", 4), "k2"))
	if !errors.As(err, &r) || r.Code != license.DeviceLimit || !strings.Contains(sources(r.DecidedOn), "event-store=live") {
		t.Fatal(err)
	}
	// Another instance releases; what this one remembers would still refuse.
	other := h.another(nil)
	if _, err := other.Release(t.Context(), app.ReportInput{Member: m, License: a.License.ID, Key: "x"}); err != nil {
		t.Fatal(err)
	}
	if a := h.grant(m, "tablet", server.TitleID("capstan", 4), "k3"); a.Outcome != app.Done {
		t.Errorf("%+v", a)
	}
	h.history(m)
}

func TestConcurrentRequestsBreakNoRule(t *testing.T) {
	h := build(t)
	m := h.member(upstream.PlanBasic)
	other := h.another(nil)
	var granted atomic.Int32
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			s := []*app.Service{h.app, other}[i%2]
			a, err := s.Request(t.Context(), request(m, "phone", server.TitleID("bowline", 2+2*(i%6)), "k"+string(rune('a'+i))))
			var r *app.Refused
			switch {
			case err == nil && a.Outcome == app.Done:
				granted.Add(1)
			case errors.As(err, &r), errors.Is(err, app.ErrUnavailable): // over the limit, or busy
			default:
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
	wg.Wait()
	n := 0
	for _, e := range h.history(m) {
		if _, ok := e.(license.Granted); ok {
			n++
		}
	}
	if n == 0 || n > 4 || n < int(granted.Load()) { // bowline allows 4 at once
		t.Errorf("%d licenses in the store, %d answered", n, granted.Load())
	}
}

func TestUnknownIsResolvedByTheCommit(t *testing.T) {
	for name, what := range map[string]fault{"carried out": unheard, "not carried out": lost} {
		t.Run(name, func(t *testing.T) {
			h := build(t)
			m := h.member(upstream.PlanStandard)
			first := true
			h.store.set(func(call string) fault {
				if call == "append" && first {
					first = false
					return what
				}
				return none
			})
			a := h.grant(m, "phone", server.TitleID("meridian", 2), "k")
			if a.Outcome != app.Done || a.Token != "" {
				t.Errorf("%+v", a)
			}
			if n := len(h.history(m)); n != 1 {
				t.Errorf("%d events", n)
			}
		})
	}
}

func TestWhileTheStoreFailsALicenseIsPromised(t *testing.T) {
	h := build(t)
	ctx, m, title := t.Context(), h.member(upstream.PlanStandard), server.TitleID("meridian", 2)
	h.store.down()
	a := h.grant(m, "phone", title, "k")
	if a.Outcome != app.Promised || a.Token == "" || a.Key == nil || a.Status != license.StatusProvisional || time.Until(a.License.Expires) > time.Hour ||
		!strings.Contains(sources(a.DecidedOn), "event-store=static") {
		t.Fatalf("%+v", a)
	}
	if again := h.grant(m, "phone", title, "k"); again.License.ID != a.License.ID || again.Token != a.Token || !again.Repeated || h.app.Pending() != 1 {
		t.Errorf("%+v", again)
	}
	if shown, err := h.app.Show(ctx, m, a.License.ID); err != nil || shown.Status != license.StatusProvisional {
		t.Errorf("%+v, %v", shown, err)
	}
	if err := h.app.Drain(ctx); err == nil || h.app.Pending() != 1 {
		t.Errorf("drained into a store that is down: %v", err)
	}
	h.store.set(nil)
	story, err := h.app.Explain(ctx, m, a.License.ID)
	if err != nil || !story.Waiting || story.Status != license.StatusProvisional {
		t.Errorf("%+v, %v", story, err)
	}
	if err := h.app.Drain(ctx); err != nil || h.app.Pending() != 0 {
		t.Fatal(err)
	}
	shown, err := h.app.Show(ctx, m, a.License.ID)
	if err != nil || shown.Status != license.StatusActive || shown.License.Provisional {
		t.Errorf("%+v, %v", shown, err)
	}
	if redeemed, err := h.app.Redeem(ctx, m, a.Token, app.Meta{}); err != nil || redeemed.License.ID != a.License.ID || !redeemed.Repeated {
		t.Errorf("%+v, %v", redeemed, err)
	}
	if n := len(h.history(m)); n != 2 { // promised, confirmed
		t.Errorf("%d events", n)
	}
}

func TestATokenIsTakenLateWhenItsInstanceIsLost(t *testing.T) {
	h := build(t)
	m := h.member(upstream.PlanStandard)
	h.store.down()
	a := h.grant(m, "phone", server.TitleID("meridian", 2), "k")
	h.store.set(nil)
	// Another instance, whose journal has nothing.
	j, err := journal.Open(journal.Config{Path: filepath.Join(t.TempDir(), "journal")})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	other := h.another(j)
	got, err := other.Redeem(t.Context(), m, a.Token, app.Meta{})
	if err != nil || got.Status != license.StatusActive || got.License.ID != a.License.ID {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", a.Token + "x", "a.b.c"} {
		if _, err := other.Redeem(t.Context(), m, bad, app.Meta{}); !errors.Is(err, app.ErrToken) {
			t.Error(err)
		}
	}
	if _, err := other.Redeem(t.Context(), h.member(upstream.PlanBasic), a.Token, app.Meta{}); !errors.Is(err, app.ErrToken) {
		t.Error(err)
	}
	// The lost instance comes back and drains.
	if err := h.app.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(h.history(m)); n != 2 {
		t.Errorf("%d events", n)
	}
}

func TestAPromiseOverALimitIsEnded(t *testing.T) {
	h := build(t)
	m := h.member(upstream.PlanBasic) // one device
	// This instance has never seen the member; the other has granted a license.
	other := h.another(nil)
	if _, err := other.Request(t.Context(), request(m, "phone", server.TitleID("capstan", 2), "k1")); err != nil {
		t.Fatal(err)
	}
	h.store.down()
	a := h.grant(m, "tablet", server.TitleID("capstan", 4), "k2")
	if a.Outcome != app.Promised {
		t.Fatalf("%+v", a)
	}
	// A promise counts when the next one is decided.
	var r *app.Refused
	if _, err := h.app.Request(t.Context(), request(m, "watch", server.TitleID("capstan", 6), "k3")); !errors.As(err, &r) || r.Code != license.DeviceLimit {
		t.Fatal(err)
	}
	h.store.set(nil)
	if err := h.app.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	shown, err := h.app.Show(t.Context(), m, a.License.ID)
	if err != nil || shown.Status != license.StatusRevoked || !strings.Contains(shown.License.Reason, "device_limit") {
		t.Errorf("%+v, %v", shown, err)
	}
	h.history(m)
}

func TestWhatADeviceReportsWhileTheStoreFailsIsKept(t *testing.T) {
	h := build(t)
	ctx, m := t.Context(), h.member(upstream.PlanStandard)
	a := h.grant(m, "phone", server.TitleID("meridian", 2), "k")
	in := func(key string) app.ReportInput {
		return app.ReportInput{Member: m, License: a.License.ID, Key: key}
	}
	h.store.down()
	for _, repeated := range []bool{false, true} {
		r, err := h.app.Renew(ctx, app.RenewInput{Member: m, License: a.License.ID, Key: "r"})
		if err != nil || r.Outcome != app.Accepted || r.Repeated != repeated || !strings.Contains(sources(r.DecidedOn), "event-store=stale") {
			t.Errorf("a renewal, repeated %t: %+v, %v", repeated, r, err)
		}
	}
	for name, call := range map[string]func() (app.Answer, error){
		"play":     func() (app.Answer, error) { return h.app.Play(ctx, in("p")) },
		"download": func() (app.Answer, error) { return h.app.Download(ctx, in("d")) },
	} {
		if got, err := call(); err != nil || got.Outcome != app.Accepted || !strings.Contains(sources(got.DecidedOn), "event-store=stale") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if got, err := h.app.Release(ctx, in("x")); err != nil || got.Outcome != app.Accepted {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := h.app.Revoke(ctx, in("v"), "fraud"); err == nil {
		t.Error("revoked without a store")
	}
	if view, err := h.app.Licenses(ctx, m); err != nil || len(view.Licenses) != 1 || view.Licenses[0].Released.IsZero() || sources(view.DecidedOn) != "event-store=stale" {
		t.Errorf("%+v, %v", view, err)
	}
	h.store.set(nil)
	// The member's next command finds the reports decided.
	if b := h.grant(m, "phone", server.TitleID("meridian", 4), "k2"); b.Version != 6 {
		t.Errorf("%+v", b)
	}
	if h.app.Pending() != 0 {
		t.Errorf("%d pending", h.app.Pending())
	}
	h.history(m)
}

func TestDependenciesAndTheirStandIns(t *testing.T) {
	h := build(t)
	ctx, m := t.Context(), h.member(upstream.PlanStandard)
	a := h.grant(m, "phone", server.TitleID("meridian", 2), "k")
	t.Run("membership, remembered", func(t *testing.T) {
		h.down[upstream.Membership].Store(true)
		defer h.down[upstream.Membership].Store(false)
		if got := h.grant(m, "phone", server.TitleID("fathom", 2), "k2"); !strings.Contains(sources(got.DecidedOn), "membership=stale") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("membership, not remembered: renewals yes, new licenses no", func(t *testing.T) {
		fresh, err := upstream.New(upstream.Config{Membership: "http://127.0.0.1:1", Catalog: "http://127.0.0.1:1", Keys: "http://127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		defer fresh.Close()
		s, err := app.New(app.Config{Store: h.guarded, Upstream: fresh})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Request(ctx, request(m, "phone", server.TitleID("fathom", 4), "k3"))
		unavailable(t, err, upstream.Membership)
		got, err := s.Renew(ctx, app.RenewInput{Member: m, License: a.License.ID, Key: "r"})
		if err != nil || !strings.Contains(sources(got.DecidedOn), "membership=stale catalog=static") {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("catalog", func(t *testing.T) {
		h.down[upstream.Catalog].Store(true)
		defer h.down[upstream.Catalog].Store(false)
		got := h.grant(m, "phone", server.TitleID("halyard", 2), "k4")
		if !strings.Contains(sources(got.DecidedOn), "catalog=static") || got.License.Limits.StudioDownloads != upstream.Strictest("halyard").StudioDownloads {
			t.Errorf("%+v", got)
		}
	})
	t.Run("key service", func(t *testing.T) {
		h.down[upstream.KeyService].Store(true)
		defer h.down[upstream.KeyService].Store(false)
		before := len(h.history(m))
		_, err := h.app.Request(ctx, request(m, "phone", server.TitleID("halyard", 4), "k5"))
		u := unavailable(t, err, upstream.KeyService)
		if !strings.Contains(sources(u.DecidedOn), "catalog=live") || len(h.history(m)) != before {
			t.Errorf("%+v", u)
		}
	})
	h.history(m)
}

func TestAFullDiskServesReleasesRenewalsAndReads(t *testing.T) {
	h := build(t)
	ctx, m := t.Context(), h.member(upstream.PlanStandard)
	a := h.grant(m, "phone", server.TitleID("meridian", 2), "k")
	s, err := app.New(app.Config{Store: h.guarded, Upstream: h.clients, Full: func() string { return "12 MiB are free" }})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Request(ctx, request(m, "phone", server.TitleID("meridian", 4), "k2"))
	unavailable(t, err, app.Disk)
	_, err = s.Play(ctx, app.ReportInput{Member: m, License: a.License.ID, Key: "p"})
	unavailable(t, err, app.Disk)
	if _, err := s.Renew(ctx, app.RenewInput{Member: m, License: a.License.ID, Key: "r"}); err != nil {
		t.Error(err)
	}
	if _, err := s.Show(ctx, m, a.License.ID); err != nil {
		t.Error(err)
	}
	if _, err := s.Release(ctx, app.ReportInput{Member: m, License: a.License.ID, Key: "x"}); err != nil {
		t.Error(err)
	}
}

func TestBadInputNamesEachField(t *testing.T) {
	h := build(t)
	_, err := h.app.Request(t.Context(), request("", "a b", strings.Repeat("x", 100), ""))
	for _, want := range []string{"member", "device", "title", "Idempotency-Key"} {
		if !errors.Is(err, app.ErrInput) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	_, err = app.New(app.Config{Journal: h.journal, CacheBytes: -1, DrainEvery: -1})
	for _, want := range []string{"Store", "Upstream", "Signer", "CacheBytes", "DrainEvery"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}
