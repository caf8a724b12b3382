package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/goldentest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// simple is a system in memory with one dependency, in virtual time.
type simple struct {
	point    *chaos.Point
	fallback bool
	acts     []string
	harmed   bool
	slow     time.Duration
	wrong    bool
	closed   *bool
}

var errGone = errors.New("gone")

type simpleTarget struct {
	system  *simple
	refuse  error
	started int
}

func (t *simpleTarget) Check(scenario.Scenario) error { return t.refuse }

func (t *simpleTarget) Start(_ context.Context, setup scenario.Setup) (scenario.System, error) {
	t.started++
	t.system.point = setup.Injector.Point("store", "get", map[string]error{"gone": errGone})
	return t.system, nil
}

func (s *simple) Labels() scenario.Labels {
	return scenario.Labels{About: "A system in memory.", Kinds: []string{"get", "put"}, Outcomes: scenario.Meanings(), Dependencies: []string{"store"}, Sources: []report.Value{{Name: "live"}, {Name: "stale"}}}
}

func (s *simple) Send(ctx context.Context, n int) load.Sample {
	sample := load.Sample{ID: fmt.Sprint(n), Kind: "get", Outcome: "right", Means: load.Right, Sources: map[string]string{"store": "live"}}
	_, err := chaos.Do(ctx, s.point, func(context.Context) (int, error) {
		time.Sleep(s.slow + time.Millisecond)
		return n, nil
	})
	switch {
	case err != nil && s.wrong:
		sample.Means, sample.Outcome = load.Wrong, "wrong"
	case err != nil && s.fallback:
		sample.Means, sample.Outcome, sample.Sources = load.Stale, "stale", map[string]string{"store": "stale"}
	case err != nil:
		sample.Means, sample.Outcome = load.Refused, "refused"
	}
	return sample
}

func (s *simple) Judge(ctx context.Context, _ []load.Sample) ([]report.Check, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("read what is stored: %w", ctx.Err())
	}
	return []report.Check{{Name: "domain", Verdict: report.Passed}}, nil
}

func (s *simple) Dependencies() []scenario.Dependency {
	return []scenario.Dependency{{Name: "store", State: "closed", Permits: 1, Limit: 4, Calls: 10, Attempts: 10}}
}

func (s *simple) Act(_ context.Context, a scenario.Action) error {
	s.acts = append(s.acts, a.Do)
	if a.Do == "fail" {
		return errGone
	}
	return nil
}

func (s *simple) ApplyFaults(ctx context.Context) error {
	s.harmed = true
	<-ctx.Done()
	return context.Cause(ctx)
}

func (s *simple) Close(context.Context) error {
	if s.closed != nil {
		*s.closed = true
	}
	return nil
}

const text = `
name: gone
seed: 7
load:
  - {for: 12s, per_second: 40}
faults:
  - name: store gone
    where: {dependency: store, protocol: process}
    when: {from: 3s, to: 6s}
    what: {kind: error, code: gone}
checks:
  - {name: stale data stands in, measure: stale, at_least: 0.9}
`

func parse(t *testing.T, text string) scenario.Scenario {
	t.Helper()
	s, err := scenario.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// play plays in virtual time.
func play(t *testing.T, s scenario.Scenario, sys *simple) *report.Report {
	t.Helper()
	var rep *report.Report
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		closed := false
		sys.closed = &closed
		var err error
		if rep, err = scenario.Play(t.Context(), s, scenario.Config{Target: &simpleTarget{system: sys}, Dir: dir, Command: "go test"}); err != nil {
			t.Fatal(err)
		}
		if !closed {
			t.Error("the system was not closed")
		}
	})
	return rep
}

func check(t *testing.T, rep *report.Report, name string, want report.Verdict) report.Check {
	t.Helper()
	for _, c := range rep.Checks {
		if c.Name == name {
			if c.Verdict != want {
				t.Errorf("%s is %s, want %s: %s %q", name, c.Verdict, want, c.Seen, c.Details)
			}
			return c
		}
	}
	t.Errorf("there is no check %q in\n%s", name, rep.Text())
	return report.Check{}
}

func TestASystemThatStandsPasses(t *testing.T) {
	rep := play(t, parse(t, text), &simple{fallback: true})
	if rep.Verdict != report.Passed {
		t.Fatalf("%s\n%s", rep.Verdict, rep.Text())
	}
	for _, name := range []string{"the load came", "the steady state held", "the faults happened", "no answer was wrong", "no answer was late", "stale data stands in", "it recovered", "domain"} {
		check(t, rep, name, report.Passed)
	}
	if rep.Metrics["first_effect_after_s"] > 0.2 || rep.Metrics["time_to_recover_s"] != 0 {
		t.Errorf("metrics: %v", rep.Metrics)
	}
	if len(rep.Traces) == 0 || len(rep.Permits) != 1 || len(rep.Lanes) != 1 || len(rep.Faults) != 1 {
		t.Errorf("traces %d, permits %d, lanes %d, faults %d", len(rep.Traces), len(rep.Permits), len(rep.Lanes), len(rep.Faults))
	}
}

func TestWhatDoesNotHoldFails(t *testing.T) {
	for _, c := range []struct {
		name, change, with string
		system             simple
		check              string
		verdict            report.Verdict
		overall            report.Verdict
	}{
		{"no fallback", "", "", simple{}, "stale data stands in", report.Failed, report.Failed},
		{"a wrong answer", "", "", simple{wrong: true}, "no answer was wrong", report.Failed, report.Failed},
		{"slower than the deadline", "seed: 7", "seed: 7\ndeadline: 100ms\nmargin: 10ms", simple{fallback: true, slow: 200 * time.Millisecond}, "no answer was late", report.Failed, report.Undecided},
		{"no steady state", "seed: 7", "seed: 7\nsteady: {p99: 10ms}", simple{fallback: true, slow: 50 * time.Millisecond}, "the steady state held", report.Failed, report.Undecided},
		{"a fault that harmed nobody", "dependency: store", "dependency: elsewhere", simple{fallback: true}, "the faults happened", report.Failed, report.Undecided},
		{"too few requests", "seed: 7", "seed: 7\nrequests: 5000", simple{fallback: true}, "the load came", report.Failed, report.Undecided},
		{"no recovery", "to: 6s", "to: 8s, repeat_every: 0s", simple{}, "stale data stands in", report.Failed, report.Failed},
		{"a check of what never came", "measure: stale, at_least: 0.9", "measure: stale, kind: put, at_least: 0.9", simple{fallback: true}, "stale data stands in", report.Undecided, report.Undecided},
		{"an action that failed", "checks:", "actions:\n  - {at: 4s, do: fail}\nchecks:", simple{fallback: true}, "the faults happened", report.Failed, report.Undecided},
	} {
		t.Run(c.name, func(t *testing.T) {
			rep := play(t, parse(t, strings.Replace(text, c.change, c.with, 1)), &c.system)
			check(t, rep, c.check, c.verdict)
			if rep.Verdict != c.overall {
				t.Errorf("verdict %s, want %s\n%s", rep.Verdict, c.overall, rep.Text())
			}
		})
	}
}

func TestAnUnsteadySystemIsNotHarmed(t *testing.T) {
	sys := &simple{fallback: true, slow: 50 * time.Millisecond}
	rep := play(t, parse(t, strings.Replace(text, "seed: 7", "seed: 7\nsteady: {p99: 10ms}", 1)), sys)
	c := check(t, rep, "the faults happened", report.Failed)
	if !strings.Contains(strings.Join(c.Details, " "), "nothing was harmed") {
		t.Errorf("%+v", c)
	}
	if n := rep.Metrics["requests"]; n > 130 {
		t.Errorf("%g requests were sent, though the steady state did not hold after 3 s", n)
	}
}

func TestAStopConditionEndsTheRun(t *testing.T) {
	rep := play(t, parse(t, text+"stop:\n  - {measure: refused, more_than: 0.5, over: 1s}\n"), &simple{})
	if rep.Verdict != report.Failed {
		t.Errorf("verdict %s\n%s", rep.Verdict, rep.Text())
	}
	c := check(t, rep, "no stop condition was met", report.Failed)
	if !strings.Contains(c.Seen, "refused") {
		t.Errorf("it does not say why: %s", c.Seen)
	}
	if n := rep.Metrics["requests"]; n > 300 {
		t.Errorf("%g requests were sent: it did not stop", n)
	}
}

func TestActionsAndHarmComeToPass(t *testing.T) {
	sys := &simple{fallback: true}
	play(t, parse(t, strings.Replace(text, "checks:", "actions:\n  - {at: 4s, do: deploy}\n  - {at: 5s, do: restore}\nchecks:", 1)), sys)
	if fmt.Sprint(sys.acts) != "[deploy restore]" || !sys.harmed {
		t.Errorf("acts %v, harmed %t", sys.acts, sys.harmed)
	}
}

func TestTheSameSeedGivesTheSameRun(t *testing.T) {
	s := parse(t, strings.Replace(text, "what:", "often: {probability: 0.4}\n    what:", 1))
	a, b := play(t, s, &simple{fallback: true}), play(t, s, &simple{fallback: true})
	if a.Metrics["requests"] != b.Metrics["requests"] || a.Metrics["means stale"] != b.Metrics["means stale"] {
		t.Errorf("%v\n%v", a.Metrics, b.Metrics)
	}
	s.Seed = 8
	if c := play(t, s, &simple{fallback: true}); c.Metrics["requests"] == a.Metrics["requests"] && c.Metrics["means stale"] == a.Metrics["means stale"] {
		t.Errorf("another seed gave the same run: %v", c.Metrics)
	}
}

func TestAReportHoldsItsScenario(t *testing.T) {
	rep := play(t, parse(t, text), &simple{fallback: true})
	again, err := scenario.Parse("report", []byte(rep.Source))
	if err != nil {
		t.Fatal(err)
	}
	if again.String() != parse(t, text).String() {
		t.Errorf("the report holds\n%s", rep.Source)
	}
}

func TestPlayRefusesBeforeAnythingStarts(t *testing.T) {
	target := &simpleTarget{system: &simple{}}
	if _, err := scenario.Play(t.Context(), scenario.Scenario{}, scenario.Config{Target: target}); !errors.Is(err, scenario.ErrConfig) || !errors.Is(err, chaos.ErrPlan) {
		t.Errorf("an empty scenario: %v", err)
	}
	target.refuse = errGone
	if _, err := scenario.Play(t.Context(), parse(t, text), scenario.Config{Target: target}); !errors.Is(err, scenario.ErrConfig) || !errors.Is(err, errGone) {
		t.Errorf("refused by the target: %v", err)
	}
	if _, err := scenario.Play(t.Context(), parse(t, text), scenario.Config{}); !errors.Is(err, scenario.ErrConfig) {
		t.Errorf("without a target: %v", err)
	}
	if target.started != 0 {
		t.Error("a system was started")
	}
}

// TestWhatNobodyHasIsNoPromise: a check or a stop condition that names what the system does
// not have would pass whatever happened, or never stop anything.
func TestWhatNobodyHasIsNoPromise(t *testing.T) {
	for measure, want := range map[string]string{
		"measure: outcome wrnog, at_most: 0":                                             `checks[0].measure: there is no outcome "wrnog"; there are: right,`,
		"measure: source stroe stale, at_most: 0":                                        `checks[0].measure: there is no source's dependency "stroe"; there are: store`,
		"measure: source store stael, at_most: 0":                                        `checks[0].measure: there is no source "stael"; there are: live, stale`,
		"measure: state stroe open, at_most: 0":                                          `checks[0].measure: there is no dependency "stroe"; there are: store`,
		"measure: attempts stroe, at_most: 2":                                            `checks[0].measure: there is no dependency "stroe"`,
		"measure: amplification stroe, at_most: 2":                                       `checks[0].measure: there is no dependency "stroe"`,
		"measure: good, kind: got, at_least: 0":                                          `checks[0].kind: there is no kind of request "got"; there are: get, put`,
		"measure: state store open, at_most: 1":                                          "",
		"measure: source store stale, at_least: 0.9":                                     "",
		"measure: outcome stale, at_least: 0.9":                                          "",
		"measure: good, at_least: 0}\nstop:\n  - {measure: outcome gnoe, more_than: 0.5": `stop[0].measure: there is no outcome "gnoe"`,
	} {
		t.Run(measure, func(t *testing.T) {
			s := parse(t, strings.Replace(text, "measure: stale, at_least: 0.9", measure, 1))
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				closed := false
				sys := &simple{fallback: true, closed: &closed}
				rep, err := scenario.Play(t.Context(), s, scenario.Config{Target: &simpleTarget{system: sys}, Dir: dir})
				switch {
				case want == "" && (err != nil || rep.Verdict != report.Passed):
					t.Errorf("%+v, %v", rep, err)
				case want != "" && (!errors.Is(err, scenario.ErrConfig) || !errors.Is(err, chaos.ErrPlan) || !strings.Contains(err.Error(), want) || sys.harmed):
					t.Errorf("error is %v, harmed %t\nwant %s", err, sys.harmed, want)
				}
				if !closed {
					t.Error("the system was not closed")
				}
			})
		})
	}
}

// TestTheEndOfTheContextLeavesAReport of what was seen, whenever it comes, and no verdict.
func TestTheEndOfTheContextLeavesAReport(t *testing.T) {
	for name, at := range map[string]time.Duration{"before a fault": 2 * time.Second, "during it": 4 * time.Second, "after it": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), at)
				defer cancel()
				closed := false
				rep, err := scenario.Play(ctx, parse(t, text), scenario.Config{Target: &simpleTarget{system: &simple{closed: &closed}}, Dir: dir})
				if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "interrupted") || !closed {
					t.Fatalf("%v, closed %t", err, closed)
				}
				if rep == nil || rep.Verdict != report.Undecided || rep.Metrics["requests"] < 10 || len(rep.Latencies["all"]) == 0 {
					t.Fatalf("report %+v", rep)
				}
				for _, c := range rep.Checks {
					if c.Verdict != report.Undecided {
						t.Errorf("%s is %s", c.Name, c.Verdict)
					}
				}
				if c := check(t, rep, "the load came", report.Undecided); !strings.Contains(c.Seen, "interrupted after") {
					t.Errorf("it does not say why: %s", c.Seen)
				}
			})
		})
	}
}

// TestAnInterruptedRunKeepsWhatWasBroken: a wrong answer is one, however the run ended.
func TestAnInterruptedRunKeepsWhatWasBroken(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		rep, err := scenario.Play(ctx, parse(t, text), scenario.Config{Target: &simpleTarget{system: &simple{wrong: true}}, Dir: dir})
		if err == nil || rep == nil || rep.Verdict != report.Undecided {
			t.Fatalf("%v, %v", rep, err)
		}
		check(t, rep, "no answer was wrong", report.Failed)
	})
}

// TestARunLeavesNoEmptyFolder: data is kept for a look, if there is any.
func TestARunLeavesNoEmptyFolder(t *testing.T) {
	for name, wrong := range map[string]bool{"passed": false, "failed": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("TMPDIR", dir)
			synctest.Test(t, func(t *testing.T) {
				if _, err := scenario.Play(t.Context(), parse(t, text), scenario.Config{Target: &simpleTarget{system: &simple{wrong: wrong, fallback: !wrong}}}); err != nil {
					t.Fatal(err)
				}
			})
			left, err := os.ReadDir(dir)
			if err != nil || len(left) != 0 {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}

// TestChecksAreToldWithTheirLines: a target's problems stand where the file has them.
func TestChecksAreToldWithTheirLines(t *testing.T) {
	names := func(s scenario.Scenario) error {
		return s.CheckFaults(func(p chaos.Plan) error { return p.CheckNames(chaos.Known{Dependencies: []string{"stock"}}) })
	}
	line := 1 + strings.Count(text[:strings.Index(text, "dependency:")], "\n")
	_, err := scenario.Parse("mine.yaml", []byte(text), names)
	if want := fmt.Sprintf("mine.yaml:%d:", line); err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "faults[0].where.dependency: ") {
		t.Errorf("want %s, have %v", want, err)
	}
	if _, err := scenario.Parse("mine.yaml", []byte("name: x"), func(scenario.Scenario) error {
		t.Error("a scenario that is wrong in itself was held against a target")
		return nil
	}); err == nil {
		t.Error("a scenario without a load")
	}
}

// TestGolden holds good files against what they print as, and bad ones against what is
// said of them.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			s, err := scenario.Load(file)
			got := ""
			if err != nil {
				got = err.Error() + "\n"
			} else {
				got = s.String()
				again, err := scenario.Parse(file, []byte(got))
				if err != nil || again.String() != got {
					t.Errorf("it prints as what does not parse to it: %v\n%s", err, got)
				}
			}
			goldentest.Equal(t, strings.TrimSuffix(file, ".yaml")+".golden", got)
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(text)
	good, err := os.ReadFile("testdata/good.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(good))
	f.Fuzz(func(t *testing.T, text string) {
		s, err := scenario.Parse("fuzz.yaml", []byte(text))
		if err != nil {
			if !errors.Is(err, chaos.ErrPlan) {
				t.Fatalf("%v", err)
			}
			return
		}
		if again, err := scenario.Parse("again.yaml", []byte(s.String())); err != nil || again.String() != s.String() {
			t.Fatalf("%v\n%s", err, s)
		}
	})
}
