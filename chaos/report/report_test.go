package report_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
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
		Permits:      []report.Series{{Name: "catalog", Points: []float64{1, 2, 3, 4, 60, 64, 3, 2, 1, 0}, Limit: 64}},
		Traces:       []report.Trace{{Request: "r-1", Trace: "00ff", Kind: "request", Outcome: "unavailable", Why: "the first <i>"}},
		Source:       "name: sample # <b>\n",
	}
}

func TestWritableLeavesNothingAndSaysWhatToDo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	if err := report.Writable(dir); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := report.Writable(file); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "give a folder that can be written") {
		t.Errorf("of a file: %v", err)
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
	for _, want := range []string{"hangs", "nothing lost", "licensesvc demo --seed 7", `class="goodput"`, "state-half-open", "tone-degraded", "64 of 64 permits", "the first &lt;i&gt;", "name: sample # &lt;b&gt;"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if n := strings.Count(html, "<svg"); n != 6 || n != strings.Count(html, "</svg>") {
		t.Errorf("%d plots", n)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 3 {
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

func TestJUnitTellsFailuresFromErrors(t *testing.T) {
	r := sample()
	r.Name = "sample"
	r.Checks = []report.Check{
		{Name: "held", Verdict: report.Passed},
		{Name: "broke", Promised: "p & q", Seen: "<seen>", Verdict: report.Failed, Details: []string{"first"}},
		{Name: "load", Precondition: true, Verdict: report.Failed},
		{Name: "open", Verdict: report.Undecided},
	}
	r.Decide()
	var b strings.Builder
	if err := r.WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Failure *struct {
				Message string `xml:"message,attr"`
				Text    string `xml:",chardata"`
			} `xml:"failure"`
			Error *struct{} `xml:"error"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal([]byte(b.String()), &suite); err != nil {
		t.Fatal(err)
	}
	if suite.Tests != 4 || suite.Failures != 1 || suite.Errors != 2 || len(suite.Cases) != 4 {
		t.Fatalf("%+v", suite)
	}
	if f := suite.Cases[1].Failure; f == nil || f.Message != "<seen>" || !strings.Contains(f.Text, "p & q") || !strings.Contains(f.Text, "first") {
		t.Errorf("%+v", f)
	}
	if suite.Cases[0].Failure != nil || suite.Cases[0].Error != nil || suite.Cases[2].Error == nil || suite.Cases[3].Error == nil {
		t.Errorf("%+v", suite.Cases)
	}
}

// TestJUnitIsValid holds a suite against what the schemas of Ant's JUnit task and of Jenkins
// ask for: which elements come in which order, and which attributes must be there.
func TestJUnitIsValid(t *testing.T) {
	r := sample()
	r.Checks = []report.Check{{Name: "held", Verdict: report.Passed}, {Name: "broke \x01 & <b>", Seen: "<seen>", Verdict: report.Failed}, {Name: "open", Verdict: report.Undecided}}
	var b strings.Builder
	if err := r.WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	required := map[string][]string{
		"testsuite": {"name", "timestamp", "hostname", "tests", "failures", "errors", "time"}, "property": {"name", "value"},
		"testcase": {"name", "classname", "time"}, "failure": {"type"}, "error": {"type"}, "properties": nil, "system-out": nil, "system-err": nil,
	}
	var path, top []string
	dec := xml.NewDecoder(strings.NewReader(b.String()))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if path = append(path, e.Name.Local); len(path) == 2 {
				top = append(top, e.Name.Local)
			}
			want, known := required[e.Name.Local]
			if !known {
				t.Errorf("no schema has <%s>", e.Name.Local)
			}
			for _, name := range want {
				if !slices.ContainsFunc(e.Attr, func(a xml.Attr) bool { return a.Name.Local == name }) {
					t.Errorf("<%s> has no %s", e.Name.Local, name)
				}
			}
			for _, a := range e.Attr {
				if a.Name.Local == "time" {
					if _, err := strconv.ParseFloat(a.Value, 64); err != nil {
						t.Errorf("time: %v", err)
					}
				}
				if a.Name.Local == "timestamp" && !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$`).MatchString(a.Value) {
					t.Errorf("timestamp %q", a.Value)
				}
			}
		case xml.EndElement:
			path = path[:len(path)-1]
		}
	}
	if want := []string{"properties", "testcase", "testcase", "testcase", "system-out", "system-err"}; !slices.Equal(top, want) {
		t.Errorf("the suite holds %q, want %q", top, want)
	}
}

// TestClassesAreEscaped: tones and states are the target's words.
func TestClassesAreEscaped(t *testing.T) {
	r := sample()
	evil := report.Tone(`x"><script>alert(1)</script>`)
	r.Outcomes[0].Tone, r.Sources[0].Tone = evil, evil
	r.Lanes = append(r.Lanes, report.Lane{Name: "lane", Spans: []report.Span{{State: string(evil), To: time.Second}}})
	var b strings.Builder
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "<script>alert") {
		t.Error("a tone or a state is markup")
	}
}

// TestTextShowsTheBoundNextToTheFigure, and a long detail does not push the figures away.
func TestTextShowsTheBoundNextToTheFigure(t *testing.T) {
	r := sample()
	r.Checks = []report.Check{
		{Name: "promised", Seen: "38.9 % of 208", Bound: "at least 30 %", Verdict: report.Passed},
		{Name: "no answer was wrong", Seen: "1 of 208", Verdict: report.Failed, Details: []string{strings.Repeat("long ", 40)}},
	}
	lines := strings.Split(r.Text(), "\n")
	if want := "FAILED     no answer was wrong  1 of 208"; lines[0] != want {
		t.Errorf("what failed comes first: have %q\nwant %q", lines[0], want)
	}
	if want := "PASSED     promised             38.9 % of 208 (bound: at least 30 %)"; lines[2] != want {
		t.Errorf("have %q\nwant %q", lines[2], want)
	}
}

// TestWhatWasBrokenIsSaidInWords: each fault has a row of sentences, on the page and in the text.
func TestWhatWasBrokenIsSaidInWords(t *testing.T) {
	r := sample()
	r.Faults[0].Name = "catalog hangs"
	r.Faults[0].Effect = &report.Effect{Requests: 200, Served: 161, Outcomes: map[string]int{"granted": 161, "unavailable": 39},
		StoodIn: map[string]int{"stale": 150, "static": 7}, Live: 43, Slowest: 545 * time.Millisecond, Back: 600 * time.Millisecond}
	r.Faults = append(r.Faults,
		report.Fault{Target: "store", What: "is gone", ByHand: true, From: 7 * time.Second, To: 8 * time.Second, Effect: &report.Effect{Back: -1}},
		report.Fault{Target: "clock", Name: "not known"})
	all := r.Broken()
	if len(all) != 2 || all[0].Title() != "catalog hangs" || all[0].When != "4–6 s" || all[1].Title() != "store is gone, by hand" {
		t.Fatalf("%+v", all)
	}
	if got, want := all[0].Saw, "80.5 % of 200 served; 39 unavailable; slowest 545 ms"; got != want {
		t.Errorf("users saw %q, want %q", got, want)
	}
	if got, want := all[0].StoodIn+", "+all[0].Well, "75 % stale, 3.5 % static, after 0.6 s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := all[1].Saw+", "+all[1].StoodIn+", "+all[1].Well, "no request came, nothing, not before the next fault"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var page strings.Builder
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"page": page.String(), "text": r.Text()} {
		if !strings.Contains(text, all[0].Saw) || !strings.Contains(text, "store is gone, by hand") {
			t.Errorf("the %s lacks what was broken", name)
		}
	}
}

func TestASummarySaysWhy(t *testing.T) {
	pass, fail := report.Check{Name: "a", Verdict: report.Passed}, report.Check{Name: "b", Seen: "77 %", Verdict: report.Failed}
	open := report.Check{Name: "the load came", Seen: "341 requests", Precondition: true, Verdict: report.Failed}
	for want, checks := range map[string][]report.Check{
		"there is no check":               nil,
		"2 of 2 checks passed":            {pass, pass},
		"1 of 2 checks passed; failed: b": {pass, fail},
		"1 of 3 checks passed; undecided because: the load came: 341 requests": {pass, fail, open},
	} {
		r := report.Report{Checks: checks}
		r.Decide()
		if got := r.Summary(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCompareSaysWhatGotBetterAndWorse(t *testing.T) {
	a, b := sample(), sample()
	a.Verdict, b.Verdict = report.Passed, report.Failed
	a.Checks = []report.Check{{Name: "kept", Verdict: report.Passed}, {Name: "broken", Verdict: report.Passed}, {Name: "repaired", Verdict: report.Undecided}, {Name: "dropped", Verdict: report.Passed}}
	b.Checks = []report.Check{{Name: "kept", Verdict: report.Passed}, {Name: "broken", Verdict: report.Failed}, {Name: "repaired", Verdict: report.Passed}, {Name: "new", Verdict: report.Passed}}
	a.Metrics = map[string]float64{"good": 0.9, "p99_s": 0.5, "p99_s during faults": 1, "requests": 100, "means wrong": 0.001, "amplification catalog": 1.2, "time_to_recover_s": 1, "p50_s": 0.002}
	b.Metrics = map[string]float64{"good": 0.99, "p99_s": 0.9, "p99_s during faults": 0.5, "requests": 300, "means wrong": 0.002, "amplification catalog": 3, "time_to_recover_s": 1.05, "p50_s": 0.004, "new": 1}
	c := report.Compare(a, b)
	names := func(all []report.Change) string {
		var n []string
		for _, change := range all {
			n = append(n, change.Name)
		}
		return strings.Join(n, ", ")
	}
	if got := names(c.Better); got != "check repaired, good, p99_s during faults" {
		t.Errorf("better: %s", got)
	}
	if got := names(c.Worse); got != "verdict, check broken, amplification catalog, p99_s" {
		t.Errorf("worse: %s", got)
	}
	if got := names(c.Other); got != "check new, check dropped, new, requests" {
		t.Errorf("other: %s", got)
	}
	text := c.Text()
	for _, want := range []string{"p99_s", "0.5 s", "-> 0.9 s", "the same"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if same := report.Compare(a, a); len(same.Better)+len(same.Worse)+len(same.Other) != 0 {
		t.Errorf("a run differs from itself: %+v", same)
	}
}

func TestReadJSONRefusesWhatIsNoReport(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"page.html": "<html>", "other.json": `{"a": 1}`} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := report.ReadJSON(file); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := report.ReadJSON(filepath.Join(dir, "none.json")); err == nil {
		t.Error("a file that is not there was read")
	}
}
