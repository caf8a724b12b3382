package report_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
)

func TestDecide(t *testing.T) {
	pass := report.Check{Verdict: report.Passed}
	fail := report.Check{Verdict: report.Failed}
	open := report.Check{Verdict: report.Undecided}
	before := func(c report.Check) report.Check { c.Precondition = true; return c }
	for _, tt := range []struct {
		name   string
		checks []report.Check
		want   report.Verdict
	}{
		{"no checks prove nothing", nil, report.Undecided},
		{"all passed", []report.Check{pass, before(pass)}, report.Passed},
		{"one failed", []report.Check{pass, fail, pass}, report.Failed},
		{"failed weighs more than undecided", []report.Check{open, fail, open}, report.Failed},
		{"one undecided", []report.Check{pass, open}, report.Undecided},
		{"a precondition that failed leaves it undecided", []report.Check{before(fail), fail, pass}, report.Undecided},
		{"also when it comes last", []report.Check{fail, before(open)}, report.Undecided},
		{"a check nobody judged", []report.Check{{}}, report.Undecided},
	} {
		r := report.Report{Checks: tt.checks}
		if got := r.Decide(); got != tt.want || r.Verdict != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func sample() *report.Report {
	var samples []load.Sample
	for i := range 200 {
		at := time.Duration(i) * 50 * time.Millisecond
		s := load.Sample{N: i, Intended: at, Sent: at, Done: at + time.Duration(i%7+1)*time.Millisecond, Kind: "request", Outcome: "granted", Good: true,
			Sources: map[string]string{"catalog": "live"}}
		if i > 80 && i < 120 {
			s.Outcome, s.Good, s.Sources = "unavailable", false, map[string]string{"catalog": "stale"}
		}
		samples = append(samples, s)
	}
	res := load.Result{Samples: samples}
	return &report.Report{
		Title: "A run <script>alert(1)</script>", Story: "What & why.", Command: "licensesvc demo --seed 7", Seed: 7,
		Started: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Length: 10 * time.Second, Width: time.Second,
		Buckets:      res.Buckets(time.Second),
		Faults:       []report.Fault{{Target: "catalog", What: "hangs", From: 4 * time.Second, To: 6 * time.Second}},
		Lanes:        []report.Lane{{Name: "catalog", Spans: []report.Span{{State: "closed", To: 5 * time.Second}, {State: "half-open", From: 5 * time.Second, To: 10 * time.Second, Note: `"<b>"`}}}},
		Rows:         report.RowsOf(samples, []string{"request"}),
		Outcomes:     []report.Value{{Name: "granted", Tone: report.Good}, {Name: "unavailable", Tone: report.Bad}},
		Sources:      []report.Value{{Name: "live", Tone: report.Good}, {Name: "stale", Tone: report.Degrade}},
		Dependencies: []string{"catalog"},
		Checks:       []report.Check{{Name: "nothing lost", Promised: "p", Seen: "s", Verdict: report.Passed, Details: []string{"</td><script>"}}},
		Figures:      []report.Figure{{Name: "requests", Value: "200"}},
	}
}

func TestThePageStandsAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	r := sample()
	r.Decide()
	path, err := r.Save(dir, "report")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	html := string(b)
	if m := regexp.MustCompile(`(?i)(src|href)\s*=|url\(|@import|https?://`).FindString(html); m != "" {
		t.Errorf("the page loads something: %q", m)
	}
	for _, bad := range []string{"<script>alert", "</td><script>", `"<b>"`, "ZgotmplZ"} {
		if strings.Contains(html, bad) {
			t.Errorf("not escaped: %s", bad)
		}
	}
	for _, want := range []string{"hangs", "nothing lost", "licensesvc demo --seed 7", `class="goodput"`, "state-half-open", "tone-degraded"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if n := strings.Count(html, "<svg"); n != 5 || n != strings.Count(html, "</svg>") {
		t.Errorf("%d plots", n)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("files left: %v %v", left, err)
	}
	var back report.Report
	j, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil || json.Unmarshal(j, &back) != nil || back.Verdict != report.Passed || len(back.Buckets) != 10 || back.Rows[0].Good != 161 {
		t.Errorf("JSON does not read back: %v %+v", err, back.Rows)
	}
}

func TestAnEmptyRunStillHasAPage(t *testing.T) {
	r := &report.Report{Title: "nothing", Verdict: report.Undecided}
	if _, err := r.Save(t.TempDir(), "report"); err != nil {
		t.Fatal(err)
	}
}

func TestSaveNamesThePlaceThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sample().Save(file, "report"); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}
