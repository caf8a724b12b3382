package upstream_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/resilience"
)

// scripted are clients of one server that answers what the test says.
type scripted struct {
	*upstream.Clients
	status atomic.Int32
	body   atomic.Pointer[string]
}

func (s *scripted) answer(status int, body string) {
	s.status.Store(int32(status))
	s.body.Store(&body)
}

func script(t *testing.T) *scripted {
	t.Helper()
	s := &scripted{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if status := int(s.status.Load()); status >= 300 && status < 400 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(int(s.status.Load()))
		_, _ = io.WriteString(w, *s.body.Load())
	}))
	policies := map[string]resilience.Policy{}
	for _, p := range []resilience.Policy{upstream.MembershipPolicy(), upstream.CatalogPolicy(), upstream.KeyServicePolicy()} {
		p.Breaker = nil // One answer after another, not their sum.
		policies[p.Name] = p
	}
	var err error
	if s.Clients, err = upstream.New(upstream.Config{Membership: server.URL, Catalog: server.URL, Keys: server.URL, Policies: policies}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return s
}

const (
	goodMember = `{"member":"m-00001","plan":"standard","status":"active"}`
	goodTitle  = `{"title":"capstan-002","studio":"capstan","name":"x","offline":true,"terms":{"version":"v1","studio_downloads":5,"title_downloads_per_year":5,"title_plays_per_year":5,"license_hours":48,"renewal_hours":24,"playback_hours":24}}`
	goodKey    = `{"key_id":"k1","algorithm":"A256GCM","wrapped":"t2GqapGyEjW7hLsRAq8qexYVMtFij9EYbw1igMhkzWPLKq+0Y1oBRqyIa4Mc2ZIYJDPNwgWkHbR1Uz1X"}`
)

// nonsense are answers that can't be right whatever was asked.
var nonsense = map[string]struct {
	status int
	body   string
}{
	"empty object": {200, `{}`}, "null": {200, `null`}, "list": {200, `[]`}, "text": {200, `"ok"`}, "no content": {204, ``}, "HTML": {200, `<html>`},
	"redirect": {302, ``}, "moved": {308, ``}, "unauthorized": {401, `{}`}, "forbidden": {403, `{}`}, "gone": {410, `{}`}, "teapot": {418, `{}`}, "bad request": {400, `{}`},
	"server error": {500, `{}`},
}

// swap replaces the first occurrence, and fails if there is none.
func swap(t *testing.T, text, old, with string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("%q is not in %q", old, text)
	}
	return strings.Replace(text, old, with, 1)
}

// TestNonsenseIsNoAnswer: for each dependency and each answer that can't be right, what was
// remembered stands in and stays remembered; where nothing is, the call fails.
func TestNonsenseIsNoAnswer(t *testing.T) {
	members, titles := map[string]string{}, map[string]string{}
	for name, change := range map[string][2]string{
		"another member": {"m-00001", "m-00002"}, "another case": {`"active"`, `"Active"`}, "a made-up status": {`"active"`, `"unknown"`}, "no status": {`"active"`, `""`}, "a made-up plan": {"standard", "gold"},
	} {
		members[name] = swap(t, goodMember, change[0], change[1])
	}
	for name, change := range map[string][2]string{
		"another title": {"capstan-002", "capstan-003"}, "another studio": {`"capstan"`, `"bowline"`}, "no studio": {`"studio":"capstan"`, `"studio":""`}, "no version": {`"v1"`, `""`},
		"negative hours": {`"license_hours":48`, `"license_hours":-5`}, "no hours": {`"license_hours":48`, `"license_hours":0`}, "hours that overflow": {`"license_hours":48`, `"license_hours":99999999999`},
		"negative renewal": {`"renewal_hours":24`, `"renewal_hours":-1`}, "no playback": {`"playback_hours":24`, `"playback_hours":0`}, "negative plays": {`"title_plays_per_year":5`, `"title_plays_per_year":-1`},
		"too many downloads": {`"studio_downloads":5`, `"studio_downloads":2000000000`},
	} {
		titles[name] = swap(t, goodTitle, change[0], change[1])
	}
	check := func(t *testing.T, name, good string, status int, bad string, ask func(s *scripted) (source resilience.Source, right bool, err error)) {
		t.Run(name, func(t *testing.T) {
			s := script(t)
			s.answer(status, bad)
			if source, _, err := ask(s); err == nil && source != resilience.Static {
				t.Errorf("nothing remembered: source %s", source)
			}
			s.answer(200, good)
			if source, right, err := ask(s); err != nil || source != resilience.Live || !right {
				t.Fatalf("a good answer: %s, %t, %v", source, right, err)
			}
			for range 2 {
				s.answer(status, bad)
				if source, right, err := ask(s); err != nil || source != resilience.Stale || !right {
					t.Errorf("after a good answer: %s, %t, %v", source, right, err)
				}
			}
		})
	}
	member := func(s *scripted) (resilience.Source, bool, error) {
		r, err := s.MemberToIssue(t.Context(), "m-00001")
		return r.Source, r.Value.Status == upstream.StatusActive && r.Value.Plan == upstream.PlanStandard, err
	}
	title := func(s *scripted) (resilience.Source, bool, error) {
		r, err := s.Title(t.Context(), "capstan-002")
		return r.Source, r.Value.ID == "capstan-002" && r.Value.Terms.LicenseHours == 48 && r.Value.Terms.Version == "v1", err
	}
	for name, bad := range nonsense {
		check(t, "member, "+name, goodMember, bad.status, bad.body, member)
		check(t, "title, "+name, goodTitle, bad.status, bad.body, title)
	}
	for name, bad := range members {
		check(t, "member, "+name, goodMember, 200, bad, member)
	}
	for name, bad := range titles {
		check(t, "title, "+name, goodTitle, 200, bad, title)
	}
}

// TestThereIsNoLicenseWithoutAKey for any answer that can't be right.
func TestThereIsNoLicenseWithoutAKey(t *testing.T) {
	bad := map[string]string{
		"no id": swap(t, goodKey, `"k1"`, `""`), "no algorithm": swap(t, goodKey, `"A256GCM"`, `""`), "empty": `{"key_id":"k1","algorithm":"A256GCM","wrapped":""}`,
		"a nonce alone": `{"key_id":"k1","algorithm":"A256GCM","wrapped":"AAAAAAAAAAAAAAAA"}`,
	}
	s := script(t)
	want := upstream.KeyRequest{License: "l", Title: "capstan-002", Device: "d"}
	for name, body := range bad {
		s.answer(200, body)
		if k, err := s.Key(t.Context(), want); !errors.Is(err, upstream.ErrNoKey) || !errors.Is(err, upstream.ErrAnswer) || k.Value.ID != "" {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
	}
	for name, bad := range nonsense {
		s.answer(bad.status, bad.body)
		if k, err := s.Key(t.Context(), want); !errors.Is(err, upstream.ErrNoKey) || k.Value.ID != "" {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
	}
	s.answer(200, goodKey)
	if k, err := s.Key(t.Context(), want); err != nil || k.Value.ID != "k1" {
		t.Errorf("a good key: %+v, %v", k, err)
	}
}

// TestAbsenceIsAnAnswer that nothing stands in for, and that is not remembered.
func TestAbsenceIsAnAnswer(t *testing.T) {
	s := script(t)
	s.answer(200, goodMember)
	if _, err := s.MemberToRenew(t.Context(), "m-00001"); err != nil {
		t.Fatal(err)
	}
	s.answer(404, `{}`)
	if r, err := s.MemberToRenew(t.Context(), "m-00001"); err != nil || r.Source != resilience.Live || r.Value.Status != upstream.StatusUnknown || r.Attempts != 1 {
		t.Errorf("absent: %+v, %v", r, err)
	}
	s.answer(503, `{}`)
	if r, err := s.MemberToRenew(t.Context(), "m-00001"); err == nil {
		t.Errorf("neither the absence nor what was before it is remembered: %+v", r)
	}
	s.answer(404, `{}`)
	if r, err := s.Title(t.Context(), "capstan-002"); err != nil || !r.Value.Unknown || r.Source != resilience.Live {
		t.Errorf("absent: %+v, %v", r, err)
	}
}

// TestNamesAreOneSegment: what a client gives as a name never changes the path.
func TestNamesAreOneSegment(t *testing.T) {
	var paths []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.EscapedPath()+"?"+r.URL.RawQuery)
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	c, err := upstream.New(upstream.Config{Membership: server.URL, Catalog: server.URL, Keys: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, id := range []string{"..", ".", "../titles/x", "a/b", "a?b=c", "a#b", "%2e%2e", "%zz", "a;b", "ä"} {
		paths = nil
		_, err := c.MemberToIssue(t.Context(), id)
		for _, p := range paths {
			rest, ok := strings.CutPrefix(p, "/v1/members/")
			if !ok || strings.Contains(strings.TrimSuffix(rest, "?"), "/") || rest == "?" || strings.Contains(rest, "?b") {
				t.Errorf("%q went out as %q", id, p)
			}
		}
		if len(paths) == 0 && err == nil {
			t.Error(fmt.Errorf("%q: no call and no error", id))
		}
	}
}
