package scenario_test

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
)

// free is a port on loopback that nobody has at the moment.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// shop is a system that asks a dependency through a proxy, and serves what it remembers
// when that fails, if it has a fallback.
func shop(t *testing.T, stock string, fallback bool) *httptest.Server {
	client := &http.Client{Timeout: 300 * time.Millisecond}
	t.Cleanup(client.CloseIdleConnections)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ready" {
			return
		}
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://"+stock+"/stock", nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		req.Header.Set("Baggage", r.Header.Get("Baggage"))
		resp, err := client.Do(req)
		if err == nil {
			_, _ = io.Copy(w, resp.Body) // A client that is gone does not read it.
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if !fallback {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Header().Set("X-Source", "stale")
		_, _ = io.WriteString(w, "some")
	}))
	t.Cleanup(s.Close)
	return s
}

const described = `
name: shop
target: http
seed: 3
load:
  - {for: 3500ms, per_second: 40}
steady: {good: 0.8}
faults:
  - name: stock out of order
    where: {dependency: stock, protocol: http}
    when: {from: 1s, to: 2s}
    what: {kind: reset}
recovery: {within: 1s, good: 0.8}
checks:
  - {name: remembered stock stands in, measure: stale, at_least: 0.5}
http:
  base: BASE
  ready: /ready
  proxies:
    - {dependency: stock, protocol: http, listen: "PROXY", upstream: "STOCK"}
  requests:
    - {name: look, path: "/things/{n}", headers: {X-Request: "{id}"}}
  answers:
    - {status: "200", header: X-Source, holds: stale, means: stale}
    - {status: 2xx, means: right}
    - {status: "503", means: refused}
`

func TestASystemThatIsDescribed(t *testing.T) {
	for _, c := range []struct {
		fallback bool
		want     report.Verdict
	}{{true, report.Passed}, {false, report.Failed}} {
		stock := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "plenty") }))
		defer stock.Close()
		proxy := free(t)
		system := shop(t, proxy, c.fallback)
		text := strings.NewReplacer("BASE", system.URL, "PROXY", proxy, "STOCK", strings.TrimPrefix(stock.URL, "http://"), "2xx", `"2xx"`).Replace(described)
		var rep *report.Report
		for try := 0; try < 4 && (rep == nil || rep.Verdict == report.Undecided); try++ { // a machine that is too slow can't tell
			var err error
			if rep, err = scenario.Play(t.Context(), parse(t, text), scenario.Config{Target: scenario.HTTPTarget{}, Dir: t.TempDir()}); err != nil {
				t.Fatal(err)
			}
		}
		if rep.Verdict != c.want {
			t.Errorf("fallback %t: %s\n%s", c.fallback, rep.Verdict, rep.Text())
		}
		if !c.fallback {
			check(t, rep, "no answer was wrong", report.Failed)
		}
	}
}

// TestRequestsAreFilledIn: each request has its number and its identity, and asks for one of
// the keys, the same in each run of a seed.
func TestRequestsAreFilledIn(t *testing.T) {
	asked := func() (paths map[string]int, all []string) {
		var mu sync.Mutex
		paths = map[string]int{}
		system := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body) // Part of what was sent shows in the test.
			mu.Lock()
			defer mu.Unlock()
			paths[r.URL.Path]++
			all = append(all, r.Header.Get("X-Number")+" "+r.URL.Path+" "+string(body))
		}))
		defer system.Close()
		s := parse(t, "name: keys\nseed: 4\nload: [{for: 10s, per_second: 1}]\nhttp:\n  base: "+system.URL+`
  requests: [{name: look, method: POST, path: "/things/{key}", keys: 5, headers: {X-Number: "{n}"}, body: "{id} {key}"}]
`)
		injector, err := chaos.New(s.Plan(), chaos.Config{})
		if err != nil {
			t.Fatal(err)
		}
		sys, err := scenario.HTTPTarget{}.Start(t.Context(), scenario.Setup{Scenario: s, Injector: injector})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 60 {
			sys.Send(t.Context(), n)
		}
		if err := sys.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		return paths, all
	}
	paths, all := asked()
	if len(paths) != 5 || paths["/things/1"] == 0 || paths["/things/5"] == 0 {
		t.Errorf("asked for %v", paths)
	}
	number, rest, _ := strings.Cut(all[7], " ")
	path, body, _ := strings.Cut(rest, " ")
	if number != "7" || body != "keys-4-7 "+strings.TrimPrefix(path, "/things/") {
		t.Errorf("the eighth request is %q", all[7])
	}
	if _, again := asked(); !slices.Equal(all, again) {
		t.Errorf("the same seed asked for other things:\n%q\n%q", all, again)
	}
}

func TestADescribedSystemIsChecked(t *testing.T) {
	s := parse(t, strings.NewReplacer("BASE", "http://127.0.0.1:1", "PROXY", "127.0.0.1:2", "STOCK", "127.0.0.1:3", "2xx", `"2xx"`, "dependency: stock, protocol: http}\n", "dependency: stick, protocol: http}\n").Replace(described))
	if _, err := scenario.Play(t.Context(), s, scenario.Config{Target: scenario.HTTPTarget{}}); err == nil || !strings.Contains(err.Error(), `"stock"`) {
		t.Errorf("a fault for nobody: %v", err)
	}
	s = parse(t, strings.NewReplacer("BASE", "http://127.0.0.1:1", "PROXY", free(t), "STOCK", "127.0.0.1:3", "2xx", `"2xx"`, "ready: /ready", "ready: /ready\n  patience: 100ms").Replace(described))
	if _, err := scenario.Play(t.Context(), s, scenario.Config{Target: scenario.HTTPTarget{}}); err == nil || !strings.Contains(err.Error(), "was not ready within 100ms") {
		t.Errorf("a system that is not there: %v", err)
	}
}

func TestMeaningsHaveTones(t *testing.T) {
	if len(scenario.Meanings()) != len(load.Meanings()) {
		t.Error("a meaning lacks its tone")
	}
	for _, v := range scenario.Meanings() {
		if v.Tone == "" {
			t.Errorf("%s has no tone", v.Name)
		}
	}
}

// TestASecondRunMakesTracesOfItsOwn: the seed fixes the load, and not the ids of traces.
func TestASecondRunMakesTracesOfItsOwn(t *testing.T) {
	chance := func() *rand.Rand { return rand.New(rand.NewPCG(7, 1)) }
	first, second := scenario.TraceID(chance(), 1), scenario.TraceID(chance(), 2)
	if first == second || first != scenario.TraceID(chance(), 1) || len(first) != 32 {
		t.Errorf("%s, %s", first, second)
	}
}
