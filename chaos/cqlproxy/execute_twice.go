package cqlproxy

// executeTwice sends the request once more when it is answered; the first answer is the
// client's.
type executeTwice struct{ noEffect }

func (executeTwice) sending(l *relay, f frame, m *mark) bool {
	l.report(m)
	m.effect, m.again = nil, f.clone()
	return false
}
