package cqlproxy

import "github.com/backstay-go/backstay/chaos"

// dropRequest loses the request; nothing answers it.
type dropRequest struct{ noEffect }

func (dropRequest) instead(l *relay, _ frame, m *mark, _ chaos.Fault) bool {
	l.report(m)
	return true
}
