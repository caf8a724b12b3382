package cqlproxy

import "github.com/backstay-go/backstay/chaos"

// staleAnswer answers a read with an earlier answer to the same read. If there is none, the
// request passes, and its answer is stored.
type staleAnswer struct{ noEffect }

func (staleAnswer) fits(_ *relay, r *request, _ chaos.Where) bool {
	return r.statement.operation == "SELECT" && r.same != ""
}

func (staleAnswer) instead(l *relay, f frame, m *mark, _ chaos.Fault) bool {
	old, ok := l.proxy.stale.find(m.record)
	if !ok {
		m.effect = nil
		return false
	}
	l.report(m)
	l.later(m, old.onStream(f.stream()))
	return true
}
