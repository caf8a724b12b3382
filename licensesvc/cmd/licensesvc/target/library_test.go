package target_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/testenv"
	"github.com/backstay-go/backstay/licensesvc/cmd/licensesvc/target"
)

func TestMain(m *testing.M) {
	// The driver's wait for schema agreement goes on after Close, for a bounded time.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/gocql/gocql.(*Conn).awaitSchemaAgreement"))
}

// TestLibrary plays the scenarios that need no nodes against the license service.
func TestLibrary(t *testing.T) {
	testenv.NotShort(t, "it takes a minute")
	all, err := scenario.Library()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Settings[target.SettingStore] == "cassandra" {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			golden(t, run(t, of(s, nil), s, func() {}))
		})
	}
}

// of is the target that a scenario names.
func of(s scenario.Scenario, nodes *target.Nodes) scenario.Target {
	if s.Target == "eventstore" {
		return target.EventStore{Cassandra: nodes}
	}
	return target.Target{Cassandra: nodes}
}

// run plays a scenario, and again if nothing can be told: a machine that is so busy that
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
	file := filepath.Join("testdata", "verdicts", rep.Name+".golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s has\n%s\nand the run gave\n%s\nUPDATE_GOLDEN=1 writes it; read the diff", file, want, b.String())
	}
}
