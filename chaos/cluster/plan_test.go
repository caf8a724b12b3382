package cluster_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
)

// everything is a cluster that any plan can harm.
var everything = cluster.Config{Nodes: 3, DataCenters: 2, Namespaces: true, DiskMB: 256}

func TestPlansThatWouldDoNothingAreRefused(t *testing.T) {
	const names = "There are: node1, node2, node3, node4, node5, node6, dc1, dc2"
	for name, c := range map[string]struct {
		cfg  cluster.Config
		rule string
		want string // empty: it is fine
	}{
		"a node":                       {everything, "where: {node: node6}\n    what: {kind: kill}", ""},
		"nodes by a pattern":           {everything, "where: {node: 'node*'}\n    what: {kind: kill}", ""},
		"a data centre":                {everything, "where: {node: dc2}\n    what: {kind: pause}", ""},
		"all nodes":                    {everything, "what: {kind: stop}", ""},
		"a peer":                       {everything, "where: {node: node1}\n    what: {kind: partition, peers: [node2, clients]}", ""},
		"every peer":                   {everything, "where: {node: node1}\n    what: {kind: partition, peers: ['*']}", ""},
		"peers by a pattern":           {everything, "where: {node: node1}\n    what: {kind: partition, peers: ['node*']}", ""},
		"a data centre from the other": {everything, "where: {node: dc1}\n    what: {kind: partition, peers: [dc2]}", ""},
		"nodes of one data centre":     {everything, "where: {node: dc1}\n    what: {kind: partition, peers: [dc1]}", ""},
		"a rule for another place":     {cluster.Config{}, "where: {dependency: catalog, node: '10.0.0.1:80'}\n    what: {kind: latency, delay: 1s}", ""},
		"an unknown node": {everything, "where: {node: nod3}\n    what: {kind: kill}",
			`rules[0].where.node: "harm": no node or data centre is called "nod3"; did you mean "node3"? ` + names},
		"a node of a larger cluster": {cluster.Config{Nodes: 3}, "where: {node: node4}\n    what: {kind: kill}",
			`rules[0].where.node: "harm": no node or data centre is called "node4"; did you mean "node1"? There are: node1, node2, node3, dc1`},
		"an unknown data centre": {cluster.Config{}, "where: {node: dc2}\n    what: {kind: kill}",
			`rules[0].where.node: "harm": no node or data centre is called "dc2"; did you mean "dc1"? There are: node1, dc1`},
		"an unknown peer": {everything, "where: {node: node1}\n    what: {kind: partition, peers: [node2, nodes3]}",
			`rules[0].what.peers[1]: "harm": no node or data centre is called "nodes3"; did you mean "node3"? ` + names},
		"only itself": {everything, "where: {node: node1}\n    what: {kind: partition, peers: [node1]}",
			`rules[0].what.peers: "harm": nothing is cut off: a node is not its own peer`},
		"no peer to cut off": {cluster.Config{Namespaces: true}, "what: {kind: partition, peers: ['*']}",
			`rules[0].what.peers: "harm": nothing is cut off: a node is not its own peer`},
		"a partition of one network": {cluster.Config{Nodes: 2}, "what: {kind: partition, peers: ['*']}",
			`rules[0].what.kind: "harm": the nodes share one network, which can't be parted; set Config.Namespaces`},
		"a disk of the machine's": {cluster.Config{}, "what: {kind: disk_full}",
			`rules[0].what.kind: "harm": the disk is the machine's own, which nobody fills; set Config.DiskMB`},
		"another dependency": {everything, "where: {dependency: casandra}\n    what: {kind: kill}",
			`rules[0].where.dependency: "harm": no dependency is called "casandra"; did you mean "cassandra"? There are: cassandra`},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := chaos.Parse("plan.yaml", []byte("rules:\n  - name: harm\n    "+c.rule+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			err = c.cfg.CheckPlan(plan, "cassandra")
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (!errors.Is(err, chaos.ErrPlan) || strings.TrimPrefix(err.Error(), "plan: ") != c.want):
				t.Errorf("error is %v\nwant     plan: %s", err, c.want)
			}
		})
	}
}

// TestARuleForRequestsHarmsNoNode: a file with such a rule is refused when it is read; a
// plan in Go may not have been checked.
func TestARuleForRequestsHarmsNoNode(t *testing.T) {
	if _, err := chaos.Parse("plan.yaml", []byte("rules: [{where: {table: streams}, what: {kind: kill}}]")); !errors.Is(err, chaos.ErrPlan) {
		t.Errorf("read: %v", err)
	}
	plan := chaos.Plan{Rules: []chaos.Rule{{Name: "harm", Where: chaos.Where{Table: "streams"}, What: chaos.What{Kind: chaos.Kill}}}}
	if err := everything.CheckPlan(plan, "cassandra"); !errors.Is(err, chaos.ErrPlan) || !strings.Contains(err.Error(), `rules[0].where: "harm": it fits no node`) {
		t.Errorf("error is %v", err)
	}
}

func TestEveryRuleIsChecked(t *testing.T) {
	plan := chaos.Plan{Rules: []chaos.Rule{
		{Where: chaos.Where{Dependency: "another"}, What: chaos.What{Kind: chaos.Kill}},
		{Where: chaos.Where{Node: "node1"}, What: chaos.What{Kind: chaos.Kill}},
		{Where: chaos.Where{Node: "node9"}, What: chaos.What{Kind: chaos.Kill}},
		{Where: chaos.Where{Node: "node8"}, What: chaos.What{Kind: chaos.Partition, Peers: []string{"node7"}}},
	}}
	var bad *chaos.PlanError
	if err := everything.CheckPlan(plan, "cassandra"); !errors.As(err, &bad) {
		t.Fatalf("error is %v", err)
	}
	var fields []string
	for _, p := range bad.Problems {
		fields = append(fields, p.Field)
	}
	if got, want := strings.Join(fields, " "), "rules[2].where.node rules[3].where.node rules[3].what.peers[0]"; got != want {
		t.Errorf("problems at %s, want %s", got, want)
	}
}
