package app_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/decision"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
)

// decisions keeps records in memory.
type decisions struct {
	mu  sync.Mutex
	all []decision.Record
}

func (d *decisions) Record(r decision.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, r)
}

// take returns the records since the last call, in a short form, and forgets them.
func (d *decisions) take() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for _, r := range d.all {
		s := r.Command + " " + r.Outcome
		if r.Reason != "" {
			s += " " + r.Reason
		}
		if r.Repeated {
			s += " repeated"
		}
		if r.CarriedOver {
			s += " carried_over"
		}
		all = append(all, s+fmt.Sprintf(" %T", r.Input))
	}
	d.all = nil
	return strings.ReplaceAll(strings.Join(all, ", "), "license.", "")
}

// recorded returns a service on the parts of a house that records its decisions.
func (h *house) recorded(full *bool) (*app.Service, *decisions) {
	h.t.Helper()
	d := &decisions{}
	s, err := app.New(app.Config{Store: h.store, Upstream: h.clients, Journal: h.journal, Signer: h.signer, Decisions: d, Full: func() string {
		if *full {
			return "there is no room"
		}
		return ""
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	return s, d
}

// TestEveryOutcomeOfEveryCommandIsRecorded, with what was decided on.
func TestEveryOutcomeOfEveryCommandIsRecorded(t *testing.T) {
	h := build(t)
	full := false
	s, d := h.recorded(&full)
	member, _ := h.two(upstream.PlanBasic)
	ctx := t.Context()
	title := server.TitleID("meridian", 2)
	id := ""
	in := func(key string) app.ReportInput { return app.ReportInput{Member: member, License: id, Key: key} }
	ask := func(device, key string) func() {
		return func() {
			if a, err := s.Request(ctx, request(member, device, title, key)); err == nil {
				id = a.License.ID
			}
		}
	}
	up := func() { h.store.set(nil) }
	lost := func() {
		h.store.set(func(call string) fault {
			if call == "load" {
				return none
			}
			return lost
		})
	}
	play := func(key string) func() { return func() { _, _ = s.Play(ctx, in(key)) } }
	renew := func(key string) func() {
		return func() { _, _ = s.Renew(ctx, app.RenewInput{Member: member, License: id, Key: key}) }
	}
	download := func(key string) func() { return func() { _, _ = s.Download(ctx, in(key)) } }
	release := func(key string) func() { return func() { _, _ = s.Release(ctx, in(key)) } }
	revoke := func(key string) func() { return func() { _, _ = s.Revoke(ctx, in(key), "fraud") } }
	drain := func() { _ = s.Drain(ctx) }
	for _, step := range []struct {
		name   string
		before func()
		do     func()
		want   string
	}{
		{"an invalid command is none", up, func() { _, _ = s.Request(ctx, app.RequestInput{}) }, ""},
		{"the disk is full", func() { full = true }, ask("phone", "a"), "request unavailable disk <nil>"},
		{"granted", func() { full = false }, ask("phone", "a"), "request done Request"},
		{"the same again", up, ask("phone", "a"), "request done repeated Request"},
		{"refused", up, func() { _, _ = s.Request(ctx, request(member, "tablet", title, "b")) }, "request refused device_limit Request"},
		{"the same again is refused again", up, func() { _, _ = s.Request(ctx, request(member, "tablet", title, "b")) }, "request refused device_limit repeated <nil>"},
		{"membership is down", func() { h.down[upstream.Membership].Store(true) },
			func() { _, _ = s.Request(ctx, request("m-unheard-of", "phone", title, "c")) }, "request unavailable membership <nil>"},
		{"renewed", func() { h.down[upstream.Membership].Store(false) }, renew("r1"), "renew done Renew"},
		{"renewed again", up, renew("r1"), "renew done repeated Renew"},
		{"downloaded", up, download("d1"), "download done ReportDownload"},
		{"played", up, play("p1"), "play done Play"},
		{"played offline", up, func() {
			report := in("p2")
			report.Occurred = time.Now()
			_, _ = s.Play(ctx, report)
		}, "play done ReportPlay"},
		{"a play is accepted", h.store.down, play("p3"), "play accepted Play"},
		{"a download is accepted", h.store.down, download("d2"), "download accepted ReportDownload"},
		{"a renewal is accepted", h.store.down, renew("r2"), "renew accepted Renew"},
		{"a revocation is not", h.store.down, revoke("v1"), "revoke unavailable event-store <nil>"},
		{"carried over", up, drain, "play done carried_over ReportPlay, download done carried_over ReportDownload, renew done carried_over Renew"},
		{"unknown", lost, revoke("v2"), "revoke unknown event-store Revoke"},
		{"a release is accepted", h.store.down, release("x1"), "release accepted Release"},
		{"revoked", up, revoke("v3"), "release done carried_over Release, revoke done repeated Revoke"},
		{"promised", h.store.down, ask("phone", "e"), "request promised Request"},
		{"the promise is confirmed", up, drain, "promise done carried_over Promise"},
		{"revoked now", up, revoke("v4"), "revoke done Revoke"},
		{"a play is refused", up, play("p5"), "play refused license_ended Play"},
		{"a renewal is refused", up, renew("r5"), "renew refused license_ended Renew"},
		{"nobody has it", func() { id = "lic-none" }, release("x9"), "release refused license_not_found Release"},
	} {
		step.before()
		step.do()
		if got := d.take(); got != step.want {
			t.Errorf("%s: recorded %q; want %q", step.name, got, step.want)
		}
	}
}

// TestARecordHasWhatTheDecisionRestsOn: the same decision can be made again from it.
func TestARecordHasWhatTheDecisionRestsOn(t *testing.T) {
	h := build(t)
	full := false
	s, d := h.recorded(&full)
	member, _ := h.two(upstream.PlanStandard)
	want := request(member, "phone", server.TitleID("meridian", 2), "a")
	want.Meta = app.Meta{Trace: "4bf9", Actor: "me"}
	a, err := s.Request(t.Context(), want)
	if err != nil || len(d.all) != 1 {
		t.Fatal(a, err, d.all)
	}
	r := d.all[0]
	input, ok := r.Input.(license.Request)
	if !ok || input.Member.Plan != upstream.PlanStandard || input.Title.Terms.Version == "" || input.At != r.At {
		t.Errorf("%+v", r.Input)
	}
	again, err := license.Decide(license.State{}, r.Input, s.Rules())
	if err != nil || again.License.ID != a.License.ID || again.License.Expires != a.License.Expires {
		t.Errorf("%+v, %v", again, err)
	}
	if r.Member != member || r.Key != "a" || r.License != a.License.ID || r.Rules != s.Rules().VersionAt(r.At) || r.Version != 0 || r.Trace != "4bf9" || r.Actor != "me" ||
		sources(r.DecidedOn) != sources(a.DecidedOn) {
		t.Errorf("%+v", r)
	}
}
