package cqlproxy

// executeTwice sends the request once more when the node has answered it. The client gets
// the first answer.
type executeTwice struct{ noEffect }

func (executeTwice) sending(l *relay, f frame, m *mark) bool {
	l.report(m)
	m.effect, m.again = nil, f.clone()
	return false
}
