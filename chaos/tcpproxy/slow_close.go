package tcpproxy

import "github.com/backstay-go/backstay/chaos"

// slowClose passes the end of a direction on late.
type slowClose struct{ noEffect }

func (slowClose) finish(f chaos.Fault, end *ending) bool {
	end.delay = max(end.delay, f.Delay)
	return true
}
