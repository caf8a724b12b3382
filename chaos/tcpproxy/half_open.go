package tcpproxy

import "github.com/backstay-go/backstay/chaos"

// halfOpen is a peer that is gone without a word: bytes are lost, and the end is held
// back.
type halfOpen struct{ stops }

func (halfOpen) part(_ *pipe, _ force, _ []byte, fate *fate) bool {
	fate.swallow = true
	return true
}

func (halfOpen) finish(_ chaos.Fault, end *ending) bool {
	end.hold = true
	return true
}
