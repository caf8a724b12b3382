package tcpproxy

import "github.com/backstay-go/backstay/chaos"

// latency delivers bytes late. Each read draws its own delay; order is kept.
type latency struct{ noEffect }

func (latency) pace(f chaos.Fault, draw uint64, p *pace) bool {
	p.delay += f.DelayOf(draw)
	return true
}
