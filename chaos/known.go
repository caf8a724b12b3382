package chaos

import (
	"fmt"
	"slices"
	"strings"
)

// Known lists the names that exist where a plan is to run. Names are not checked against a
// nil list.
type Known struct {
	Dependencies []string
	Nodes        []string
	DataCenters  []string // checked with Nodes, where a data centre stands for its nodes
	Keyspaces    []string
	Tables       []string // without their keyspaces
	// Places lists, for each dependency, the places at which it can be harmed, as values of
	// Where.Protocol. A dependency without an entry can't be harmed.
	Places map[string][]string
	// Clocks lists the entries of Places that are clocks. Only clock_skew can harm them.
	Clocks []string
}

// CheckNames returns nil, or a *PlanError for rules that name a dependency, a node, a
// data centre, a keyspace or a table that does not exist, or whose fault can't happen at any
// place of the dependencies that they name. Such a rule would silently do nothing.
func (p Plan) CheckNames(known Known) error {
	var problems []Problem
	check := func(rule int, field, pattern, noun string, names []string) {
		if pattern == "" || names == nil || slices.ContainsFunc(names, func(n string) bool { return match(pattern, n) }) {
			return
		}
		problems = append(problems, Problem{Field: fmt.Sprintf("rules[%d].%s", rule, field),
			Message: fmt.Sprintf("%q: no %s is called %q%s", p.RuleName(rule), noun, pattern, thereAre(pattern, names))})
	}
	node, nodes := "node", known.Nodes
	if known.DataCenters != nil {
		node, nodes = "node or data centre", slices.Concat(known.Nodes, known.DataCenters)
	}
	for i, r := range p.Rules {
		check(i, "where.dependency", r.Where.Dependency, "dependency", known.Dependencies)
		check(i, "where.node", r.Where.Node, node, nodes)
		for name := range strings.SplitSeq(r.Where.Keyspace, ",") { // a batch can have several
			check(i, "where.keyspace", name, "keyspace", known.Keyspaces)
		}
		for name := range strings.SplitSeq(r.Where.Table, ",") {
			check(i, "where.table", name, "table", known.Tables)
		}
		for j, peer := range r.What.Peers {
			if peer != Clients {
				check(i, fmt.Sprintf("what.peers[%d]", j), peer, node, nodes)
			}
		}
		if why := known.unreachable(r); why != "" {
			problems = append(problems, Problem{Field: fmt.Sprintf("rules[%d].what.kind", i), Message: fmt.Sprintf("%q: %s", p.RuleName(i), why)})
		}
	}
	if len(problems) > 0 {
		return NewPlanError(problems...)
	}
	return nil
}

// unreachable says why a rule can't act at any place of the dependencies that it names. It
// returns an empty text if the rule can act, or if there is no such dependency, which the
// check of names reports.
func (k Known) unreachable(r Rule) string {
	places := r.Places()
	if k.Places == nil || len(places) == 0 {
		return ""
	}
	var have []string
	meant := false
	for name, at := range k.Places {
		if !match(r.Where.Dependency, name) {
			continue
		}
		meant = true
		if (r.What.Kind == ClockSkew) != slices.Contains(k.Clocks, name) {
			continue
		}
		for _, place := range at {
			if slices.Contains(places, place) {
				return ""
			}
			have = append(have, place)
		}
	}
	if !meant {
		return ""
	}
	who := "what there is"
	if r.Where.Dependency != "" {
		who = r.Where.Dependency
	}
	switch {
	case len(have) > 0:
	case r.What.Kind == ClockSkew:
		return fmt.Sprintf("clock_skew harms clocks, and %s is none", who)
	default:
		return fmt.Sprintf("%s is a clock, which clock_skew harms, and nothing else", who)
	}
	slices.Sort(have)
	return fmt.Sprintf("this %s happens at %s, and %s can be harmed at %s only", r.What.Kind, strings.Join(places, ", "), who, strings.Join(slices.Compact(have), ", "))
}

// thereAre lists the names that exist, for the error about a name that does not exist.
func thereAre(word string, names []string) string {
	guess := suggestion(word, names)
	switch {
	case len(names) == 0:
		return "; there is none"
	case guess != "":
		return guess + " There are: " + some(names)
	}
	return "; there are: " + some(names)
}

// some lists only the first names, because nobody reads a long list.
func some(names []string) string {
	const most = 12
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
