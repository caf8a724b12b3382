package cqlproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// An effect is what one kind of fault does to requests and their answers. Each kind has a
// file; it embeds noEffect, which does nothing, and implements only the methods that it
// needs. An effect keeps no state. Latency has no effect here, because waits are handled
// separately, by whether they act before or after the node.
type effect interface {
	// fits says whether the fault of a rule can happen to a request, and whether the rule
	// means requests of its sort.
	fits(*relay, *request, chaos.Where) bool
	// lasts returns how long the fault waits, before or after the node, before it does
	// anything else. 0 means that it does not wait.
	lasts(chaos.Fault) time.Duration
	// instead acts instead of sending the request. It returns false if the request must be
	// sent.
	instead(l *relay, f frame, m *mark, fault chaos.Fault) bool
	// sending acts when the request is sent. With pause, nothing more is then read from the
	// client for the fault's delay.
	sending(l *relay, f frame, m *mark) (pause bool)
	// answer acts on the answer, and returns what is passed on, or nil.
	answer(l *relay, f frame, m *mark, fault chaos.Fault) frame
}

// effects has every kind of fault that acts on CQL, except latency.
var effects = map[chaos.Kind]effect{
	chaos.CQLError:      cqlError{},
	chaos.Corrupt:       corrupt{},
	chaos.Drop:          drop{},
	chaos.DropReply:     dropReply{},
	chaos.DropRequest:   dropRequest{},
	chaos.ExecuteTwice:  executeTwice{},
	chaos.Hang:          hang{},
	chaos.HeartbeatLoss: heartbeatLoss{},
	chaos.Overloaded:    overloaded{},
	chaos.PauseReads:    pauseReads{},
	chaos.Reset:         reset{},
	chaos.StaleAnswer:   staleAnswer{},
	chaos.Truncate:      truncate{},
	chaos.Unprepared:    unprepared{},
	chaos.WrongStream:   wrongStream{},
}

// effectOf returns the effect of a fault.
func effectOf(f *chaos.Fault) effect { return effects[f.What.Kind] }

// noEffect is an effect that does nothing.
type noEffect struct{}

func (noEffect) fits(_ *relay, r *request, w chaos.Where) bool          { return r.meant(w) }
func (noEffect) lasts(chaos.Fault) time.Duration                        { return 0 }
func (noEffect) instead(*relay, frame, *mark, chaos.Fault) bool         { return false }
func (noEffect) sending(*relay, frame, *mark) bool                      { return false }
func (noEffect) answer(_ *relay, f frame, _ *mark, _ chaos.Fault) frame { return f }

// before reports whether a fault acts before the request is carried out.
func before(f *chaos.Fault) bool {
	if f.What.At == "" {
		return f.What.Direction != chaos.Downstream
	}
	return f.What.At != "after"
}
