package target_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/licensesvc/cmd/licensesvc/target"
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
			`rules[0].where.node: "harm": no node or data centre is called "node4"; did you mean "node1"? There are: node1, node2, node3, dc1`},
		"a node of two data centres": {"2", chaos.Rule{Where: chaos.Where{Node: "node3"}, What: chaos.What{Kind: chaos.Pause}},
			`There are: node1, node2, dc1, dc2`},
		"a peer": {"2", chaos.Rule{Where: chaos.Where{Node: "node1"}, What: chaos.What{Kind: chaos.Partition, Peers: []string{"node2", "dc3"}}},
			`rules[0].what.peers[1]: "harm": no node or data centre is called "dc3"`},
		"itself as peer": {"2", chaos.Rule{Where: chaos.Where{Node: "dc1"}, What: chaos.What{Kind: chaos.Partition, Peers: []string{"node1"}}},
			`rules[0].what.peers: "harm": nothing is cut off`},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := scenario.Library()
			if err != nil {
				t.Fatal(err)
			}
			s := all[0]
			s.Settings = map[string]string{target.SettingStore: "cassandra", target.SettingRegions: c.regions}
			c.rule.Name, c.rule.When = "harm", s.Faults[0].When
			s.Faults, s.Actions = []chaos.Rule{c.rule}, nil
			_, err = scenario.Play(t.Context(), s, scenario.Config{Target: target.Target{}})
			if !errors.Is(err, scenario.ErrConfig) || !errors.Is(err, chaos.ErrPlan) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v\nwant %s", err, c.want)
			}
		})
	}
}
