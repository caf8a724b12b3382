package cqlproxy

import "github.com/backstay-go/backstay/chaos"

// unprepared answers as a node that has forgotten the statement.
type unprepared struct{ noEffect }

func (unprepared) fits(_ *relay, r *request, _ chaos.Where) bool { return r.prepared != nil }

func (unprepared) instead(l *relay, _ frame, m *mark, fault chaos.Fault) bool {
	return l.refused(m, fault, "unprepared")
}
