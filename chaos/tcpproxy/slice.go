package tcpproxy

import "github.com/backstay-go/backstay/chaos"

// slice writes bytes in small portions, with a pause between those of one read.
type slice struct{ noEffect }

func (slice) pace(f chaos.Fault, _ uint64, p *pace) bool {
	p.slice, p.vary, p.pause, p.sliced = f.What.ChunkBytes, f.What.ChunkVary, f.What.Delay, f
	return true
}
