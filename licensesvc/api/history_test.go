package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/api"
)

func TestThePastIsShown(t *testing.T) {
	h := build(t, nil)
	const member = "/v1/members/m-00002"
	a := h.call("POST", member+"/licenses", `{"device":"d","title":"`+title(2)+`"}`, key, "a")
	if a.status != http.StatusCreated {
		t.Fatal(a.raw)
	}
	id := a.License.ID
	if r := h.call("POST", member+"/licenses/"+id+"/release", `{}`, key, "b"); r.status != http.StatusOK {
		t.Fatal(r.raw)
	}
	var past api.PastState
	get := func(path string, v any) answer {
		t.Helper()
		got := h.call("GET", member+path, "")
		if got.status == http.StatusOK {
			if err := json.Unmarshal([]byte(got.raw), v); err != nil {
				t.Fatal(got.raw, err)
			}
		}
		return got
	}
	future := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for path, want := range map[string]string{
		"/history": "released", "/history?version=2": "released", "/history?version=1": "active", "/history?version=1&license=" + id: "active",
		"/history?version=0": "", "/history?at=2020-01-01": "", "/history?at=2020-01-01&by=occurred": "", "/history?at=" + future: "released", "/history?version=1&license=none": "",
	} {
		past = api.PastState{}
		got := get(path, &past)
		status := ""
		if len(past.Licenses) > 0 {
			status = past.Licenses[0].Status
		}
		if got.status != http.StatusOK || status != want || past.Newest != 2 || past.Point == "" || len(past.DecidedOn) != 1 {
			t.Errorf("%s: %d %s, want %q", path, got.status, got.raw, want)
		}
	}
	var diff api.PastDiff
	if got := get("/history/changes?from=1", &diff); len(diff.Changes) != 2 || !strings.Contains(strings.Join(diff.Words, "\n"), "status of license "+id+" changed from active to released") {
		t.Error(got.raw)
	}
	if got := get("/history/changes?from=2", &diff); len(diff.Changes) != 0 || len(diff.Words) != 0 {
		t.Error(got.raw)
	}
	for path, want := range map[string]string{
		"/history?version=3": "no-version", "/history/changes?to=9": "no-version", "/history?version=x": "invalid", "/history?at=7": "invalid", "/history?version=2020-01-01": "invalid",
		"/history?version=1&at=2020-01-01": "no-version", "/history?at=2020-02-31": "no-version", "/history?at=2020-01-01&by=occured": "invalid", "/history/changes?from=soon": "invalid", "/history?version=-1": "invalid",
	} {
		if got := get(path, nil); !strings.Contains(got.raw, "#"+want+`"`) || want == "invalid" && !strings.Contains(got.raw, `"query.`) {
			t.Errorf("%s: %s, want %s", path, got.raw, want)
		}
	}
	h.store.gone.Store(true)
	if got := get("/history", nil); got.status != http.StatusServiceUnavailable || !strings.Contains(got.raw, "#unavailable") {
		t.Error(got.raw)
	}
}
