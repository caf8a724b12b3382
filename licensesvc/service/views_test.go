package service_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/service"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
)

// ask sends a request with a body.
func ask(t *testing.T, method, url, body string, headers ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// get asks until the answer has a status, and decodes it.
func get(t *testing.T, url string, status int, into any) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(10 * time.Millisecond) {
		code, _, body := ask(t, "GET", url, "")
		if code == status {
			if err := json.Unmarshal([]byte(body), into); err != nil {
				t.Fatalf("%s: %v: %s", url, err, body)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d %s", url, code, body)
		}
	}
}

// TestViewsOverHTTP: what was just written is in the views that answer.
func TestViewsOverHTTP(t *testing.T) {
	servers, err := server.Start(t.Context(), server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	in := start(t, func(c *service.Config) {
		c.Membership, c.Catalog, c.Keys = servers.URL("membership"), servers.URL("catalog"), servers.URL("key-service")
	})
	code, _, body := ask(t, "POST", in.URL()+"/v1/members/m-00003/licenses", `{"device":"tv","title":"meridian-002"}`, "Idempotency-Key", "k1", "Content-Type", "application/json")
	if code != http.StatusCreated {
		t.Fatal(code, body)
	}
	var answer struct {
		Version int64
		License struct{ Studio string }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Version != 1 {
		t.Fatal(err, body)
	}
	var devices struct {
		Devices []struct {
			Device string
			Active int
		}
		DecidedOn []struct{ Dependency, Source string } `json:"decided_on"`
	}
	get(t, in.URL()+"/v1/members/m-00003/devices?at_least=1", http.StatusOK, &devices)
	if len(devices.Devices) != 1 || devices.Devices[0].Device != "tv" || devices.Devices[0].Active != 1 || len(devices.DecidedOn) != 1 || devices.DecidedOn[0].Dependency != "read-model" {
		t.Errorf("%+v", devices)
	}
	get(t, in.URL()+"/v1/members/m-00003/devices?at_least=2", http.StatusOK, &devices)
	if devices.DecidedOn[0].Source != "stale" {
		t.Errorf("an answer without the version that was asked for is %q", devices.DecidedOn[0].Source)
	}
	var expiring struct {
		Licenses []struct{ Member string }
	}
	get(t, in.URL()+"/v1/licenses/expiring?days=366", http.StatusOK, &expiring)
	if len(expiring.Licenses) != 1 || expiring.Licenses[0].Member != "m-00003" {
		t.Errorf("%+v", expiring)
	}
	var promises struct{ Promises []any }
	get(t, in.URL()+"/v1/promises", http.StatusOK, &promises)
	if promises.Promises == nil || len(promises.Promises) != 0 {
		t.Errorf("%+v", promises)
	}
	var models struct {
		ReadModels []struct{ Name, State string } `json:"read_models"`
	}
	get(t, in.URL()+"/v1/readmodels", http.StatusOK, &models)
	if len(models.ReadModels) != 3 {
		t.Errorf("%+v", models)
	}
	var problem struct{ Detail string }
	for _, path := range []string{"/v1/licenses/expiring?after=x", "/v1/promises?after=W10", "/v1/studios/s/use?after=e30", "/v1/members/m-00003/devices?after=WzFd"} {
		get(t, in.URL()+path, http.StatusNotFound, &problem)
		if !strings.Contains(problem.Detail, "after names no place") {
			t.Errorf("%s: %+v", path, problem)
		}
	}
}

// TestTheServiceStartsWithoutViews: a folder that can't be used ends neither the service nor its
// decisions.
func TestTheServiceStartsWithoutViews(t *testing.T) {
	in := start(t, func(c *service.Config) {
		if err := os.Mkdir(c.Data, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.Data, "views"), []byte("no folder"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	var problem struct{ Type, Detail string }
	get(t, in.URL()+"/v1/promises", http.StatusServiceUnavailable, &problem)
	if !strings.HasSuffix(problem.Type, "#building") || !strings.Contains(problem.Detail, "promises") {
		t.Errorf("%+v", problem)
	}
	if code, _, body := ask(t, "GET", in.URL()+"/readyz", ""); code != http.StatusOK || !strings.Contains(body, `"read_models","state":"failed"`) {
		t.Errorf("%d %s", code, body)
	}
}
