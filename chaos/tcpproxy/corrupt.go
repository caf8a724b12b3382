package tcpproxy

// corrupt changes some bytes of each read.
type corrupt struct{ noEffect }

func (corrupt) part(p *pipe, f force, b []byte, _ *fate) bool {
	n := max(1, f.What.Bytes)
	for i := range n {
		b[f.Pick(p.drawn+uint64(i), len(b))] ^= byte(1 + f.Pick(p.drawn+uint64(i)+1<<32, 255))
	}
	p.drawn += uint64(n)
	return true
}
