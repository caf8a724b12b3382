package dashboard_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/dashboard"
	"github.com/backstay-go/backstay/resilience"
)

// switches is a set of faults that can be pressed.
type switches struct {
	mu sync.Mutex
	on map[string]bool
}

func (s *switches) Timeline() []dashboard.Fault {
	return []dashboard.Fault{{Target: "catalog", What: "slow", From: time.Now().Add(-20 * time.Second), To: time.Now().Add(-10 * time.Second)}}
}

func (s *switches) Buttons() []dashboard.Button {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []dashboard.Button{{ID: "catalog-slow", Target: "catalog", Label: "slow", Active: s.on["catalog-slow"]}}
}

func (s *switches) Toggle(id string) error {
	if id != "catalog-slow" {
		return fmt.Errorf("%w: %q", dashboard.ErrUnknownFault, id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on[id] = !s.on[id]
	return nil
}

func policy(name string) resilience.Policy {
	return resilience.Policy{Name: name, Bulkhead: resilience.BulkheadPolicy{Limit: 8}, Default: resilience.OperationPolicy{Timeout: time.Second}}
}

func serve(t *testing.T, cfg dashboard.Config) (*dashboard.Dashboard, *httptest.Server) {
	t.Helper()
	d, err := dashboard.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(d)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	return d, s
}

func guarded(t *testing.T) dashboard.Config {
	t.Helper()
	r := &dashboard.Recorder{}
	g, err := resilience.New(policy("catalog"), resilience.WithListener(r))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return dashboard.Config{Recorder: r, Dependencies: []dashboard.Dependency{{Name: "catalog", Fallback: "the last known terms", Snapshot: g.Snapshot}}}
}

func TestEventsTellTheState(t *testing.T) {
	cfg := guarded(t)
	cfg.Faults = &switches{on: map[string]bool{}}
	cfg.Status = func() dashboard.Status { return dashboard.Status{Ready: true, Provisional: 3} }
	cfg.Capacity = func() dashboard.Capacity { return dashboard.Capacity{DaysLeft: 12, State: "ok"} }
	_, s := serve(t, cfg)
	resp, err := http.Get(s.URL + "/dashboard/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Title        string
		Status       dashboard.Status
		Capacity     dashboard.Capacity
		Buttons      []dashboard.Button
		Faults       []dashboard.Fault
		Dependencies []struct {
			Dependency string
			Breaker    string
			Fallback   string `json:"fallback"`
			History    []dashboard.Moment
		}
	}
	data, ok := strings.CutPrefix(line, "data: ")
	if !ok || json.Unmarshal([]byte(data), &got) != nil {
		t.Fatalf("not an event: %s", line)
	}
	if got.Title == "" || got.Status.Provisional != 3 || got.Capacity.DaysLeft != 12 || len(got.Buttons) != 1 || len(got.Faults) != 1 ||
		len(got.Dependencies) != 1 || got.Dependencies[0].Dependency != "catalog" || got.Dependencies[0].Breaker != "closed" || len(got.Dependencies[0].History) != 90 {
		t.Errorf("%+v", got)
	}
}

func TestCloseEndsEveryStream(t *testing.T) {
	d, s := serve(t, guarded(t))
	resp, err := http.Get(s.URL + "/dashboard/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("the stream did not end in order: %v", err)
	}
}

// TestNobodyIsLockedOut: one caller that opens many streams keeps the newest eight, and takes no
// place of another caller; and with many callers a new one still gets in.
func TestNobodyIsLockedOut(t *testing.T) {
	cfg := guarded(t)
	cfg.Caller = func(r *http.Request) string { return r.URL.Query().Get("caller") }
	_, s := serve(t, cfg)
	watch := func(caller string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/dashboard/events?caller="+caller, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v %v", caller, resp, err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() }) // It may have ended.
		return resp
	}
	operator := watch("operator")
	var greedy []*http.Response
	for range 70 {
		greedy = append(greedy, watch("greedy"))
	}
	for i, resp := range greedy[:62] {
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Errorf("stream %d was not ended in order: %v", i, err)
		}
	}
	for i := range 60 {
		watch(fmt.Sprint("many-", i))
	}
	for i, resp := range []*http.Response{operator, greedy[69], watch("late")} {
		b := bufio.NewReader(resp.Body)
		for range 3 {
			if _, err := b.ReadString('\n'); err != nil {
				t.Errorf("stream %d: %v", i, err)
			}
		}
	}
}

func TestThePageLoadsNothingFromElsewhere(t *testing.T) {
	_, s := serve(t, guarded(t))
	for _, path := range []string{"", "style.css", "page.js", "cards.js", "dom.js", "plot.js", "story.js", "icon.svg"} {
		resp, err := http.Get(s.URL + "/dashboard/" + path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%q: %d %v", path, resp.StatusCode, err)
		}
		if !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'self'") {
			t.Errorf("%q: no policy", path)
		}
		text := strings.ReplaceAll(string(b), "http://www.w3.org/2000/svg", "")
		if m := regexp.MustCompile(`https?://|@import|url\([^#]`).FindString(text); m != "" {
			t.Errorf("%q loads %s", path, m)
		}
	}
}

func TestButtons(t *testing.T) {
	cfg := guarded(t)
	faults := &switches{on: map[string]bool{}}
	cfg.Faults = faults
	_, with := serve(t, cfg)
	_, without := serve(t, guarded(t))
	for _, tt := range []struct {
		name, url, site string
		want            int
		active          bool
	}{
		{"pressed", with.URL + "/dashboard/faults/catalog-slow", "same-origin", 204, true},
		{"unknown", with.URL + "/dashboard/faults/x", "", 404, true},
		{"again", with.URL + "/dashboard/faults/catalog-slow", "", 204, false},
		{"no faults here", without.URL + "/dashboard/faults/catalog-slow", "", 404, false},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", tt.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Sec-Fetch-Site", tt.site)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != tt.want || faults.Buttons()[0].Active != tt.active {
			t.Errorf("%s: %d, active %v", tt.name, resp.StatusCode, faults.Buttons()[0].Active)
		}
	}
}

func TestNewRefusesWhatItCannotShow(t *testing.T) {
	for _, cfg := range []dashboard.Config{{}, {Recorder: &dashboard.Recorder{}, Dependencies: []dashboard.Dependency{{Name: "x"}}}} {
		if _, err := dashboard.New(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}
