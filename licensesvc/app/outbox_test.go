package app_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/app/journal"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
)

// damage appends an event that can't be read to a member's stream.
func (h *house) damage(member string) {
	h.t.Helper()
	page, err := h.store.LoadAppender.Load(h.t.Context(), eventstore.Query{Stream: app.Stream(member)})
	if err != nil {
		h.t.Fatal(err)
	}
	a, err := h.store.LoadAppender.Append(h.t.Context(), eventstore.Commit{ID: "damage", Stream: app.Stream(member), Expected: page.Version,
		Events: []eventstore.Event{{Type: license.KindPlayed, Schema: 1, Data: []byte("[")}}})
	if err != nil || a.Outcome != eventstore.Applied {
		h.t.Fatal(a, err)
	}
}

// two returns two members of a plan.
func (h *house) two(plan string) (string, string) {
	h.t.Helper()
	var found []string
	for n := 1; n < 200 && len(found) < 2; n++ {
		if res, err := h.clients.MemberToIssue(h.t.Context(), server.MemberID(n)); err == nil && res.Value.Plan == plan {
			found = append(found, res.Value.ID)
		}
	}
	if len(found) < 2 {
		h.t.Fatal("too few members of plan", plan)
	}
	return found[0], found[1]
}

// TestOneEntryThatIsNotTakenHoldsUpNobody: it is parked in sight, and the others are carried over.
func TestOneEntryThatIsNotTakenHoldsUpNobody(t *testing.T) {
	h := build(t)
	poisoned, other := h.two(upstream.PlanStandard)
	a := h.grant(poisoned, "phone", server.TitleID("meridian", 2), "k").License.ID
	b := h.grant(other, "phone", server.TitleID("meridian", 2), "k").License.ID
	h.store.down()
	for member, id := range map[string]string{poisoned: a, other: b} {
		if got, err := h.app.Download(t.Context(), app.ReportInput{Member: member, License: id, Key: "d"}); err != nil || got.Outcome != app.Accepted {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	h.store.set(nil)
	h.damage(poisoned)
	if err := h.app.Drain(t.Context()); err == nil {
		t.Error("an event that can't be read was read")
	}
	o := h.app.Outbox()
	if o.Pending != 1 || o.Parked != 1 || o.Refused != 0 || o.Oldest.IsZero() || len(o.Reasons) != 1 || !strings.Contains(o.Reasons[0], "download of member "+poisoned) {
		t.Errorf("%+v", o)
	}
	if shown, err := h.app.Show(t.Context(), other, b); err != nil || shown.License.Downloaded.IsZero() {
		t.Errorf("the other member: %+v, %v", shown, err)
	}
	// Nobody is kept from deciding, and the entry stays.
	if _, err := h.app.Release(t.Context(), app.ReportInput{Member: other, License: b, Key: "x"}); err != nil {
		t.Error(err)
	}
	if n := h.app.Pending(); n != 1 {
		t.Errorf("%d pending", n)
	}
}

// TestWhatWasAcceptedIsNeverDropped: what another instance promised is not known here, and is
// waited for.
func TestWhatWasAcceptedIsNeverDropped(t *testing.T) {
	h := build(t)
	m, title := h.member(upstream.PlanStandard), server.TitleID("meridian", 2)
	path := filepath.Join(t.TempDir(), "journal")
	j, err := journal.Open(journal.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	second := h.another(j)
	h.store.down()
	promise := h.grant(m, "phone", title, "k") // by the first instance
	in := app.ReportInput{Member: m, License: promise.License.ID, Key: "x"}
	if a, err := second.Release(t.Context(), in); err != nil || a.Outcome != app.Accepted {
		t.Fatalf("%+v, %v", a, err)
	}
	h.store.set(nil)
	if err := second.Drain(t.Context()); err != nil {
		t.Errorf("a refusal is nothing that the store failed in: %v", err)
	}
	if o := second.Outbox(); o.Refused != 1 || o.Pending != 0 || len(o.Reasons) != 1 {
		t.Errorf("%+v", o)
	}
	// A restart keeps it.
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err = journal.Open(journal.Config{Path: path}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	second = h.another(j)
	if err := h.app.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := second.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o := second.Outbox(); o.Refused != 0 || o.Pending != 0 {
		t.Errorf("%+v", o)
	}
	if shown, err := second.Show(t.Context(), m, promise.License.ID); err != nil || shown.Status != license.StatusReleased {
		t.Errorf("%+v, %v", shown, err)
	}
}

// TestARefusalIsKeptUntilSomebodySawIt.
func TestARefusalIsKeptUntilSomebodySawIt(t *testing.T) {
	h := build(t)
	m := h.member(upstream.PlanStandard)
	h.grant(m, "phone", server.TitleID("meridian", 2), "k")
	in := app.ReportInput{Member: m, License: "lic-none", Key: "x"}
	h.store.down()
	if a, err := h.app.Release(t.Context(), in); err != nil || a.Outcome != app.Accepted {
		t.Fatalf("%+v, %v", a, err)
	}
	h.store.set(nil)
	if err := h.app.Drain(t.Context()); err != nil || h.app.Outbox().Refused != 1 {
		t.Fatalf("%+v, %v", h.app.Outbox(), err)
	}
	var r *app.Refused
	if _, err := h.app.Release(t.Context(), in); !errors.As(err, &r) || r.Code != license.NotFound {
		t.Errorf("the device asks again: %v", err)
	}
	if o := h.app.Outbox(); o.Refused != 0 {
		t.Errorf("seen, and kept: %+v", o)
	}
}

// TestAPromisedLicenseIsALicense: it can be listed, shown, played and renewed, with the store down
// and on an instance that remembers nothing of the member but the promise.
func TestAPromisedLicenseIsALicense(t *testing.T) {
	h := build(t)
	m, title := h.member(upstream.PlanStandard), server.TitleID("meridian", 2)
	h.store.down()
	id := h.grant(m, "phone", title, "k").License.ID
	if a, err := h.app.Play(t.Context(), app.ReportInput{Member: m, License: id, Key: "p"}); err != nil || a.Outcome != app.Accepted || len(a.License.Plays) != 1 {
		t.Errorf("play: %+v, %v", a, err)
	}
	if a, err := h.app.Renew(t.Context(), app.RenewInput{Member: m, License: id, Key: "r"}); err != nil || a.Outcome != app.Accepted {
		t.Errorf("renew: %+v, %v", a, err)
	}
	if a, err := h.app.Show(t.Context(), m, id); err != nil || len(a.License.Plays) != 1 {
		t.Errorf("show: %+v, %v", a, err)
	}
	if v, err := h.app.Licenses(t.Context(), m); err != nil || len(v.Licenses) != 1 || !v.Partial {
		t.Errorf("list: %+v, %v", v, err)
	}
	h.store.set(nil)
	if err := h.app.Drain(t.Context()); err != nil || h.app.Pending() != 0 {
		t.Fatalf("%+v, %v", h.app.Outbox(), err)
	}
	if a, err := h.app.Show(t.Context(), m, id); err != nil || a.Status != license.StatusActive || len(a.License.Plays) != 1 || len(a.License.Renewals) != 1 {
		t.Errorf("afterwards: %+v, %v", a, err)
	}
	h.history(m)
}

// TestNoLicenseStopsExistingBecauseTheStoreCannotSay.
func TestNoLicenseStopsExistingBecauseTheStoreCannotSay(t *testing.T) {
	h := build(t)
	m, promised := h.two(upstream.PlanStandard)
	id := h.grant(m, "phone", server.TitleID("meridian", 2), "k").License.ID
	j, err := journal.Open(journal.Config{Path: filepath.Join(t.TempDir(), "journal")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	fresh := h.another(j)
	h.store.down()
	for _, member := range []string{promised, m} { // another one's promise, then one of the member's own
		if _, err := fresh.Request(t.Context(), request(member, "phone", server.TitleID("meridian", 3), "k2")); err != nil {
			t.Fatal(err)
		}
		_, err := fresh.Show(t.Context(), m, id)
		unavailable(t, err, app.EventStore)
		if v, err := fresh.Licenses(t.Context(), m); err == nil && !v.Partial {
			t.Errorf("a list of %d without a word that it is partial", len(v.Licenses))
		}
	}
}

// TestALongOutboxCostsOthersNothing: a request looks at its own member's entries only.
func TestALongOutboxCostsOthersNothing(t *testing.T) {
	h := build(t)
	m := h.member(upstream.PlanStandard)
	h.grant(m, "phone", server.TitleID("meridian", 2), "k")
	h.store.down()
	const entries = 2000
	for n := range entries {
		in := app.ReportInput{Member: fmt.Sprintf("m-x%04d", n), License: "lic-x", Key: "d"}
		if _, err := h.app.Download(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.app.Pending(); n != entries {
		t.Fatalf("%d pending", n)
	}
	list := func() { _, _ = h.app.Licenses(t.Context(), m) }
	if allocs := testing.AllocsPerRun(20, list); allocs > 300 {
		t.Errorf("%.0f allocations to list one member's licenses with %d entries of others", allocs, entries)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h.store.set(nil)
	for h.app.Pending() > 0 { // On a slow machine some are parked, and tried again.
		if err := h.app.Drain(ctx); ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	// Nobody has these licenses: refused, kept, and not pending.
	if o := h.app.Outbox(); o.Refused != entries || o.Pending != 0 || len(o.Reasons) != 10 {
		t.Errorf("%+v", o)
	}
}
