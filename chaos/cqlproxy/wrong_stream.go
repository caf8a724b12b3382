package cqlproxy

import "github.com/backstay-go/backstay/chaos"

// wrongStream answers on a stream that nobody waits on, or somebody else.
type wrongStream struct{ noEffect }

func (wrongStream) answer(_ *relay, f frame, _ *mark, fault chaos.Fault) frame {
	const ids = 1 << 15
	return f.onStream(int16((int(f.stream()) + 1 + fault.Pick(0, ids-1)) % ids))
}
