package target_test

import (
	"slices"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/testenv"
	"github.com/backstay-go/backstay/licensesvc/cmd/licensesvc/target"
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
			table, err := scenario.Enumerate(t.Context(), scenario.EnumerateConfig{Target: target.Target{}, Request: c.request, Protocols: c.protocols, Workers: 2,
				Scenario: scenario.Scenario{Name: "enumerate", Seed: 1, Margin: 1500 * time.Millisecond, Settings: map[string]string{target.SettingMembers: "1", target.SettingWarm: "no"}}})
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

// everyCQLFault harms each statement of a request inside the protocol. The faults that
// are not among these are for the command:
//
//	chaos enumerate --protocol cql --set store=cassandra request
func everyCQLFault(t *testing.T, nodes *target.Nodes) {
	table, err := scenario.Enumerate(t.Context(), scenario.EnumerateConfig{Target: target.Target{Cassandra: nodes}, Request: "request", Protocols: []string{chaos.CQL}, Workers: 3,
		Faults: []string{"reply lost", "request lost", "done twice", "write timeout, done", "done, and reset"},
		Scenario: scenario.Scenario{Name: "enumerate", Seed: 1, Margin: 1500 * time.Millisecond,
			Settings: map[string]string{target.SettingStore: "cassandra", target.SettingMembers: "1", target.SettingWarm: "no"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range []string{"cql event-store SELECT streams", "cql event-store INSERT intents", "cql event-store BATCH streams"} {
		if !slices.ContainsFunc(table.Points, func(p scenario.Point) bool { return p.String() == call }) {
			t.Errorf("%s was not seen, only %v", call, table.Points)
		}
	}
	if len(table.Bad()) > 0 || table.Coverage() < 0.9 {
		t.Errorf("coverage %.2f\n%s", table.Coverage(), table.Text())
	}
}
