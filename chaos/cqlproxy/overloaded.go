package cqlproxy

import "github.com/backstay-go/backstay/chaos"

// overloaded answers as a node that has too much to do.
type overloaded struct{ noEffect }

func (overloaded) instead(l *relay, _ frame, m *mark, fault chaos.Fault) bool {
	return l.refused(m, fault, "overloaded")
}
