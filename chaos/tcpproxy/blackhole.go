package tcpproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// blackhole swallows bytes. With a delay, it closes the connection after it has swallowed
// bytes for that long, or, if it does not wait for bytes, that long after it began.
type blackhole struct{ stops }

func (blackhole) apply(r *relay, f chaos.Fault) time.Duration {
	if f.What.Delay == 0 {
		return 0
	}
	if f.What.AfterBytes == 0 {
		r.trip(f)
	}
	if !r.tripped(f) {
		return 0
	}
	if left := f.What.Delay - r.sinceTrip(f); left > 0 {
		return left
	}
	r.abort(false)
	return 0
}

func (blackhole) ended(r *relay) {
	if r.proxy.cfg.EndSwallowed {
		r.abort(false)
	}
}

func (blackhole) part(p *pipe, f force, _ []byte, fate *fate) bool {
	fate.swallow = true
	if f.What.Delay > 0 {
		p.relay.trip(f.Fault)
	}
	return true
}
