package cqlproxy

import "github.com/backstay-go/backstay/chaos"

// wrongStream answers on a stream on which no request, or another request, waits.
type wrongStream struct{ noEffect }

func (wrongStream) answer(_ *relay, f frame, _ *mark, fault chaos.Fault) frame {
	const ids = 1 << 15
	return f.onStream(int16((int(f.stream()) + 1 + fault.Pick(0, ids-1)) % ids))
}
