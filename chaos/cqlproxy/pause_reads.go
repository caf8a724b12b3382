package cqlproxy

// pauseReads sends the request, and then reads nothing from the client for a while.
type pauseReads struct{ noEffect }

func (pauseReads) sending(l *relay, _ frame, m *mark) bool {
	l.report(m)
	return true
}
