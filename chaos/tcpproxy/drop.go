package tcpproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// drop closes the connection: at once, or instead of passing on the bytes that it waits
// for.
type drop struct{ stops }

func (drop) apply(r *relay, f chaos.Fault) time.Duration {
	if !triggered(f) {
		r.report(f)
		r.abort(false)
	}
	return 0
}

func (drop) part(_ *pipe, _ force, _ []byte, fate *fate) bool {
	fate.abort = true
	return true
}
