package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) *server.Set {
	t.Helper()
	s, err := server.Start(t.Context(), server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := s.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return s
}

// call sends a request and returns the status, the content type and the body.
func call(t *testing.T, method, url, body string) (int, string, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), b
}

func TestMembershipKnowsItsRoster(t *testing.T) {
	s := start(t)
	seen := map[string]int{}
	for n := 1; n <= 300; n++ {
		status, _, body := call(t, "GET", s.URL("membership")+"/v1/members/"+server.MemberID(n), "")
		var m upstream.Member
		if status != http.StatusOK || json.Unmarshal(body, &m) != nil || m.ID != server.MemberID(n) || m.Status != upstream.StatusActive {
			t.Fatalf("member %d: %d %s", n, status, body)
		}
		seen[m.Plan]++
	}
	for _, plan := range upstream.Plans() {
		if seen[plan] < 30 {
			t.Errorf("of 300 members %d have plan %s; every plan should be common: %v", seen[plan], plan, seen)
		}
	}
}

func TestMembershipKeepsAChange(t *testing.T) {
	s := start(t)
	url := s.URL("membership") + "/v1/members/m-00007"
	if status, _, body := call(t, "PUT", url, `{"plan":"premium","status":"suspended"}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	_, _, body := call(t, "GET", url, "")
	var m upstream.Member
	if err := json.Unmarshal(body, &m); err != nil || m.Plan != upstream.PlanPremium || m.Status != upstream.StatusSuspended {
		t.Fatalf("%s %v", body, err)
	}
}

func TestEveryErrorIsAProblemThatSaysWhatToDo(t *testing.T) {
	s := start(t)
	for _, tt := range []struct {
		name, method, url, body string
		status                  int
		says                    string
	}{
		{"no such member", "GET", s.URL("membership") + "/v1/members/m-99999", "", 404, "m-00001 to m-20000"},
		{"member of another form", "GET", s.URL("membership") + "/v1/members/m-1", "", 404, "m-00001"},
		{"change of no member", "PUT", s.URL("membership") + "/v1/members/x", "{}", 404, "m-00001"},
		{"no such plan", "PUT", s.URL("membership") + "/v1/members/m-00001", `{"plan":"gold"}`, 422, "basic, standard, premium"},
		{"no such status", "PUT", s.URL("membership") + "/v1/members/m-00001", `{"status":"gone"}`, 422, "active and suspended"},
		{"unknown field", "PUT", s.URL("membership") + "/v1/members/m-00001", `{"plam":"basic"}`, 400, "plam"},
		{"no such title", "GET", s.URL("catalog") + "/v1/titles/meridian-999", "", 404, "meridian-002"},
		{"key without a device", "POST", s.URL("key-service") + "/v1/keys", `{"license":"l","title":"t"}`, 422, "device"},
		{"key without a body", "POST", s.URL("key-service") + "/v1/keys", ``, 400, "JSON"},
		{"body too large", "POST", s.URL("key-service") + "/v1/keys", `{"license":"` + strings.Repeat("x", 70<<10) + `"}`, 400, "too large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, kind, body := call(t, tt.method, tt.url, tt.body)
			var p struct {
				Status int
				Detail string
			}
			if err := json.Unmarshal(body, &p); err != nil {
				t.Fatalf("%v in %s", err, body)
			}
			if status != tt.status || p.Status != tt.status || kind != "application/problem+json" || !strings.Contains(p.Detail, tt.says) {
				t.Errorf("got %d %s %q, want %d with %q", status, kind, p.Detail, tt.status, tt.says)
			}
		})
	}
}

func TestCatalogHasEveryTitle(t *testing.T) {
	s := start(t)
	offline := 0
	for _, studio := range server.Studios() {
		for n := 1; n <= server.TitlesPerStudio; n++ {
			id := server.TitleID(studio, n)
			status, _, body := call(t, "GET", s.URL("catalog")+"/v1/titles/"+id, "")
			var title upstream.Title
			if status != http.StatusOK || json.Unmarshal(body, &title) != nil || title.ID != id || title.Studio != studio || title.Name == "" {
				t.Fatalf("%d %s", status, body)
			}
			if tm := title.Terms; tm.Version == "" || tm.StudioDownloads < 1 || tm.TitleDownloadsPerYear < 1 || tm.TitlePlaysPerYear < 1 ||
				tm.LicenseHours < 1 || tm.RenewalHours < 1 || tm.PlaybackHours < 1 {
				t.Errorf("%s: terms with a hole: %+v", id, tm)
			}
			if title.Offline {
				offline++
			}
		}
	}
	if want := len(server.Studios()) * (server.TitlesPerStudio - server.TitlesPerStudio/20); offline != want {
		t.Errorf("%d titles may be taken offline, want %d", offline, want)
	}
}

func TestAKeyRepeatsAndBelongsToItsLicense(t *testing.T) {
	s := start(t)
	ask := func(license, title, device string) upstream.Key {
		body, err := json.Marshal(upstream.KeyRequest{License: license, Title: title, Device: device})
		if err != nil {
			t.Fatal(err)
		}
		status, _, answer := call(t, "POST", s.URL("key-service")+"/v1/keys", string(body))
		var key upstream.Key
		if status != http.StatusOK || json.Unmarshal(answer, &key) != nil {
			t.Fatalf("%d %s", status, answer)
		}
		return key
	}
	first := ask("l1", "meridian-002", "tv")
	if again := ask("l1", "meridian-002", "tv"); again.ID != first.ID || !bytes.Equal(again.Wrapped, first.Wrapped) {
		t.Error("the same request gave another key")
	}
	if other := ask("l2", "meridian-002", "tv"); other.ID != first.ID || bytes.Equal(other.Wrapped, first.Wrapped) {
		t.Error("another license of the title should have the same key, wrapped again")
	}
	if other := ask("l1", "halyard-002", "tv"); other.ID == first.ID {
		t.Error("another title has the same key")
	}
}

func TestStartLeavesNothingBehind(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = server.Start(t.Context(), server.Config{Keys: taken.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), "key-service: cannot listen on "+taken.Addr().String()) {
		t.Fatalf("got %v", err)
	}
	if _, err := server.Start(t.Context(), server.Config{Secret: []byte("short")}); err == nil || !strings.Contains(err.Error(), "at least 16") {
		t.Fatalf("got %v", err)
	}
}

// TestDeadlinesAreRead: a request that can't be done in the time that its caller has
// left is refused before it begins, and says so.
func TestDeadlinesAreRead(t *testing.T) {
	s := start(t)
	for _, name := range s.Names() {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL(name)+"/v1/members/"+server.MemberID(1), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Backstay-Timeout-Ms", "0")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Backstay-Refused") != "deadline" {
			t.Errorf("%s: %s, refused for %q", name, resp.Status, resp.Header.Get("Backstay-Refused"))
		}
	}
}
