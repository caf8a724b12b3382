package rest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/clients/rest/internal/h1"
	"github.com/backstay-go/backstay/resilience"
)

// attempt is one request on its way: the context that it runs under, and what was
// seen of it. The context has the values and the deadline of the guard's attempt. It
// ends with it, or with the caller's own, or by cancel; after leave only the caller
// ends it. It implements context.Context itself, and does not use three of the standard
// library's, because it is made for every request. Safe for concurrent use.
type attempt struct {
	guarded, caller context.Context
	trace           *listener // nil: there is nothing to listen to
	replays         replays
	balancer        *Balancer // nil: there is one address
	backend         *backend
	timeout         [1]string // the value of a header
	end1            [1]byte   // where the end of a body is read into
	number          int32     // from 1, hedges included
	hedged, raced   bool
	noHeaders       bool // nothing of ours is sent
	observer        Observer
	unzips          bool // a compressed answer was asked for here
	retried         bool // the request around is itself a repeat
	class           resilience.Criticality

	conns atomic.Int32
	// sent: the headers were written. unprocessed: and yet the server did nothing.
	// waited: the attempt ended while it waited for a connection in use by others.
	sent, unprocessed, waited atomic.Bool
	// seesDials: a Base notes in dialled whether net/http has dialled for this attempt.
	seesDials, dialled atomic.Bool
	// reading is when the Read began that is under way, as an offset from epoch; 0: none.
	reading atomic.Int64
	upload  upload

	mu   sync.Mutex
	done chan struct{} // nil: nobody has asked for it
	// err and cause are set before done is closed.
	err, cause error
	conn       *h1.Conn // of a pool; the attempt's end closes it
	body       pooledBody
	small      bufferedBody
	first      ending
	more       []*ending
	timer      *time.Timer
	began      time.Time
	deadline   time.Time // zero: none
	left       time.Duration
	stall      time.Duration
	stopCaller func() bool
	stopGuard  func() bool
	silence    silence
	refusedBy  *countedConn // the last one of HTTP/2 that has; nil: none
}

// epoch is what offsets count from.
var epoch = time.Now()

// begin makes an attempt from the guard's context, and the caller's, which a
// response's body may live under. If the base pools, its connections watch the
// deadline, and Arm does until there is one.
func (a *attempt) begin(guarded, caller context.Context, of replays, pools bool) {
	a.guarded, a.caller, a.replays = guarded, caller, of
	info, _ := resilience.AttemptFrom(guarded)
	a.number, a.hedged, a.raced, a.retried, a.class = int32(info.Number), info.Hedged, info.Raced, info.Retried, info.Criticality
	// What is started here may end the attempt at once: it waits for the lock.
	a.mu.Lock()
	defer a.mu.Unlock()
	a.began = time.Now()
	if deadline, ok := guarded.Deadline(); ok {
		a.deadline, a.left = deadline, max(1, deadline.Sub(a.began))
		if !pools {
			a.timer = time.AfterFunc(a.left, a.expireByTimer)
		}
	}
	if caller.Done() != nil {
		a.stopCaller = context.AfterFunc(caller, func() { a.end(caller.Err(), context.Cause(caller)) })
	}
	if a.raced {
		a.stopGuard = context.AfterFunc(guarded, func() { a.end(guarded.Err(), context.Cause(guarded)) })
	}
}

// Began implements h1.User.
func (a *attempt) Began() time.Time { return a.began }

// Cause is the cause of the end; nil before it. It implements h1.User.
func (a *attempt) Cause() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cause
}

// causeOf is the cause of the end in place of an error that came of it.
func (a *attempt) causeOf(err error) error {
	if cause := a.Cause(); cause != nil {
		return cause
	}
	return err
}

// hold makes the attempt's end close a connection. It reports whether there is still
// time.
func (a *attempt) hold(c *h1.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return false
	}
	a.conn = c
	due := a.deadline
	if a.timer != nil {
		due = time.Time{} // that timer does it
	}
	c.Watch(a, due)
	return true
}

// drop undoes hold. It reports whether the connection was not closed.
func (a *attempt) drop() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	had := a.conn != nil
	if had {
		a.conn.Unwatch()
	}
	a.conn = nil
	return had
}

// leave takes the attempt from under the guard: from here on only the caller ends it,
// or a stall.
func (a *attempt) leave() {
	a.mu.Lock()
	stop := a.stopGuard
	a.stopGuard, a.deadline = nil, time.Time{}
	a.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// attemptKey finds the attempt that a request or a dial of net/http is for.
type attemptKey struct{}

// attemptOf is the attempt of a context; nil: there is none.
func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}
