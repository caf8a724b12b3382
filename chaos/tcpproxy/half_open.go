package tcpproxy

import "github.com/backstay-go/backstay/chaos"

// halfOpen behaves like a peer that has disappeared without closing the connection: bytes
// are lost, and the end of the direction is held back.
type halfOpen struct{ stops }

func (halfOpen) part(_ *pipe, _ force, _ []byte, fate *fate) bool {
	fate.swallow = true
	return true
}

func (halfOpen) finish(_ chaos.Fault, end *ending) bool {
	end.hold = true
	return true
}
