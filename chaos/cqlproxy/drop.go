package cqlproxy

import "github.com/backstay-go/backstay/chaos"

// drop closes the connection, before or after the request is carried out.
type drop struct{ noEffect }

func (drop) instead(l *relay, _ frame, m *mark, fault chaos.Fault) bool {
	if !before(&fault) {
		return false
	}
	l.report(m)
	l.abort(false)
	return true
}

func (drop) answer(l *relay, _ frame, _ *mark, _ chaos.Fault) frame {
	l.abort(false)
	return nil
}
