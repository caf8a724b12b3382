package cqlproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// fits says whether a rule's fault can happen to a request, and whether the rule means
// requests of its sort.
func (l *relay) fits(r *request, rule *chaos.Rule) bool {
	passed := l.toClient
	if rule.What.Direction == chaos.Upstream {
		passed = l.toNode
	}
	if time.Since(l.began) < rule.What.AfterUptime || passed.wrote.Load() < rule.What.AfterBytes {
		return false
	}
	if e := effects[rule.What.Kind]; e != nil {
		return e.fits(l, r, rule.Where)
	}
	return r.meant(rule.Where)
}

// meant reports whether a rule is about requests of this sort. Requests that a driver makes
// for its own purposes match only rules that name them.
func (r *request) meant(w chaos.Where) bool {
	switch {
	case !r.runs():
		return w.Operation != ""
	case r.system():
		return w.Keyspace != "" || w.Table != "" || w.Statement != ""
	}
	return true
}

// sorted divides the waits into those before and those after the node, and keeps the first
// of the other faults.
func sorted(faults []chaos.Fault) fate {
	var s fate
	for _, f := range faults {
		switch {
		case !f.What.Kind.Waits():
			if s.main == nil {
				s.main = &f
			}
		case f.What.Direction == chaos.Both && f.What.At == "":
			s.before, s.after = append(s.before, f), append(s.after, f)
		case before(&f):
			s.before = append(s.before, f)
		default:
			s.after = append(s.after, f)
		}
	}
	return s
}
