package cqlproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// reset ends the connection with an RST, before or after the request is carried out.
type reset struct{ noEffect }

func (reset) lasts(f chaos.Fault) time.Duration { return f.Delay }

func (reset) instead(l *relay, _ frame, m *mark, fault chaos.Fault) bool {
	if !before(&fault) {
		return false
	}
	l.report(m)
	l.abort(true)
	return true
}

func (reset) answer(l *relay, _ frame, _ *mark, _ chaos.Fault) frame {
	l.abort(true)
	return nil
}
