package app_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
)

// about are the commands about a license, with content where they have some.
var about = map[string]func(ctx context.Context, s *app.Service, in app.ReportInput, content int) (app.Answer, error){
	"play": func(ctx context.Context, s *app.Service, in app.ReportInput, _ int) (app.Answer, error) {
		return s.Play(ctx, in)
	},
	"late play": func(ctx context.Context, s *app.Service, in app.ReportInput, content int) (app.Answer, error) {
		in.Occurred = in.Occurred.Add(time.Duration(content) * time.Second)
		return s.Play(ctx, in)
	},
	"download": func(ctx context.Context, s *app.Service, in app.ReportInput, content int) (app.Answer, error) {
		in.Occurred = in.Occurred.Add(time.Duration(content) * time.Second)
		return s.Download(ctx, in)
	},
	"release": func(ctx context.Context, s *app.Service, in app.ReportInput, _ int) (app.Answer, error) {
		return s.Release(ctx, in)
	},
	"revoke": func(ctx context.Context, s *app.Service, in app.ReportInput, content int) (app.Answer, error) {
		return s.Revoke(ctx, in, []string{"fraud", "a mistake"}[content])
	},
	"renew": func(ctx context.Context, s *app.Service, in app.ReportInput, _ int) (app.Answer, error) {
		return s.Renew(ctx, app.RenewInput{Member: in.Member, License: in.License, Key: in.Key})
	},
}

// TestTheSameKeyOnAnotherLicenseIsAnotherCommand: "done" is said of what was stored, for every
// command, on one instance and on two.
func TestTheSameKeyOnAnotherLicenseIsAnotherCommand(t *testing.T) {
	for name, send := range about {
		t.Run(name, func(t *testing.T) {
			h := build(t)
			m := h.member(upstream.PlanPremium)
			a := h.grant(m, "phone", server.TitleID("meridian", 2), "k1").License.ID
			b := h.grant(m, "phone", server.TitleID("meridian", 3), "k2").License.ID
			before := len(h.history(m))
			at := h.grant(m, "phone", server.TitleID("meridian", 2), "k1").License.Granted
			for i, s := range []*app.Service{h.app, h.another(nil)} {
				in := app.ReportInput{Member: m, License: []string{a, b}[i], Key: "case-77"}
				if name == "late play" || name == "download" {
					in.Occurred = at
				}
				for range 2 {
					answer, err := send(t.Context(), s, in, 0)
					if err != nil || answer.Outcome != app.Done || answer.License.ID != in.License {
						t.Fatalf("license %d: %+v, %v", i, answer, err)
					}
				}
			}
			if n := len(h.history(m)) - before; n != 2 {
				t.Errorf("%d events for two commands", n)
			}
		})
	}
}

// TestTheSameKeyWithAnotherContentIsRefused for every command that has a content.
func TestTheSameKeyWithAnotherContentIsRefused(t *testing.T) {
	for _, name := range []string{"late play", "download"} {
		t.Run(name, func(t *testing.T) {
			h := build(t)
			m := h.member(upstream.PlanPremium)
			l := h.grant(m, "phone", server.TitleID("meridian", 2), "k1").License
			in := app.ReportInput{Member: m, License: l.ID, Key: "r1", Occurred: l.Granted}
			if _, err := about[name](t.Context(), h.app, in, 0); err != nil {
				t.Fatal(err)
			}
			before := len(h.history(m))
			for _, s := range []*app.Service{h.app, h.another(nil)} {
				var r *app.Refused
				if a, err := about[name](t.Context(), s, in, 1); !errors.As(err, &r) || r.Code != license.IDTaken {
					t.Errorf("%+v, %v", a, err)
				}
			}
			if n := len(h.history(m)); n != before {
				t.Errorf("%d more events", n-before)
			}
		})
	}
}

// TestWhatWasAcceptedIsKeptByLicense: with the store down, the same key on two licenses is two
// entries, and both reach the store.
func TestWhatWasAcceptedIsKeptByLicense(t *testing.T) {
	h := build(t)
	m := h.member(upstream.PlanPremium)
	a := h.grant(m, "phone", server.TitleID("meridian", 2), "k1").License.ID
	b := h.grant(m, "phone", server.TitleID("meridian", 3), "k2").License.ID
	h.store.down()
	for _, id := range []string{a, b, a} {
		if answer, err := h.app.Play(t.Context(), app.ReportInput{Member: m, License: id, Key: "p"}); err != nil || answer.Outcome != app.Accepted {
			t.Fatalf("%+v, %v", answer, err)
		}
	}
	if n := h.app.Pending(); n != 2 {
		t.Errorf("%d entries for two plays", n)
	}
	h.store.set(nil)
	if err := h.app.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	plays := map[string]int{}
	for _, e := range h.history(m) {
		if p, ok := e.(license.Played); ok {
			plays[p.License]++
		}
	}
	if plays[a] != 1 || plays[b] != 1 {
		t.Errorf("plays in the store: %v", plays)
	}
}

// TestAKeyOnlyForTheLicensesDevice: another instance that remembers the state from before the
// license was granted decides again, and must not hand out a key for the device that it was asked for.
func TestAKeyOnlyForTheLicensesDevice(t *testing.T) {
	h := build(t)
	m, title := h.member(upstream.PlanStandard), server.TitleID("meridian", 2)
	second := h.another(nil)
	if _, err := second.Licenses(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Request(t.Context(), request(m, "watch", server.TitleID("meridian", 3), "k0")); err != nil {
		t.Fatal(err) // Remembered from here on.
	}
	h.grant(m, "phone", title, "k1")
	var r *app.Refused
	if a, err := second.Request(t.Context(), request(m, "tablet", title, "k1")); !errors.As(err, &r) || r.Code != license.IDTaken || a.Key != nil {
		t.Errorf("another device: %+v, %v", a, err)
	}
	if a, err := second.Request(t.Context(), request(m, "phone", title, "k1")); err != nil || a.Key == nil || !a.Repeated {
		t.Errorf("the same device: %+v, %v", a, err)
	}
}

// TestNoKeyForALicenseThatEnded: the repeat says what the license is now, and brings no key.
func TestNoKeyForALicenseThatEnded(t *testing.T) {
	for name, end := range map[license.Status]func(h *house, m, id string) error{
		license.StatusRevoked: func(h *house, m, id string) error {
			_, err := h.app.Revoke(h.t.Context(), app.ReportInput{Member: m, License: id, Key: "x"}, "fraud")
			return err
		},
		license.StatusReleased: func(h *house, m, id string) error {
			_, err := h.app.Release(h.t.Context(), app.ReportInput{Member: m, License: id, Key: "x"})
			return err
		},
	} {
		t.Run(string(name), func(t *testing.T) {
			h := build(t)
			m, title := h.member(upstream.PlanStandard), server.TitleID("meridian", 2)
			first := h.grant(m, "phone", title, "k1")
			if err := end(h, m, first.License.ID); err != nil {
				t.Fatal(err)
			}
			for i, s := range []*app.Service{h.app, h.another(nil)} {
				again, err := s.Request(t.Context(), request(m, "phone", title, "k1"))
				if err != nil || !again.Repeated || again.Status != name || again.Key != nil || again.License.ID != first.License.ID {
					t.Errorf("instance %d: %+v, %v", i, again, err)
				}
			}
		})
	}
}
