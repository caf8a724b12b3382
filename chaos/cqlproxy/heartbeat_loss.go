package cqlproxy

import "github.com/backstay-go/backstay/chaos"

// heartbeatLoss loses the requests by which drivers ask whether the node is there.
type heartbeatLoss struct{ dropRequest }

func (heartbeatLoss) fits(l *relay, r *request, _ chaos.Where) bool {
	return r.op == opOptions && l.started
}
