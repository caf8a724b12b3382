package cqlproxy

import "github.com/backstay-go/backstay/chaos"

// truncate passes the first bytes of a request or an answer on, and closes the connection.
type truncate struct{ noEffect }

func (truncate) instead(l *relay, f frame, m *mark, fault chaos.Fault) bool {
	if fault.What.Direction != chaos.Upstream {
		return false
	}
	l.report(m)
	l.cut(l.toNode, f, fault)
	return true
}

func (truncate) answer(l *relay, f frame, _ *mark, fault chaos.Fault) frame {
	l.cut(l.toClient, f, fault)
	return nil
}

// cut writes the first bytes of a frame and ends the relay. It writes half of the frame if
// the fault does not say how many bytes.
func (l *relay) cut(to *sink, f frame, fault chaos.Fault) {
	err := to.changed(f, func(wire []byte, _ int) []byte {
		n := len(wire) / 2
		if fault.What.Bytes > 0 {
			n = int(min(fault.What.Bytes, int64(len(wire)-1)))
		}
		return wire[:n]
	})
	if err != nil {
		l.over(err)
		return
	}
	l.abort(false)
}
