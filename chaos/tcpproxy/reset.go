package tcpproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// reset ends the connection with an RST: at once, after a delay, or when the bytes arrive
// that it waits for. Those bytes never pass.
type reset struct{ stops }

func (reset) apply(r *relay, f chaos.Fault) time.Duration {
	if triggered(f) {
		if f.What.Delay == 0 || !r.tripped(f) {
			return 0
		}
	} else {
		r.trip(f)
	}
	if left := f.What.Delay - r.sinceTrip(f); left > 0 {
		return left
	}
	r.abort(true)
	return 0
}

func (reset) part(p *pipe, f force, _ []byte, fate *fate) bool {
	switch {
	case f.What.Delay == 0:
		fate.abort, fate.reset = true, true
	case triggered(f.Fault):
		p.relay.trip(f.Fault)
		fate.hold = true
	default:
		return false // bytes pass until it comes
	}
	return true
}

// triggered reports whether a fault that ends a connection waits for bytes: for a number of
// them, or for the next ones in a direction.
func triggered(f chaos.Fault) bool { return f.What.AfterBytes > 0 || f.What.Direction != "" }
