package tcpproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// refuse resets new connections. Open connections go on.
type refuse struct{ noEffect }

func (refuse) admit(r *relay, f chaos.Fault) (time.Duration, bool) {
	r.report(f)
	return 0, true
}
