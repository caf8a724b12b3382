package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/internal/testenv"
)

const short = `name: short
target: licensesvc
settings: {members: "10"}
seed: 9
margin: 3s
load:
  - {for: 3s, per_second: 30}
steady: {good: 0.5}
faults:
  - name: membership fails
    where: {dependency: membership, protocol: http}
    when: {from: 1s, to: 2s}
    what: {kind: status, status: 500}
recovery: {within: 900ms, good: 0.1}
`

// command runs a command line.
func command(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	status := run(t.Context(), args, &out, &out)
	return status, out.String()
}

// TestAScenarioIsRunReplayedAndCompared runs one from a file, runs it again from its
// report, and compares the two.
func TestAScenarioIsRunReplayedAndCompared(t *testing.T) {
	testenv.NotShort(t, "it plays two scenarios")
	dir := t.TempDir()
	file := write(t, short)
	t.Chdir(dir)
	first := filepath.Join("out", "chaos", "short.json")
	var status int
	var out string
	for range 5 { // A machine that is too busy for the load proves nothing, and says so.
		if status, out = command(t, "run", file); status != 3 {
			break
		}
	}
	if status != 0 || !strings.Contains(out, "Verdict: passed, seed 9.") {
		t.Fatalf("status %d\n%s", status, out)
	}
	for _, ext := range []string{".html", ".json", ".xml"} {
		if _, err := os.Stat(strings.TrimSuffix(first, ".json") + ext); err != nil {
			t.Error(err)
		}
	}
	second := filepath.Join("out", "chaos", "again", "short.json")
	if status, out := command(t, "replay", first); status == 1 || status == 2 || !strings.Contains(out, "seed 9") {
		t.Fatalf("status %d\n%s", status, out)
	}
	a, err := report.ReadJSON(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := report.ReadJSON(second)
	if err != nil {
		t.Fatal(err)
	}
	if a.Seed != b.Seed || a.Source != b.Source || a.Metrics["requests"] != b.Metrics["requests"] && b.Verdict == report.Passed {
		t.Errorf("the replay is another run: %v, %v", a.Metrics, b.Metrics)
	}
	for _, stretch := range []string{"all", "during faults", "after faults"} {
		if len(a.Latencies[stretch]) == 0 {
			t.Errorf("the report keeps no latencies of %q", stretch)
		}
	}
	if len(a.Latencies["all"]) != int(a.Metrics["requests"]) {
		t.Errorf("%d latencies of %v requests", len(a.Latencies["all"]), a.Metrics["requests"])
	}
	b.Verdict, b.Metrics["good"] = report.Failed, 0.01
	if _, err := b.Save(filepath.Dir(second), "short"); err != nil {
		t.Fatal(err)
	}
	if status, out := command(t, "compare", first, second); status != 1 || !strings.Contains(out, "worse") || !strings.Contains(out, "-> failed") {
		t.Errorf("status %d\n%s", status, out)
	}
	b.Verdict = report.Undecided
	if _, err := b.Save(filepath.Dir(second), "short"); err != nil {
		t.Fatal(err)
	}
	if _, out := command(t, "compare", first, second); !strings.Contains(out, second+" is undecided") {
		t.Errorf("an undecided run was compared without a word:\n%s", out)
	}
	if status, out := command(t, "compare", first, first); status != 0 || !strings.Contains(out, "the same") {
		t.Errorf("status %d\n%s", status, out)
	}
}

func TestReportsOfTwoScenariosAreToldApart(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"hang", "flapping"} {
		if _, err := (&report.Report{Name: name, Title: name, Verdict: report.Passed}).Save(dir, name); err != nil {
			t.Fatal(err)
		}
	}
	hang, flapping := filepath.Join(dir, "hang.json"), filepath.Join(dir, "flapping.json")
	if status, out := command(t, "compare", hang, flapping); status != 0 || !strings.Contains(out, flapping+" of flapping: what differs may be the scenario's doing") {
		t.Errorf("status %d\n%s", status, out)
	}
	if _, out := command(t, "compare", hang, hang); strings.Contains(out, "differs") {
		t.Errorf("of one scenario:\n%s", out)
	}
}

func TestARequestIsEnumerated(t *testing.T) {
	testenv.NotShort(t, "it starts services")
	status, out := command(t, "enumerate", "show", "--protocol", "process")
	if status != 0 || !strings.Contains(out, "show: 1 calls") || !strings.Contains(out, "wrong 0") {
		t.Errorf("status %d\n%s", status, out)
	}
	status, out = command(t, "enumerate", "show", "--protocol", "process", "-o", "json")
	if status != 0 || !json.Valid([]byte(out)) || !strings.Contains(out, `"operation": "load"`) {
		t.Errorf("status %d\n%s", status, out)
	}
}

func TestScenarioCommandsSayWhatIsWrong(t *testing.T) {
	bad := write(t, strings.Replace(short, "kind: status", "kind: stattus", 1))
	elsewhere := write(t, strings.Replace(short, "target: licensesvc", "target: mainframe", 1))
	nameless := write(t, strings.Replace(short, "target: licensesvc\n", "", 1))
	unknown := write(t, strings.Replace(short, "dependency: membership", "dependency: members", 1))
	for _, c := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"no argument", []string{"run"}, 2, "--help"},
		{"no such scenario", []string{"run", "slow-dependancy"}, 2, "slow-dependency"},
		{"a bad scenario", []string{"run", bad}, 2, `did you mean "status"?`},
		{"no such target", []string{"run", elsewhere}, 2, "mainframe"},
		{"no target", []string{"run", nameless}, 2, "target: is missing: there are licensesvc and eventstore, and http"},
		{"no such dependency", []string{"run", unknown}, 2, `did you mean "membership"?`},
		{"a plan is no scenario", []string{"run", write(t, good)}, 2, "chaos scenarios slow-dependency"},
		{"no place for the report", []string{"run", "hang", "--report", bad}, 2, "a folder that can be written"},
		{"the library", []string{"scenarios"}, 0, "thundering-recovery"},
		{"one of it", []string{"scenarios", "hang"}, 0, "name: hang"},
		{"none of it", []string{"scenarios", "hung"}, 2, "hang"},
		{"no report", []string{"replay", bad}, 2, "no report"},
		{"nothing to compare", []string{"compare", "a.json", "b.json"}, 2, "a.json"},
		{"a replay keeps what it replays", []string{"replay", "--help"}, 0, `(default "out/chaos/again")`},
		{"no such request", []string{"enumerate", "sell"}, 2, "first-request"},
		{"no such setting", []string{"enumerate", "show", "--set", "stor=cassandra"}, 2, "there is no such setting"},
		{"no such fault", []string{"enumerate", "show", "--protocol", "process", "--fault", "hung"}, 2, `"hang"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if status, out := command(t, c.args...); status != c.want || !strings.Contains(out, c.says) {
				t.Errorf("status %d, want %d, and %q in\n%s", status, c.want, c.says, out)
			}
		})
	}
}

// TestAnInterruptedRunLeavesItsReport ends a run by its context, as Ctrl-C does, once some
// requests have come.
func TestAnInterruptedRunLeavesItsReport(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if requests.Add(1) == 20 {
			cancel()
		}
	}))
	defer server.Close()
	file, dir := write(t, `name: mine
load: [{for: 60s, per_second: 50}]
http:
  base: `+server.URL+`
  requests: [{name: look, path: /}]
`), filepath.Join(t.TempDir(), "reports")
	var out bytes.Buffer
	if status := run(ctx, []string{"run", file, "--report", dir}, &out, &out); status != 130 {
		t.Errorf("status %d\n%s", status, out.String())
	}
	rep, err := report.ReadJSON(filepath.Join(dir, "mine.json"))
	if err != nil || rep.Verdict != report.Undecided || rep.Metrics["requests"] < 20 {
		t.Fatalf("%+v, %v\n%s", rep, err, out.String())
	}
	if !strings.Contains(out.String(), "interrupted after") || !strings.Contains(out.String(), "Verdict: undecided") {
		t.Errorf("it says\n%s", out.String())
	}
}
