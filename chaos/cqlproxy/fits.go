package cqlproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// fits says whether a rule's fault can happen to a request, and whether the rule means
// requests of its sort.
func (l *link) fits(r *request, rule *chaos.Rule) bool {
	kind, passed := rule.What.Kind, l.toClient
	if rule.What.Direction == chaos.Upstream {
		passed = l.toNode
	}
	if time.Since(l.began) < rule.What.AfterUptime || passed.wrote.Load() < rule.What.AfterBytes {
		return false
	}
	switch kind {
	case chaos.HeartbeatLoss:
		return r.op == opOptions && l.started
	case chaos.Unprepared:
		return r.prepared != nil
	case chaos.StaleAnswer:
		return r.statement.operation == "SELECT" && r.same != ""
	}
	w := rule.Where
	switch {
	case !r.runs():
		return w.Operation != ""
	case r.system():
		return w.Keyspace != "" || w.Table != "" || w.Statement != ""
	}
	return true
}

// sort puts waits on their sides of the node and keeps the first of the other faults.
func (l *link) sort(faults []chaos.Fault, r *request) fate {
	var sorted fate
	for _, f := range faults {
		switch {
		case f.What.Kind != chaos.Latency:
			if sorted.main == nil {
				sorted.main = &f
			}
		case f.What.Direction == chaos.Both && f.What.At == "":
			sorted.before, sorted.after = append(sorted.before, f), append(sorted.after, f)
		case before(&f):
			sorted.before = append(sorted.before, f)
		default:
			sorted.after = append(sorted.after, f)
		}
	}
	return sorted
}
