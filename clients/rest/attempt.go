package rest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/clients/rest/internal/h1"
	"github.com/backstay-go/backstay/resilience"
)

// attempt is one request that is being sent: the context under which it runs, and what
// was observed of it. Its context has the values and the deadline of the guard's
// attempt. It ends with the guard's attempt, with the caller's context, or by cancel;
// after leave only the caller ends it. It implements context.Context itself instead of
// using three contexts of the standard library, because one is made for every request.
// Safe for concurrent use.
type attempt struct {
	guarded, caller context.Context
	trace           *listener // nil if there is nothing to listen to
	replays         replays
	balancer        *Balancer // nil if there is one address
	backend         *backend
	timeout         [1]string // the value of a header
	end1            [1]byte   // the buffer into which the end of a body is read
	number          int32     // from 1, hedges included
	hedged, raced   bool
	noHeaders       bool // no Backstay headers are sent
	observer        Observer
	unzips          bool // this package asked for a compressed answer
	retried         bool // the enclosing request is itself a repeat
	class           resilience.Criticality

	conns atomic.Int32
	// sent is set if the headers were written. unprocessed is set if the server did
	// nothing nevertheless. waited is set if the attempt ended while it waited for a
	// connection that others used.
	sent, unprocessed, waited atomic.Bool
	// seesDials is set if a Base records in dialled whether net/http has dialled for
	// this attempt.
	seesDials, dialled atomic.Bool
	// reading is when the Read that is in progress began, as an offset from epoch; 0 if
	// none is.
	reading atomic.Int64
	upload  upload

	mu   sync.Mutex
	done chan struct{} // nil until somebody asks for it
	// err and cause are set before done is closed.
	err, cause error
	conn       *h1.Conn // a pool's connection; the attempt's end closes it
	body       pooledBody
	small      bufferedBody
	first      ending
	more       []*ending
	timer      *time.Timer
	began      time.Time
	deadline   time.Time // zero if there is none
	left       time.Duration
	stall      time.Duration
	stopCaller func() bool
	stopGuard  func() bool
	silence    silence
	refusedBy  *countedConn // the last HTTP/2 connection that has refused it; nil if none has
}

// epoch is the time from which offsets are counted.
var epoch = time.Now()

// begin makes an attempt from the guard's context and the caller's. A response's body
// may live under the latter. If the base has a pool, its connections watch the
// deadline; Arm does until there is a connection.
func (a *attempt) begin(guarded, caller context.Context, of replays, pools bool) {
	a.guarded, a.caller, a.replays = guarded, caller, of
	info, _ := resilience.AttemptFrom(guarded)
	a.number, a.hedged, a.raced, a.retried, a.class = int32(info.Number), info.Hedged, info.Raced, info.Retried, info.Criticality
	// What is started here may end the attempt at once; it then waits for the lock.
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

// Cause returns why the attempt has ended; nil while it has not. It implements h1.User.
func (a *attempt) Cause() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cause
}

// causeOf returns the cause of the end, in place of an error that resulted from it.
func (a *attempt) causeOf(err error) error {
	if cause := a.Cause(); cause != nil {
		return cause
	}
	return err
}

// hold makes the end of the attempt close a connection. It reports whether there is
// time left.
func (a *attempt) hold(c *h1.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return false
	}
	a.conn = c
	due := a.deadline
	if a.timer != nil {
		due = time.Time{} // the attempt's own timer watches the deadline
	}
	c.Watch(a, due)
	return true
}

// drop reverses hold. It reports whether the connection is still open.
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

// leave detaches the attempt from the guard: from here on only the caller, or a stall,
// ends it.
func (a *attempt) leave() {
	a.mu.Lock()
	stop := a.stopGuard
	a.stopGuard, a.deadline = nil, time.Time{}
	a.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// attemptKey is the key of the attempt for which net/http sends a request or dials.
type attemptKey struct{}

// attemptOf returns the attempt of a context; nil if there is none.
func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}
