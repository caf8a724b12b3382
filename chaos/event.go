package chaos

import (
	"context"
	"time"
)

// An Event is one fault that was injected.
type Event struct {
	Time    time.Time
	Elapsed time.Duration // since the plan's start
	Rule    string
	Kind    Kind
	Delay   time.Duration // of faults that wait
	Call    Call

	_ struct{}
}

// A Listener gets an event for every injected fault.
//
// Handle is called on the goroutine that applies the fault, before the fault's wait or
// effect begins, with no lock held. Events of several goroutines may be handled at the same
// time; events of one goroutine keep their order. Handle may use the Injector. A panic in it
// does not reach the call and is counted in Stats. The context is the call's, and may
// already be done.
type Listener interface {
	Handle(ctx context.Context, e Event)
}

// ListenerFunc is a function that is a Listener.
type ListenerFunc func(ctx context.Context, e Event)

// Handle calls f.
func (f ListenerFunc) Handle(ctx context.Context, e Event) { f(ctx, e) }
