package chaostest_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/goldentest"
	"github.com/backstay-go/backstay/internal/testenv"
	"github.com/backstay-go/backstay/licensesvc/chaostest"
)

func TestMain(m *testing.M) {
	// The driver's wait for schema agreement goes on after Close, for a bounded time.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/gocql/gocql.(*Conn).awaitSchemaAgreement"))
}

// TestLibrary plays the scenarios that need no nodes against the license service.
func TestLibrary(t *testing.T) {
	testenv.NotShort(t, "it takes a minute")
	all, err := chaostest.Library()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Settings[chaostest.SettingStore] == "cassandra" {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			golden(t, run(t, of(s, nil), s, func() {}))
		})
	}
}

// of is the target that a scenario names.
func of(s scenario.Scenario, nodes *chaostest.Nodes) scenario.Target {
	if s.Target == chaostest.TargetStore {
		return chaostest.EventStore{Cassandra: nodes}
	}
	return chaostest.Target{Cassandra: nodes}
}

// run plays a scenario, and again if the run is undecided: a machine that is so busy that
// the load does not come at its time, or that the service is slow before anything is
// harmed, proves nothing. Each time ready waits until all is well.
func run(t *testing.T, tt scenario.Target, s scenario.Scenario, ready func()) *report.Report {
	t.Helper()
	for again := range 4 {
		ready()
		rep, err := scenario.Play(t.Context(), s, scenario.Config{Target: tt, Command: "chaos run " + s.Name})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rep.Save(t.ArtifactDir(), s.Name); err != nil {
			t.Error(err)
		}
		if rep.Verdict != report.Undecided {
			if rep.Verdict != report.Passed {
				t.Errorf("%s, seed %d\n%s", rep.Verdict, rep.Seed, rep.Text())
			}
			return rep
		}
		t.Logf("run %d is undecided:\n%s", again+1, rep.Text())
	}
	t.Errorf("%s: four runs were undecided", s.Name)
	return nil
}

// golden holds the verdict and the checks, in words without figures, against the file.
func golden(t *testing.T, rep *report.Report) {
	t.Helper()
	if rep == nil {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", rep.Name, rep.Verdict)
	for _, c := range rep.Checks {
		fmt.Fprintf(&b, "%-9s %s\n", c.Verdict, c.Name)
	}
	goldentest.Equal(t, filepath.Join("testdata", "verdicts", rep.Name+".golden"), b.String())
}

func TestLibraryIsWhole(t *testing.T) {
	all, err := chaostest.Library()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, s := range all {
		have[s.Name] = true
		if s.Target != chaostest.TargetService && s.Target != chaostest.TargetStore {
			t.Errorf("%s: its target is %q", s.Name, s.Target)
		}
		if s.Title == "" || s.About == "" || len(s.Checks) == 0 || s.Seed == 0 {
			t.Errorf("%s: give title, about, checks and seed", s.Name)
		}
	}
	for _, name := range []string{"slow-dependency", "brown-out", "hang", "flapping", "silent-datastore", "slow-replica", "dead-replica", "quorum-lost",
		"reply-lost", "disk-full", "retry-storm", "thundering-recovery", "bad-policy", "clock-jump", "region-cut-off"} {
		if !have[name] {
			t.Errorf("the library lacks %s", name)
		}
	}
	if _, err := chaostest.Named("slow-dependancy"); err == nil || !strings.Contains(err.Error(), "slow-dependency") {
		t.Errorf("a wrong name: %v", err)
	}
}
