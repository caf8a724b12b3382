package tcpproxy

// truncate closes the connection after a number of bytes in a direction, counted from
// when the fault met the connection.
type truncate struct{ noEffect }

func (truncate) part(p *pipe, f force, b []byte, fate *fate) bool {
	over := p.since(f.Fault) + int64(len(b)) - f.What.Bytes
	if over < 0 {
		return false
	}
	fate.ends, fate.cut = true, int(min(over, int64(len(b))))
	return true
}
