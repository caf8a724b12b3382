package cluster

import (
	"errors"
	"fmt"
	"slices"

	"github.com/backstay-go/backstay/chaos"
)

// Known returns the names that rules for nodes can use, for chaos.Plan.CheckNames. Pass the
// same dependency as to Follow.
func (c Config) Known(dependency string) chaos.Known {
	c = c.withDefaults()
	known := chaos.Known{Dependencies: []string{dependency}}
	for i := range c.Nodes * c.DataCenters {
		known.Nodes = append(known.Nodes, nodeName(i))
	}
	for i := range c.DataCenters {
		known.DataCenters = append(known.DataCenters, dataCenter(i))
	}
	return known
}

// nodeName returns the name of the node with an index. The nodes of dc1 come first.
func nodeName(i int) string { return fmt.Sprintf("node%d", i+1) }

// dataCenter returns the name of the data centre with an index.
func dataCenter(i int) string { return fmt.Sprintf("dc%d", i+1) }

// call returns the call for which a plan decides the faults of a node.
func (c Config) call(dependency string, i int) chaos.Call {
	name := nodeName(i)
	return chaos.Call{Dependency: dependency, Protocol: chaos.Node, Node: name, DataCenter: dataCenter(i / c.Nodes), Identity: name, Also: ofNodes}
}

// ofNodes reports whether a rule applies to nodes.
func ofNodes(r *chaos.Rule) bool { return r.What.Kind.AppliesTo(chaos.Node) }

// CheckPlan returns nil, or a *chaos.PlanError for rules for nodes of the dependency that
// would do nothing: they name a node, a data centre or a peer that isn't there, or need what
// is switched off (Namespaces, DiskMB). It ignores rules for other dependencies and other
// places, unless all rules for nodes are for other dependencies. It can be called before
// anything is started. As a check of chaos.Load it also names the lines.
func (c Config) CheckPlan(plan chaos.Plan, dependency string) error {
	c = c.withDefaults()
	known := c.Known(dependency)
	var elsewhere, problems []chaos.Problem
	ours := false
	for i, r := range plan.Rules {
		if !ofNodes(&r) || r.Where.Protocol != "" && r.Where.Protocol != chaos.Node {
			continue
		}
		// A plan with this rule alone, at the same index.
		alone := chaos.Plan{Rules: make([]chaos.Rule, i+1)}
		alone.Rules[i] = r
		if p := misnamed(alone, chaos.Known{Dependencies: known.Dependencies}); len(p) > 0 {
			elsewhere = append(elsewhere, p...)
			continue
		}
		ours = true
		p := misnamed(alone, chaos.Known{Nodes: known.Nodes, DataCenters: known.DataCenters})
		if len(p) == 0 {
			p = c.idle(alone, i, dependency)
		}
		problems = append(problems, p...)
	}
	if !ours {
		problems = elsewhere
	}
	if len(problems) > 0 {
		return chaos.NewPlanError(problems...)
	}
	return nil
}

// misnamed returns a problem for each name in a plan that isn't known.
func misnamed(plan chaos.Plan, known chaos.Known) []chaos.Problem {
	var bad *chaos.PlanError
	if errors.As(plan.CheckNames(known), &bad) {
		return bad.Problems
	}
	return nil
}

// idle says why the rule at an index would do nothing although all its names are known.
func (c Config) idle(plan chaos.Plan, i int, dependency string) []chaos.Problem {
	problem := func(field, message string) []chaos.Problem {
		return []chaos.Problem{{Field: fmt.Sprintf("rules[%d].%s", i, field), Message: fmt.Sprintf("%q: %s", plan.RuleName(i), message)}}
	}
	r := plan.Rules[i]
	switch {
	case r.What.Kind == chaos.Partition && !c.Namespaces:
		return problem("what.kind", "the nodes share one network, which can't be parted; set Config.Namespaces")
	case r.What.Kind == chaos.DiskFull && c.DiskMB == 0:
		return problem("what.kind", "the disk is the machine's own, which nobody fills; set Config.DiskMB")
	}
	harmed, cut := 0, 0
	for n := range c.Nodes * c.DataCenters {
		if r.Matches(c.call(dependency, n)) {
			harmed++
			cut += len(c.ways(n, r.What))
		}
	}
	switch {
	case harmed == 0:
		return problem("where", "it fits no node: what distinguishes requests, like an operation or a table, has no place in a rule for nodes")
	case r.What.Kind == chaos.Partition && cut == 0:
		return problem("what.peers", "nothing is cut off: a node is not its own peer")
	}
	return nil
}

// way is a direction: from one end to another. An end is the index of a node, or machine.
type way struct{ from, to int }

// machine is the end where the clients run.
const machine = -1

func bothWays(a, b int) []way { return []way{{a, b}, {b, a}} }

// ways returns the directions that a rule's partition cuts: between a node and those of its
// peers that are there.
func (c Config) ways(node int, what chaos.What) []way {
	var all []way
	add := func(peer int) {
		if what.OneWay {
			all = append(all, way{node, peer})
		} else {
			all = append(all, bothWays(node, peer)...)
		}
	}
	for peer := range c.Nodes * c.DataCenters {
		if peer != node && what.HasPeer(nodeName(peer), dataCenter(peer/c.Nodes)) {
			add(peer)
		}
	}
	if slices.Contains(what.Peers, chaos.Clients) {
		add(machine)
	}
	return all
}
