package tcpproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// connectionLimit resets new connections while as many as its limit are open.
type connectionLimit struct{ noEffect }

func (connectionLimit) admit(r *relay, f chaos.Fault) (time.Duration, bool) {
	// The new one is counted as open.
	if r.proxy.stats.open.Load() <= int64(f.What.Limit) {
		return 0, false
	}
	r.report(f)
	return 0, true
}
