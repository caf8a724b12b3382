package chaos_test

import (
	"errors"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// TestRulesThatCouldDoNothingAreRefused checks plans against what there is: a store behind
// a proxy that reads its protocol, and a service behind HTTP.
func TestRulesThatCouldDoNothingAreRefused(t *testing.T) {
	known := chaos.Known{
		Dependencies: []string{"store", "catalog", "clock"}, Nodes: []string{"node1"}, DataCenters: []string{"dc1"}, Keyspaces: []string{"k"}, Tables: []string{"streams"},
		Places: map[string][]string{"store": {chaos.CQL, chaos.Node}, "catalog": {chaos.HTTP}, "clock": {chaos.InProcess}}, Clocks: []string{"clock"},
	}
	for name, c := range map[string]struct {
		where chaos.Where
		what  chaos.What
		want  string // empty: it is fine
	}{
		"names and places that are there": {chaos.Where{Dependency: "store", Node: "node1", Keyspace: "k", Table: "streams"}, chaos.What{Kind: chaos.DropReply}, ""},
		"at one of its places":            {chaos.Where{Dependency: "store"}, chaos.What{Kind: chaos.Latency, Delay: 1}, ""},
		"a pattern that fits one":         {chaos.Where{Dependency: "*"}, chaos.What{Kind: chaos.Status, Status: 500}, ""},
		"everything":                      {chaos.Where{}, chaos.What{Kind: chaos.Kill}, ""},
		"a dependency":                    {chaos.Where{Dependency: "catalogue"}, chaos.What{Kind: chaos.Status, Status: 500}, `rules[0].where.dependency: "harm": no dependency is called "catalogue"; did you mean "catalog"? There are: store, catalog, clock`},
		"a node":                          {chaos.Where{Node: "node2"}, chaos.What{Kind: chaos.Kill}, `rules[0].where.node: "harm": no node or data centre is called "node2"; did you mean "node1"? There are: node1, dc1`},
		"a keyspace":                      {chaos.Where{Keyspace: "q"}, chaos.What{Kind: chaos.DropReply}, `rules[0].where.keyspace: "harm": no keyspace is called "q"; there are: k`},
		"one table of a batch":            {chaos.Where{Table: "streams,commits"}, chaos.What{Kind: chaos.DropReply}, `rules[0].where.table: "harm": no table is called "commits"; there are: streams`},
		"a place of another dependency":   {chaos.Where{Dependency: "catalog"}, chaos.What{Kind: chaos.Kill}, `rules[0].what.kind: "harm": this kill happens at node, and catalog can be harmed at http only`},
		"a place that it names":           {chaos.Where{Dependency: "catalog", Protocol: chaos.TCP}, chaos.What{Kind: chaos.Reset}, `rules[0].what.kind: "harm": this reset happens at tcp, and catalog can be harmed at http only`},
		"a clock":                         {chaos.Where{Dependency: "clock"}, chaos.What{Kind: chaos.ClockSkew, Skew: time.Hour}, ""},
		"any clock":                       {chaos.Where{}, chaos.What{Kind: chaos.ClockSkew, Skew: time.Hour}, ""},
		"the clock of a store":            {chaos.Where{Dependency: "store"}, chaos.What{Kind: chaos.ClockSkew, Skew: time.Hour}, `rules[0].what.kind: "harm": clock_skew harms clocks, and store is none`},
		"a clock that is slow":            {chaos.Where{Dependency: "clock"}, chaos.What{Kind: chaos.Latency, Delay: time.Hour}, `rules[0].what.kind: "harm": clock is a clock, which clock_skew harms, and nothing else`},
		"a place of nothing":              {chaos.Where{}, chaos.What{Kind: chaos.Panic}, `rules[0].what.kind: "harm": this panic happens at process, and what there is can be harmed at cql, http, node only`},
	} {
		t.Run(name, func(t *testing.T) {
			plan := chaos.Plan{Rules: []chaos.Rule{{Name: "harm", Where: c.where, What: c.what}}}
			err := plan.CheckNames(known)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (!errors.Is(err, chaos.ErrPlan) || err.Error() != "plan: "+c.want):
				t.Errorf("error is %v\nwant     plan: %s", err, c.want)
			}
			if err := plan.CheckNames(chaos.Known{}); err != nil {
				t.Errorf("where nothing is known: %v", err)
			}
		})
	}
}
