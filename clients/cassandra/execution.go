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
	// Profile is the name of the profile under which the request ran.
	Profile string
	// Source is Live or Hedge, or Static if another request answered in place of the
	// original one; FailedOver or Degraded says which. With Get it may also be the
	// source of a value from its options, and Age is the age of that value.
	Source resilience.Source
	Age    time.Duration
	// Consistency is the level of the result: the degraded level, if Degraded.
	Consistency Consistency
	// Degraded is true if the read failed at its own level and was answered at a lower
	// one. Cause says why.
	Degraded bool
	// FailedOver is true if the remote data centre answered in place of the local one.
	// Cause says why.
	FailedOver bool
	Cause      error
	// SchemaAgreed is for statements that change the schema: all nodes to which the
	// session is connected have the same schema. The statement waits for that within
	// the profile's Timeout. If it is false, Session.AwaitSchemaAgreement can wait
	// longer.
	SchemaAgreed bool
	// Coordinator is the node that answered.
	Coordinator string
	// Attempts is the number of attempts that were started, with hedges and without
	// degraded ones.
	Attempts int
	// Warnings are those of the server. For batches the driver does not return them.
	Warnings []string
	// TraceID is set if the request was traced.
	TraceID []byte
}

// execution is one guarded request, however often it is attempted. Attempts may
// overlap, so nothing that they read changes while it runs.
type execution struct {
	session *Session
	profile *profile
	st      *statement
	request driver.Request
	call    driver.Call
	// token is set if the request continues a result by a token that the caller gave.
	token bool
	// decision is set if something is decided on the result, so no other answer may
	// replace it.
	decision bool
	// remote is the call to the other data centre; nil if there was none. Only the
	// goroutine of the call sets it.
	remote *driver.Call
	// answerer says which request answered. Only the goroutine of the call sets it.
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

// begin begins the execution. A write has one timestamp however often it is sent. If
// each attempt had a different one, a late attempt would override what others wrote
// meanwhile.
func (x *execution) begin(ctx context.Context) {
	x.call.Caller, x.call.Begun, x.call.Repeatable = ctx, time.Now(), x.profile.Idempotent
	if x.st.write && !x.st.conditional && x.request.Timestamp == 0 {
		x.request.Timestamp = x.session.clock.next(x.call.Begun)
	}
}

// timestamps gives each write a different timestamp in microseconds since 1970. Later
// writes of the session get later timestamps.
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

// tell is send with calls of the observers, if there are any.
func (x *execution) tell(ctx context.Context, r *driver.Request, call *driver.Call, as responder) (driver.Page, error) {
	if len(x.session.config.Observers) == 0 {
		return x.send(ctx, r, call)
	}
	return x.observed(ctx, r, call, as == atLower)
}

// maxNodes is how many nodes a call may go to without using its retries and hedges. It
// goes beyond the first only if the request was certainly not processed there.
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
			f = &driver.Failure{Cause: causeOf(err), Code: -1, Message: err.Error(), Sent: true, Err: err}
		}
		if f.Cause == driver.Canceled && ctx.Err() == nil {
			// Nobody cancelled the attempt, so its connection was lost.
			lost := *f
			lost.Cause, lost.Err = driver.Disconnected, nil
			f = &lost
		}
		if now := call.Nodes(); now == before || now >= maxNodes || !elsewhere(f) || ctx.Err() != nil {
			return nil, x.judge(f)
		}
	}
}

// causeOf returns the cause of an error that the driver did not convert.
func causeOf(err error) driver.Cause {
	switch {
	case errors.Is(err, context.Canceled):
		return driver.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return driver.TimedOut
	}
	return driver.Client
}

// elsewhere reports whether the next node may get at once what this node has not begun.
func elsewhere(f *driver.Failure) bool {
	switch f.Cause {
	case driver.Bootstrapping, driver.Unprepared:
		return true
	case driver.Disconnected, driver.NoStreams:
		return !f.Sent
	}
	return false
}

// settle gives the error a kind if the call ended without an answer. A caller may have
// left an attempt before the attempt had an error, or may have left before there was an
// attempt. If a write was sent, the error says that its outcome is unknown.
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

// mayRun refuses what can't be right according to the statement's text and the profile.
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
		return x.wrong("a conditional write can't have a timestamp: the server gives it one")
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

// values returns an error if the number of values is not the number that the texts ask
// for.
func (x *execution) values() error {
	for _, s := range x.request.Statements {
		if st := x.session.known.get(s.CQL); !st.named && s.Values == nil && st.markers != len(s.Args) {
			return x.wrong(fmt.Sprintf("the statement asks for %d values and was given %d", st.markers, len(s.Args)))
		}
	}
	return nil
}

// unreadable returns the error for a row that arrived and could not be read.
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
