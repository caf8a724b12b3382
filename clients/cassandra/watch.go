package cassandra

import (
	"context"
	"sync"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

// ping is a request that a node answers at once and without other nodes.
var ping = driver.Request{
	Statements:  []driver.Statement{{CQL: "SELECT key FROM system.local"}},
	Consistency: uint16(LocalOne), PageSize: 1,
}

// watch looks for nodes that have fallen silent, until the session ends. A request
// detects that only when its own timeout is over, and by then many others wait for the
// same node. So a node that has owed an answer for long is sent a ping, which takes no
// time. If the ping is not answered either, callers use other nodes until the node
// answers one. Connections that are silent, or that have too many requests without an
// answer, are also replaced here.
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

// ping asks one node. The node's record receives the result.
func (s *Session) ping(l *link, n *driver.Node) {
	ctx, cancel := context.WithTimeout(s.ctx, s.config.ConnectTimeout)
	defer cancel()
	_, _ = l.driver.Do(ctx, &ping, &driver.Call{Only: n})
}
