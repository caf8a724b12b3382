package cqlproxy

import "github.com/backstay-go/backstay/chaos"

// cqlError answers with an error of the protocol, before or after the request is carried
// out.
type cqlError struct{ noEffect }

func (cqlError) instead(l *relay, _ frame, m *mark, fault chaos.Fault) bool {
	return l.refused(m, fault, fault.What.Code)
}

func (cqlError) answer(_ *relay, _ frame, m *mark, fault chaos.Fault) frame {
	return newError(m.request, fault, fault.What.Code)
}

// refused answers a request with an error instead of sending it, unless the fault acts
// after the request.
func (l *relay) refused(m *mark, fault chaos.Fault, name string) bool {
	if !before(&fault) {
		return false
	}
	l.report(m)
	l.later(m, newError(m.request, fault, name))
	return true
}
