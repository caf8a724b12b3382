package chaostest_test

import (
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/goldentest"
	"github.com/backstay-go/backstay/internal/testenv"
	"github.com/backstay-go/backstay/licensesvc/chaostest"
)

// TestEveryFaultAtEveryCall harms each call of a request in every way. No answer may be
// wrong or late, whatever is refused.
func TestEveryFaultAtEveryCall(t *testing.T) {
	testenv.NotShort(t, "it starts hundreds of services")
	for _, c := range []struct {
		request   string
		protocols []string
		calls     []string
	}{
		{"request", []string{chaos.HTTP, chaos.InProcess}, []string{"http membership GET", "http catalog GET", "http key-service POST", "process event-store append"}},
		{"first-request", []string{chaos.InProcess}, []string{"process event-store load", "process event-store append"}},
		{"renew", []string{chaos.InProcess}, []string{"process event-store append"}},
		{"play", []string{chaos.InProcess}, []string{"process event-store append"}},
		{"show", []string{chaos.InProcess}, []string{"process event-store load"}},
	} {
		t.Run(c.request, func(t *testing.T) {
			t.Parallel()
			table, err := scenario.Enumerate(t.Context(), scenario.EnumerateConfig{Target: chaostest.Target{}, Request: c.request, Protocols: c.protocols, Workers: 2,
				Scenario: scenario.Scenario{Name: "enumerate", Seed: 1, Margin: 1500 * time.Millisecond, Settings: map[string]string{chaostest.SettingMembers: "1", chaostest.SettingWarm: "no"}}})
			if err != nil {
				t.Fatal(err)
			}
			for _, call := range c.calls {
				if !slices.ContainsFunc(table.Points, func(p scenario.Point) bool { return p.String() == call }) {
					t.Errorf("%s was not seen, only %v", call, table.Points)
				}
			}
			if len(table.Bad()) > 0 || table.Coverage() < 0.95 {
				t.Errorf("coverage %.2f\n%s", table.Coverage(), table.Text())
			}
		})
	}
}

var everyFault = flag.Bool("every-fault", false, "enumerate all faults of CQL, not only those that lose or double something; CI=true does so too")

// everyCQLFault harms each statement of a request inside the protocol, and holds what the
// caller got against the table that is written down. All faults are for CI=true and
//
//	go test -run 'TestLibraryOnNodes/every' ./licensesvc/chaostest -args -every-fault
func everyCQLFault(t *testing.T, nodes *chaostest.Nodes) {
	faults := []string{"reply lost", "request lost", "done twice", "write timeout, done", "done, and reset"}
	if *everyFault || testenv.CI() {
		faults = nil // all that apply
	}
	table, err := scenario.Enumerate(t.Context(), scenario.EnumerateConfig{Target: chaostest.Target{Cassandra: nodes}, Request: "request", Protocols: []string{chaos.CQL}, Workers: 3,
		Faults: faults,
		Scenario: scenario.Scenario{Name: "enumerate", Seed: 1, Margin: 1500 * time.Millisecond,
			Settings: map[string]string{chaostest.SettingStore: "cassandra", chaostest.SettingMembers: "1", chaostest.SettingWarm: "no"}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Bad()) > 0 || table.Coverage() < 0.9 {
		t.Errorf("coverage %.2f\n%s", table.Coverage(), table.Text())
	}
	goldenTable(t, table, faults == nil)
}

// goldenTable holds each cell against the file: the calls, the faults that can happen to
// each, and what its caller then gets. On a slow machine an attempt may not fit any more
// and an answer be promised instead of given, or the other way round: that is as honest,
// and may be so in one cell of five.
func goldenTable(t *testing.T, table *scenario.Table, whole bool) {
	t.Helper()
	if !whole {
		t.Setenv("UPDATE_GOLDEN", "") // A part of the table must not replace the whole.
	}
	got := map[string]string{}
	for _, c := range table.Cells {
		got[c.Point.String()+" | "+c.Fault] = string(c.Means)
	}
	file := filepath.Join("testdata", "enumerate", table.Request+"-cql.golden")
	var b strings.Builder
	for _, cell := range slices.Sorted(maps.Keys(got)) {
		fmt.Fprintf(&b, "%s | %s\n", cell, got[cell])
	}
	want := map[string]string{}
	for line := range strings.Lines(goldentest.Want(t, file, b.String())) {
		i := strings.LastIndex(line, " | ")
		want[line[:i]] = strings.TrimSpace(line[i+3:])
	}
	var others []string
	for _, cell := range slices.Sorted(maps.Keys(got)) {
		switch meant, ok := want[cell]; {
		case !ok:
			t.Errorf("%s is not in %s: UPDATE_GOLDEN=1 with -every-fault writes it; read the diff", cell, file)
		case got[cell] != meant:
			others = append(others, fmt.Sprintf("%s: %s, not %s", cell, got[cell], meant))
		}
	}
	t.Logf("%d of %d cells have other answers than written down: %q", len(others), len(got), others)
	if len(others) > len(got)/5 {
		t.Errorf("%d of %d cells have other answers than %s:\n%s", len(others), len(got), file, strings.Join(others, "\n"))
	}
	for cell := range want {
		if _, ok := got[cell]; !ok && whole {
			t.Errorf("%s: no such call or fault any more", cell)
		}
	}
}
