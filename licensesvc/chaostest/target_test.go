package chaostest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/licensesvc/chaostest"
)

// TestFaultsOfWhatIsNotThereAreRefusedFirst plays scenarios that name nodes which the store
// would not have: nothing is started for them.
func TestFaultsOfWhatIsNotThereAreRefusedFirst(t *testing.T) {
	for name, c := range map[string]struct {
		regions string
		rule    chaos.Rule
		want    string
	}{
		"a node": {"1", chaos.Rule{Where: chaos.Where{Node: "node4"}, What: chaos.What{Kind: chaos.Kill}},
			`faults[0].where.node: "harm": no node or data centre is called "node4"; did you mean "node1"? There are: node1, node2, node3, dc1`},
		"a node of two data centres": {"2", chaos.Rule{Where: chaos.Where{Node: "node3"}, What: chaos.What{Kind: chaos.Pause}},
			`There are: node1, node2, dc1, dc2`},
		"a peer": {"2", chaos.Rule{Where: chaos.Where{Node: "node1"}, What: chaos.What{Kind: chaos.Partition, Peers: []string{"node2", "dc3"}}},
			`faults[0].what.peers[1]: "harm": no node or data centre is called "dc3"`},
		"itself as peer": {"2", chaos.Rule{Where: chaos.Where{Node: "dc1"}, What: chaos.What{Kind: chaos.Partition, Peers: []string{"node1"}}},
			`faults[0].what.peers: "harm": nothing is cut off`},
	} {
		t.Run(name, func(t *testing.T) {
			err := refused(t, chaostest.Target{}, c.rule, map[string]string{chaostest.SettingStore: "cassandra", chaostest.SettingRegions: c.regions})
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestFaultsThatTheStoreCannotHaveAreRefusedFirst plays faults of nodes and of CQL on a store
// that is a file, and of requests on dependencies that have none: such a run would end
// undecided, after all of its time.
func TestFaultsThatTheStoreCannotHaveAreRefusedFirst(t *testing.T) {
	rules := map[string]struct {
		rule chaos.Rule
		want string
	}{
		"a named node": {chaos.Rule{Where: chaos.Where{Node: "node1"}, What: chaos.What{Kind: chaos.Kill}}, `faults[0].where.node: "harm": no node is called "node1"; there is none`},
		"the clients of a cut": {chaos.Rule{Where: chaos.Where{Dependency: "event-store"}, What: chaos.What{Kind: chaos.Partition, Peers: []string{"clients"}}},
			`this partition happens at node, and event-store can be harmed at process only`},
		"a statement":  {chaos.Rule{Where: chaos.Where{Dependency: "event-store"}, What: chaos.What{Kind: chaos.DropReply}}, `this drop_reply happens at cql, and event-store can be harmed at process only`},
		"a connection": {chaos.Rule{Where: chaos.Where{Dependency: "event-store", Protocol: chaos.TCP}, What: chaos.What{Kind: chaos.Reset}}, `this reset happens at tcp, and event-store can be harmed at process only`},
	}
	for _, kind := range chaos.Kinds() {
		if kind.Kind == chaos.Partition || !kind.Kind.AppliesTo(chaos.Node) {
			continue
		}
		rules["any node, "+string(kind.Kind)] = struct {
			rule chaos.Rule
			want string
		}{chaos.Rule{What: chaos.What{Kind: kind.Kind}}, `faults[0].what.kind: "harm": this ` + string(kind.Kind) + ` happens at node, and what there is can be harmed at `}
	}
	for name, c := range rules {
		for store, tt := range map[string]scenario.Target{"service": chaostest.Target{}, "bare store": chaostest.EventStore{}} {
			t.Run(name+", "+store, func(t *testing.T) {
				err := refused(t, tt, c.rule, nil)
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("error is %v\nwant %s", err, c.want)
				}
			})
		}
	}
	err := refused(t, chaostest.Target{}, chaos.Rule{Where: chaos.Where{Dependency: "catalog"}, What: chaos.What{Kind: chaos.Panic}}, nil)
	if want := "this panic happens at process, and catalog can be harmed at http, tcp only"; !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v\nwant %s", err, want)
	}
}

// refused plays a scenario with the rule alone, and returns why it is refused.
func refused(t *testing.T, tt scenario.Target, rule chaos.Rule, settings map[string]string) error {
	t.Helper()
	s, err := chaostest.Named("disk-full")
	if err != nil {
		t.Fatal(err)
	}
	rule.Name, rule.When = "harm", s.Faults[0].When
	s.Faults, s.Actions, s.Settings = []chaos.Rule{rule}, nil, settings
	_, err = scenario.Play(t.Context(), s, scenario.Config{Target: tt})
	if !errors.Is(err, scenario.ErrConfig) || !errors.Is(err, chaos.ErrPlan) {
		t.Fatalf("error is %v", err)
	}
	return err
}
