package tcpproxy

import "github.com/backstay-go/backstay/chaos"

// hang holds bytes and the end of a direction back until the fault ends. Nothing is lost.
type hang struct{ stops }

func (hang) part(_ *pipe, _ force, _ []byte, fate *fate) bool {
	fate.hold = true
	return true
}

func (hang) finish(_ chaos.Fault, end *ending) bool {
	end.hold = true
	return true
}
