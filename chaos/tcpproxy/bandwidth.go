package tcpproxy

import "github.com/backstay-go/backstay/chaos"

// bandwidth passes bytes at a rate, a portion each tenth of a second. Of several rates
// the lowest holds.
type bandwidth struct{ noEffect }

func (bandwidth) pace(f chaos.Fault, _ uint64, p *pace) bool {
	if p.perSecond == 0 || f.What.BytesPerS < p.perSecond {
		p.perSecond = f.What.BytesPerS
	}
	return true
}
