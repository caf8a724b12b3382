package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/app/journal"
	"github.com/backstay-go/backstay/licensesvc/app/token"
	"github.com/backstay-go/backstay/licensesvc/codec"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
	stored "github.com/backstay-go/backstay/licensesvc/wire"
)

// add appends an event to a member's stream, as a newer program would.
func (h *house) add(member string, e eventstore.Event) {
	h.t.Helper()
	page, err := h.store.LoadAppender.Load(h.t.Context(), eventstore.Query{Stream: app.Stream(member)})
	if err != nil {
		h.t.Fatal(err)
	}
	a, err := h.store.LoadAppender.Append(h.t.Context(), eventstore.Commit{ID: fmt.Sprintf("newer-%d", page.Version), Stream: app.Stream(member),
		Expected: page.Version, Events: []eventstore.Event{e}})
	if err != nil || a.Outcome != eventstore.Applied {
		h.t.Fatal(a, err)
	}
}

// TestAnEventOfANewerProgram (Axon#413): the license is read as far as it can be, what does not
// depend on the event works, what depends on it is refused with a reason, and the event stays as
// it is.
func TestAnEventOfANewerProgram(t *testing.T) {
	h := build(t)
	member, _ := h.two(upstream.PlanPremium)
	touched := h.grant(member, "phone", server.TitleID("meridian", 2), "a").License.ID
	same := h.grant(member, "tablet", server.TitleID("meridian", 2), "b").License.ID
	other := h.grant(member, "phone", server.TitleID("meridian", 3), "c").License.ID
	data := fmt.Sprintf(`{"license":%q,"shared_with":"profile-2"}`, touched)
	h.add(member, eventstore.Event{Type: "license.shared", Schema: 4, Occurred: time.Now(), Data: []byte(data)})

	view, err := h.app.Licenses(t.Context(), member)
	if err != nil || len(view.Licenses) != 3 || len(view.Newer) != 0 {
		t.Fatalf("%+v, %v", view, err)
	}
	shown, err := h.app.Show(t.Context(), member, touched)
	if err != nil || shown.Status != license.StatusActive || strings.Join(shown.License.Newer, " ") != "license.shared@4" {
		t.Errorf("%+v, %v", shown, err)
	}
	story, err := h.app.Explain(t.Context(), member, touched)
	if err != nil || len(story.Events) != 2 || story.Events[1].Event.Kind() != "license.shared" {
		t.Errorf("%+v, %v", story, err)
	}

	in := func(id, key string) app.ReportInput { return app.ReportInput{Member: member, License: id, Key: key} }
	renew := func(id string) error {
		_, err := h.app.Renew(t.Context(), app.RenewInput{Member: member, License: id, Key: "renew"})
		return err
	}
	play := func(id string) error { _, err := h.app.Play(t.Context(), in(id, "play")); return err }
	download := func(id string) error { _, err := h.app.Download(t.Context(), in(id, "download")); return err }
	release := func(id string) error { _, err := h.app.Release(t.Context(), in(id, "release")); return err }
	revoke := func(id string) error { _, err := h.app.Revoke(t.Context(), in(id, "revoke"), "fraud"); return err }
	late := func(id string) error {
		report := in(id, "late")
		report.Occurred = time.Now()
		_, err := h.app.Play(t.Context(), report)
		return err
	}
	grant := func(string) error {
		_, err := h.app.Request(t.Context(), request(member, "phone", server.TitleID("meridian", 4), "d"))
		return err
	}
	again := func(string) error {
		_, err := h.app.Request(t.Context(), request(member, "phone", server.TitleID("meridian", 2), "a"))
		return err
	}
	for _, tt := range []struct {
		name    string
		do      func(string) error
		id      string
		allowed bool
	}{
		{"a grant counts all licenses", grant, "", false},
		{"a repeated request is answered", again, "", true},
		{"a play of the touched license", play, touched, false},
		{"a play of another license of the title counts its plays", play, same, false},
		{"a play of another title", play, other, true},
		{"a renewal of the touched license", renew, touched, false},
		{"a renewal counts all licenses", renew, other, false},
		{"a play that was reported late", late, touched, true},
		{"a download", download, touched, true},
		{"a release", release, touched, true},
		{"a revocation", revoke, same, true},
	} {
		err := tt.do(tt.id)
		var refused *app.Unavailable
		switch {
		case tt.allowed && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case !tt.allowed && (!errors.As(err, &refused) || !strings.Contains(refused.Detail, "license.shared@4") || refused.Retry == 0):
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if n := h.app.Pending(); n != 0 {
		t.Errorf("%d entries in the outbox", n)
	}
	for _, e := range h.events(member) {
		if e.Type == "license.shared" && (e.Schema != 4 || string(e.Data) != data) {
			t.Errorf("changed: %+v", e)
		}
	}
}

func (h *house) events(member string) (all []eventstore.Event) {
	h.t.Helper()
	_, err := eventstore.LoadAll(h.t.Context(), h.store.LoadAppender, eventstore.Query{Stream: app.Stream(member)}, func(page []eventstore.Event) error {
		all = append(all, page...)
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// TestALicenseThatANewerProgramGranted: it exists, although nothing but its id is known.
func TestALicenseThatANewerProgramGranted(t *testing.T) {
	h := build(t)
	member, _ := h.two(upstream.PlanPremium)
	h.add(member, eventstore.Event{Type: license.KindGranted, Schema: 3, Data: []byte(`{"license":"lic-1","device":{"id":"phone"}}`)})
	shown, err := h.app.Show(t.Context(), member, "lic-1")
	if err != nil || shown.Status != license.StatusUnknown || strings.Join(shown.License.Newer, " ") != "license.granted@3" {
		t.Errorf("%+v, %v", shown, err)
	}
	if _, err := h.app.Release(t.Context(), app.ReportInput{Member: member, License: "lic-1", Key: "r"}); err != nil {
		t.Error(err)
	}
	if shown, err = h.app.Show(t.Context(), member, "lic-1"); err != nil || shown.Status != license.StatusReleased {
		t.Errorf("%+v, %v", shown, err)
	}
	if _, err := h.app.Show(t.Context(), member, "lic-2"); !errors.Is(err, app.ErrNotFound) {
		t.Error(err)
	}
	// An event that names no license may concern any.
	h.add(member, eventstore.Event{Type: "member.merged", Schema: 1, Data: []byte(`{"with":"other"}`)})
	if _, err := h.app.Show(t.Context(), member, "lic-2"); !errors.Is(err, app.ErrUnavailable) {
		t.Error(err)
	}
	view, err := h.app.Licenses(t.Context(), member)
	if err != nil || strings.Join(view.Newer, " ") != "member.merged@1" {
		t.Errorf("%+v, %v", view, err)
	}
	story, err := h.app.Explain(t.Context(), member, "lic-1")
	if err != nil || len(story.Events) != 3 {
		t.Errorf("%+v, %v", story, err)
	}
}

// next returns the codec of the next version of the program, in which plays have a place.
func next(t *testing.T) *stored.Codec {
	t.Helper()
	types := []codec.Type[license.Event]{codec.TypeOf(license.KindPlayed, 2, func(e playedAt) license.Event { return e.Played })}
	for _, e := range stored.Types() {
		if e.Version().Type != license.KindPlayed {
			types = append(types, e)
		}
	}
	c, err := stored.NewWith(types, append(stored.Upcasters(), codec.Change("plays have a place", codec.Version{Type: license.KindPlayed, Schema: 1},
		func(b []byte) ([]byte, error) {
			var e playedAt
			if err := json.Unmarshal(b, &e); err != nil {
				return nil, err
			}
			e.Place = "unknown"
			return json.Marshal(e)
		})))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type playedAt struct {
	license.Played
	Place string `json:"place"`
}

// TestOldAndNewProgramOnOneStore: neither stands in the other's way during an upgrade.
func TestOldAndNewProgramOnOneStore(t *testing.T) {
	h := build(t)
	newer, err := app.New(app.Config{Store: h.store, Upstream: h.clients, Codec: next(t)})
	if err != nil {
		t.Fatal(err)
	}
	member, _ := h.two(upstream.PlanPremium)
	mine := h.grant(member, "phone", server.TitleID("meridian", 2), "a").License.ID
	theirs, err := newer.Request(t.Context(), request(member, "phone", server.TitleID("meridian", 3), "b"))
	if err != nil {
		t.Fatal(err)
	}
	in := func(id, key string) app.ReportInput { return app.ReportInput{Member: member, License: id, Key: key} }
	if _, err := h.app.Play(t.Context(), in(mine, "p1")); err != nil {
		t.Error(err)
	}
	if _, err := newer.Play(t.Context(), in(mine, "p2")); err != nil {
		t.Error(err)
	}
	// The old program can't read the second play, and goes on with what it can.
	if a, err := h.app.Show(t.Context(), member, mine); err != nil || len(a.License.Plays) != 1 || strings.Join(a.License.Newer, " ") != "license.played@2" {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := h.app.Play(t.Context(), in(theirs.License.ID, "p3")); err != nil {
		t.Error(err)
	}
	if _, err := h.app.Play(t.Context(), in(mine, "p4")); !errors.Is(err, app.ErrUnavailable) {
		t.Error(err)
	}
	// The new one reads everything, and decides what the old one could not.
	if _, err := newer.Play(t.Context(), in(mine, "p4")); err != nil {
		t.Error(err)
	}
	a, err := newer.Show(t.Context(), member, mine)
	if err != nil || len(a.License.Plays) != 3 || len(a.License.Newer) != 0 {
		t.Errorf("%+v, %v", a, err)
	}
	if b, err := newer.Show(t.Context(), member, theirs.License.ID); err != nil || len(b.License.Plays) != 1 {
		t.Errorf("%+v, %v", b, err)
	}
}

// TestADowngradeLeavesWhatANewerProgramAccepted: the entry is parked in sight, with its member,
// and stays as it is; a token is not called invalid, because the device must not throw it away.
func TestADowngradeLeavesWhatANewerProgramAccepted(t *testing.T) {
	h := build(t)
	path := filepath.Join(t.TempDir(), "journal")
	j, err := journal.Open(journal.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]string{
		"kind":    `{"type":"command.share","schema":1,"member":"m-1","data":{"with":"m-2"}}`,
		"version": `{"type":"command.play","schema":2,"member":"m-2","data":{"play":{}}}`,
	}
	for id, data := range entries {
		if err := j.Put(t.Context(), journal.Entry{ID: id, Put: time.Now(), Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	old, err := app.New(app.Config{Store: h.store, Upstream: h.clients, Journal: j, Signer: h.signer})
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	o := old.Outbox()
	if reasons := strings.Join(o.Reasons, "\n"); o.Pending != 2 || o.Parked != 2 || !strings.Contains(reasons, "command.share of member m-1") || !strings.Contains(reasons, "command.play of member m-2") {
		t.Errorf("%+v", o)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err = journal.Open(journal.Config{Path: path}); err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for id, data := range entries {
		if e, ok := j.Get(id); !ok || string(e.Data) != data {
			t.Errorf("%s: %s, %t", id, e.Data, ok)
		}
	}
	signed, err := h.signer.Sign(token.Claims{Member: "m-1", Promise: []byte(`{"type":"command.promise","schema":3,"member":"m-1","data":{}}`)})
	if err != nil {
		t.Fatal(err)
	}
	var unavailable *app.Unavailable
	if _, err := old.Redeem(t.Context(), "m-1", signed, app.Meta{}); !errors.As(err, &unavailable) || !strings.Contains(unavailable.Detail, "keep the token") {
		t.Error(err)
	}
	if signed, err = h.signer.Sign(token.Claims{Member: "m-1", Promise: []byte(`{"type":"command.promise","schema":1,"member":"m-1","data":[]}`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := old.Redeem(t.Context(), "m-1", signed, app.Meta{}); !errors.Is(err, app.ErrToken) {
		t.Error(err)
	}
}
