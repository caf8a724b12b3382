package tcpproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// down resets new connections and open ones.
type down struct{ refuse }

func (down) apply(r *relay, f chaos.Fault) time.Duration {
	r.report(f)
	r.abort(true)
	return 0
}
