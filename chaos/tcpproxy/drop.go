package tcpproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// drop closes the connection, either at once or when the bytes that it waits for arrive.
// Those bytes are not passed on.
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
