package tcpproxy

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// An effect is what one kind of fault does to connections. Each kind has a file; it embeds
// noEffect, which does nothing, and implements only the methods that it needs. An effect
// keeps no state; the relay or the pipe keeps what must be remembered.
type effect interface {
	// bothWays reports whether the fault acts on both directions unless it names one. Other
	// faults act by default on the bytes that go to the client.
	bothWays() bool
	// admit decides about a new connection, before the upstream is dialed. It returns how
	// long the connection waits in all, or that it is refused.
	admit(*relay, chaos.Fault) (wait time.Duration, refuse bool)
	// apply acts on a live connection whenever its faults are evaluated. It returns the time
	// after which it must be called again; 0 means only when the plan changes.
	apply(*relay, chaos.Fault) (again time.Duration)
	// ended is called when the fault has gone from a live connection.
	ended(*relay)
	// part changes the fate of bytes that have just been read. It returns false if it does
	// not affect them. It may change the bytes in place.
	part(p *pipe, f force, b []byte, fate *fate) bool
	// pace adds the fault's delays to bytes that wait to be written. It returns false if
	// they need not wait. draw is the number of the delay that they drew.
	pace(f chaos.Fault, draw uint64, pace *pace) bool
	// finish adds the fault's effect on the end of a direction. It returns false if there is
	// none.
	finish(f chaos.Fault, end *ending) bool
}

// effects has every kind of fault that acts on TCP.
var effects = map[chaos.Kind]effect{
	chaos.Bandwidth:       bandwidth{},
	chaos.Blackhole:       blackhole{},
	chaos.ConnectionLimit: connectionLimit{},
	chaos.Corrupt:         corrupt{},
	chaos.Down:            down{},
	chaos.Drop:            drop{},
	chaos.HalfOpen:        halfOpen{},
	chaos.Hang:            hang{},
	chaos.Latency:         latency{},
	chaos.Refuse:          refuse{},
	chaos.Reset:           reset{},
	chaos.Slice:           slice{},
	chaos.SlowAccept:      slowAccept{},
	chaos.SlowClose:       slowClose{},
	chaos.Truncate:        truncate{},
}

// force is a fault that is in force on a connection.
type force struct {
	chaos.Fault
	effect effect
}

// forces pairs the faults with their effects.
func forces(faults []chaos.Fault) []force {
	all := make([]force, 0, len(faults))
	for _, f := range faults {
		if e := effects[f.What.Kind]; e != nil {
			all = append(all, force{f, e})
		}
	}
	return all
}

// noEffect is an effect that does nothing.
type noEffect struct{}

func (noEffect) bothWays() bool                                  { return false }
func (noEffect) admit(*relay, chaos.Fault) (time.Duration, bool) { return 0, false }
func (noEffect) apply(*relay, chaos.Fault) time.Duration         { return 0 }
func (noEffect) ended(*relay)                                    {}
func (noEffect) part(*pipe, force, []byte, *fate) bool           { return false }
func (noEffect) pace(chaos.Fault, uint64, *pace) bool            { return false }
func (noEffect) finish(chaos.Fault, *ending) bool                { return false }

// stops is embedded by effects that stop a connection, because they act in both directions.
type stops struct{ noEffect }

func (stops) bothWays() bool { return true }

// fate says what happens to bytes that were read. The zero value passes them on.
type fate struct {
	abort, reset bool // the connection ends at once
	hold         bool // until the faults change
	swallow      bool
	ends         bool // the connection ends after these bytes without the last cut
	cut          int
	waits        []wait // what they wait for before they are written
}

// wait is one fault that bytes wait for. It is looked up by its rule when they are
// about to be written, so that a rule that was changed or removed holds nothing.
type wait struct {
	rule   string
	begins time.Duration // of the fault's window
	draw   uint64        // number of the delay
}

// pace says when and in what portions waiting bytes are written.
type pace struct {
	delay     time.Duration // from when they came
	perSecond int64         // 0: no limit
	slice     int64         // bytes in a portion; 0: all
	vary      int64         // a portion is longer or shorter by up to this
	pause     time.Duration // between two portions
	sliced    chaos.Fault   // draws the lengths of portions
}

// ending says when the end of a direction is passed on.
type ending struct {
	delay time.Duration // from when it came
	hold  bool          // until the faults change
}
