package cqlproxy

import "github.com/backstay-go/backstay/chaos"

// corrupt changes some bytes of a request or an answer.
type corrupt struct{ noEffect }

func (corrupt) instead(l *relay, f frame, m *mark, fault chaos.Fault) bool {
	if fault.What.Direction != chaos.Upstream {
		return false
	}
	l.report(m)
	m.effect = nil
	l.expect(f, m)
	l.damage(l.toNode, f, fault)
	return true
}

func (corrupt) answer(l *relay, f frame, _ *mark, fault chaos.Fault) frame {
	l.damage(l.toClient, f, fault)
	return nil
}

// damage writes a frame with some bytes changed. It does not change the bytes that contain
// the frame's length.
func (l *relay) damage(to *sink, f frame, fault chaos.Fault) {
	err := to.changed(f, func(wire []byte, head int) []byte {
		wire = append([]byte(nil), wire...)
		head = min(head, len(wire)-1)
		for i := range uint64(max(1, fault.What.Bytes)) {
			wire[head+fault.Pick(i, len(wire)-head)] ^= byte(1 + fault.Pick(i+1<<32, 255))
		}
		return wire
	})
	if err != nil {
		l.over(err)
	}
}
