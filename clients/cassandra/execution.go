package cassandra

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/backstay-go/backstay/clients/cassandra/internal/structs"
	"github.com/backstay-go/backstay/resilience"
)

// Info describes how a result was obtained.
type Info struct {
	// Profile that the request ran under.
	Profile string
	// Source is Live, Hedge, or Static if another request answerer in: FailedOver or
	// Degraded says which. Of Get it is also what its options say, with the value's Age.
	Source resilience.Source
	Age    time.Duration
	// Consistency that the result has: the degraded level, if Degraded.
	Consistency Consistency
	// Degraded says that the read failed at its own level, and was answered at a
	// lower one. Cause is why.
	Degraded bool
	// FailedOver says that the remote data centre answered in place of the local one.
	// Cause is why.
	FailedOver bool
	Cause      error
	// SchemaAgreed says, of a statement that changes the schema, that all nodes to which the
	// session is connected have the same schema. It is waited for within the profile's
	// Timeout; if it is false, Session.AwaitSchemaAgreement waits longer.
	SchemaAgreed bool
	// Coordinator is the node that answered.
	Coordinator string
	// Attempts that were started, hedges included, degraded ones not.
	Attempts int
	// Warnings of the server. The driver keeps those of batches to itself.
	Warnings []string
	// TraceID of a traced request.
	TraceID []byte
}

// execution is one guarded request, as often as it is attempted. Nothing in it that
// attempts read changes once it runs: they may overlap.
type execution struct {
	session *Session
	profile *profile
	st      *statement
	request driver.Request
	call    driver.Call
	// token: the request continues a result by a token that the caller gave.
	token bool
	// decision: something is decided on the result, so nothing may stand in.
	decision bool
	// remote is the call to the other data centre; nil: there was none. The call's own
	// goroutine sets it.
	remote *driver.Call
	// answerer is what answered; the call's own goroutine sets it.
	answerer responder
}

// run runs the request under its guard.
func (x *execution) run(ctx context.Context) (driver.Page, Info, error) {
	var opts []resilience.CallOption[driver.Page]
	if x.profile.degraded != nil || x.profile.remote != nil {
		opts = fallbacks(x, x.tell)
	}
	x.begin(ctx)
	res, err := resilience.Do(ctx, x.profile.run, x.attempt, opts...)
	info := Info{Profile: x.profile.name, Source: res.Source, Consistency: Consistency(x.request.Consistency), Attempts: res.Attempts}
	if err != nil {
		return nil, info, x.settle(err)
	}
	if x.st.schema {
		info.SchemaAgreed = x.session.agrees(ctx, x.profile.Timeout)
	}
	info.answeredBy(x, res.Cause)
	info.Coordinator, info.Warnings, info.TraceID = res.Value.Coordinator(), res.Value.Warnings(), res.Value.TraceID()
	return res.Value, info, nil
}

// begin begins the execution. A write has one timestamp however often it is sent: with
// another one for each attempt, a late one would win over what others wrote meanwhile.
func (x *execution) begin(ctx context.Context) {
	x.call.Caller, x.call.Begun, x.call.Repeatable = ctx, time.Now(), x.profile.Idempotent
	if x.st.write && !x.st.conditional && x.request.Timestamp == 0 {
		x.request.Timestamp = x.session.clock.next(x.call.Begun)
	}
}

// timestamps gives each write a different timestamp, in microseconds since 1970, and
// later writes of the session later ones.
type timestamps struct{ last atomic.Int64 }

func (t *timestamps) next(now time.Time) int64 {
	for {
		last := t.last.Load()
		next := max(now.UnixMicro(), last+1)
		if t.last.CompareAndSwap(last, next) {
			return next
		}
	}
}

// attempt sends the request once.
func (x *execution) attempt(ctx context.Context) (driver.Page, error) {
	return x.tell(ctx, &x.request, &x.call, primary)
}

// tell is send, with observers called if there are any.
func (x *execution) tell(ctx context.Context, r *driver.Request, call *driver.Call, as responder) (driver.Page, error) {
	if len(x.session.config.Observers) == 0 {
		return x.send(ctx, r, call)
	}
	return x.observed(ctx, r, call, as == atLower)
}

// maxNodes is how many nodes a call may go to besides its retries and hedges: beyond
// the first only with what was certainly not processed there.
const maxNodes = 3

func (x *execution) send(ctx context.Context, r *driver.Request, call *driver.Call) (driver.Page, error) {
	for {
		before := call.Nodes()
		page, err := x.session.do(ctx, r, call)
		if err == nil {
			return page, nil
		}
		var f *driver.Failure
		if !errors.As(err, &f) {
			f = &driver.Failure{Cause: driver.Client, Code: -1, Message: err.Error(), Sent: true, Err: err}
		}
		if now := call.Nodes(); now == before || now >= maxNodes || !elsewhere(f) || ctx.Err() != nil {
			return nil, x.judge(f)
		}
	}
}

// elsewhere says that the next node may do at once what this one has not begun.
func elsewhere(f *driver.Failure) bool {
	switch f.Cause {
	case driver.Bootstrapping, driver.Unprepared:
		return true
	case driver.Disconnected, driver.NoStreams:
		return !f.Sent
	}
	return false
}

// settle gives the error a kind where the call ended without an answer: a caller may have
// left an attempt before it had an error, or have left before there was one. Of a write
// that was sent it says that nobody knows what came of it.
func (x *execution) settle(err error) error {
	sent := x.call.Sent() || x.remote != nil && x.remote.Sent()
	if errors.Is(err, resilience.ErrRefused) && !sent {
		return err
	}
	kind := ErrTimedOut
	switch {
	case errors.Is(err, context.Canceled):
		kind = ErrCanceled
	case !errors.Is(err, context.DeadlineExceeded):
		return err
	}
	unknown := x.st.write && sent
	var e *Error
	if errors.As(err, &e) && (!unknown || errors.Is(err, ErrOutcomeUnknown)) {
		return err
	}
	message := "the caller's context ended before an answer came"
	switch {
	case kind == ErrTimedOut && sent:
		message = "no answer in time"
	case !sent:
		message = "nothing was sent"
	}
	return &abandonedError{err: err, what: &Error{Kind: kind, OutcomeUnknown: unknown, Sent: sent, Code: -1, Message: message, Statement: x.st.shown,
		verdict: resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}}}
}

// abandonedError is the error of a call that ended without an answer.
type abandonedError struct {
	what *Error
	err  error
}

func (e *abandonedError) Error() string   { return e.what.Error() + "; " + e.err.Error() }
func (e *abandonedError) Unwrap() []error { return []error{e.what, e.err} }

// mayRun refuses what the statement's text and the profile say can't be right.
func (x *execution) mayRun() error {
	if err := x.values(); err != nil {
		return err
	}
	level := Consistency(x.request.Consistency)
	_, known := consistencyNames[level]
	switch {
	case !known || level == 0:
		return x.wrong(fmt.Sprintf("the consistency %d is none; use one of this package's constants", level))
	case x.request.Serial != 0 && !Consistency(x.request.Serial).IsSerial():
		return x.wrong(fmt.Sprintf("the serial consistency is %v; use Serial or LocalSerial", Consistency(x.request.Serial)))
	case x.st.conditional && x.request.Timestamp != 0:
		return x.wrong("a conditional write can't have a timestamp of its own: the server gives it one")
	case x.st.unrepeatable != "" && x.profile.Idempotent && x.st.write:
		return x.wrong(notIdempotent(x.profile.name, x.st.unrepeatable))
	case x.st.conditional && x.request.Serial == 0:
		return x.wrong(fmt.Sprintf("profile %q has no SerialConsistency, and the statement is conditional; set it", x.profile.name))
	}
	return nil
}

// byName takes values from a struct once the names are known.
func byName(from any) func([]string) ([]any, error) {
	return func(names []string) ([]any, error) { return structs.Values(from, names) }
}

// values refuses another number of values than the texts ask for.
func (x *execution) values() error {
	for _, s := range x.request.Statements {
		if st := x.session.known.get(s.CQL); !st.named && s.Values == nil && st.markers != len(s.Args) {
			return x.wrong(fmt.Sprintf("the statement asks for %d values and was given %d", st.markers, len(s.Args)))
		}
	}
	return nil
}

// unreadable is the error of a row that came and could not be read.
func (x *execution) unreadable(err error) error {
	var f *driver.Failure
	if !errors.As(err, &f) {
		return err
	}
	f.Sent = true
	e := x.judge(f)
	e.OutcomeUnknown = false
	return e
}

func (x *execution) wrong(message string) error {
	return &Error{Kind: ErrInvalid, Code: -1, Message: message, Statement: x.st.shown,
		verdict: resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}}
}
