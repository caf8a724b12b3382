package tcpproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// slowAccept makes new connections wait before the upstream is dialed.
type slowAccept struct{ noEffect }

func (slowAccept) admit(r *relay, f chaos.Fault) (time.Duration, bool) {
	r.report(f)
	return f.Delay, false
}
