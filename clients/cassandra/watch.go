package cassandra

import (
	"context"
	"sync"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

// ping is a request that a node answers by itself and at once.
var ping = driver.Request{
	Statements:  []driver.Statement{{CQL: "SELECT key FROM system.local"}},
	Consistency: uint16(LocalOne), PageSize: 1,
}

// watch looks for nodes that have fallen silent, until the session ends. A request
// tells that only when its own timeout is over, and by then many others wait there,
// too; a node that owes an answer for long is asked something that takes no time, and if
// it leaves that open as well, callers go elsewhere until it answers a ping. Connections
// that are silent, or have too many requests without an answer, are replaced here too.
func (s *Session) watch() {
	var pings sync.WaitGroup
	defer pings.Wait()
	tick := time.NewTicker(max(s.config.QuietLimit/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		l := s.link.Load()
		l.nodes.Renew()
		for _, n := range l.nodes.Doubtful() {
			pings.Go(func() { s.ping(l, n) })
		}
	}
}

// ping asks one node. The node's record notes the result.
func (s *Session) ping(l *link, n *driver.Node) {
	ctx, cancel := context.WithTimeout(s.ctx, s.config.ConnectTimeout)
	defer cancel()
	_, _ = l.driver.Do(ctx, &ping, &driver.Call{Only: n})
}
