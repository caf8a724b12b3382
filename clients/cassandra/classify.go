package cassandra

import (
	"strings"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/backstay-go/backstay/resilience"
)

// meaning is what one cause of failure means.
type meaning struct {
	kind    error
	outcome resilience.Outcome
	// repeat applies to reads, and to writes that were certainly not done.
	repeat resilience.Repeat
	// done says that a write that was sent may have been done nevertheless.
	done bool
}

// meanings is the table of what each cause means. Errors that are Ignored are not
// repeated. If a node is bootstrapping or has lost a preparation, the attempt first
// goes on to another node. If the server says "not done", a write may be repeated as
// safely as a read. Contention on one partition (the timeout of a conditional write)
// says nothing about the cluster. The guard ignores a request whose caller has cancelled,
// whatever its error is; a cancellation that is left for this table is the driver's own.
var meanings = map[driver.Cause]meaning{
	driver.Server:          {ErrFailed, resilience.Failure, resilience.RepeatIfIdempotent, true},
	driver.Protocol:        {ErrFailed, resilience.Failure, resilience.RepeatNever, true},
	driver.Credentials:     {ErrInvalid, resilience.Ignored, resilience.RepeatNever, false},
	driver.Unavailable:     {ErrUnavailable, resilience.Failure, resilience.RepeatIfIdempotent, false},
	driver.Overloaded:      {ErrOverloaded, resilience.Overload, resilience.RepeatIfIdempotent, true},
	driver.Bootstrapping:   {ErrUnavailable, resilience.Overload, resilience.RepeatAlways, false},
	driver.Truncate:        {ErrFailed, resilience.Failure, resilience.RepeatIfIdempotent, true},
	driver.WriteTimeout:    {ErrTimedOut, resilience.Failure, resilience.RepeatIfIdempotent, true},
	driver.ReadTimeout:     {ErrTimedOut, resilience.Failure, resilience.RepeatIfIdempotent, false},
	driver.ReadFailure:     {ErrFailed, resilience.Failure, resilience.RepeatIfIdempotent, false},
	driver.FunctionFailure: {ErrInvalid, resilience.Ignored, resilience.RepeatNever, true},
	driver.WriteFailure:    {ErrFailed, resilience.Failure, resilience.RepeatIfIdempotent, true},
	driver.CDCWriteFailure: {ErrFailed, resilience.Failure, resilience.RepeatIfIdempotent, true},
	driver.CASUnknown:      {ErrOutcomeUnknown, resilience.Ignored, resilience.RepeatNever, true},
	driver.Syntax:          {ErrInvalid, resilience.Ignored, resilience.RepeatNever, false},
	driver.Unauthorized:    {ErrInvalid, resilience.Ignored, resilience.RepeatNever, false},
	driver.Invalid:         {ErrInvalid, resilience.Ignored, resilience.RepeatNever, false},
	driver.BadConfig:       {ErrInvalid, resilience.Ignored, resilience.RepeatNever, false},
	driver.AlreadyExists:   {ErrInvalid, resilience.Ignored, resilience.RepeatNever, false},
	driver.Unprepared:      {ErrFailed, resilience.Ignored, resilience.RepeatNever, false},
	driver.NoConnections:   {ErrUnavailable, resilience.Failure, resilience.RepeatAlways, false},
	driver.NoStreams:       {ErrUnavailable, resilience.Failure, resilience.RepeatAlways, false},
	driver.Disconnected:    {ErrUnavailable, resilience.Failure, resilience.RepeatIfIdempotent, true},
	driver.TimedOut:        {ErrTimedOut, resilience.Failure, resilience.RepeatIfIdempotent, true},
	driver.Canceled:        {ErrCanceled, resilience.Failure, resilience.RepeatIfIdempotent, true},
	driver.Closed:          {ErrClosed, resilience.Ignored, resilience.RepeatIfIdempotent, false},
	driver.Client:          {ErrInvalid, resilience.Ignored, resilience.RepeatIfIdempotent, false},
}

// refused is the meaning of error 0x000A, and of other answers for which only the
// request itself can be the reason. The request was not done, and never will be.
var refused = meaning{ErrInvalid, resilience.Ignored, resilience.RepeatNever, false}

// requestsFault reports whether the request is to blame for the server's answer. A
// token that continues a result may come from users of an API, and may be stale or
// forged. One such caller must not open the breaker for all.
func (x *execution) requestsFault(f *driver.Failure) bool {
	switch {
	case f.Code < 0:
		return false
	case f.Cause == driver.Protocol:
		return true
	}
	return f.Cause == driver.Server && (x.token || strings.Contains(f.Message, "too large for the maximum size"))
}

// judge converts what the driver reported into the error of a request.
func (x *execution) judge(f *driver.Failure) *Error {
	if !x.requestsFault(f) {
		return judge(f, x.st)
	}
	e := judgeAs(refused, f, x.st)
	if x.token {
		e.Message += "; the page state that the query was given may be stale or not one of this statement's"
	}
	return e
}

func judge(f *driver.Failure, st *statement) *Error {
	m, ok := meanings[f.Cause]
	if !ok {
		m = meanings[driver.Server]
	}
	return judgeAs(m, f, st)
}

func judgeAs(m meaning, f *driver.Failure, st *statement) *Error {
	f = redacted(f, st.literals)
	e := &Error{
		Kind: m.kind, Code: f.Code, Message: f.Message, Sent: f.Sent, Coordinator: f.Coordinator, Statement: st.shown,
		Consistency: Consistency(f.Consistency), Received: f.Received, Required: f.Required, Alive: f.Alive,
		DataPresent: f.DataPresent, WriteType: f.WriteType, cause: f,
		verdict: resilience.Verdict{Outcome: m.outcome, Repeat: m.repeat},
	}
	if f.Cause == driver.TimedOut && f.Code < 0 {
		e.Message = "no answer in time"
	}
	switch {
	case !f.Sent:
		// The request was not sent, or only its preparation failed: it was not done.
		if m.outcome == resilience.Failure || m.outcome == resilience.Overload {
			e.verdict.Repeat = resilience.RepeatAlways
		}
	case st.write:
		e.OutcomeUnknown = m.done
	}
	e.refine(f, st)
	if st.conditional && e.OutcomeUnknown {
		// A conditional write is never repeated without a check of its outcome,
		// whatever the profile says, because the second run would meet the result of
		// the first.
		e.verdict.Repeat = resilience.RepeatNever
	}
	return e
}

// Reason code 1 is READ_TOO_MANY_TOMBSTONES in protocol v5. In v4 only the text shows
// it.
func tombstones(f *driver.Failure) bool {
	for _, code := range f.Reasons {
		if code == 1 {
			return true
		}
	}
	text := strings.ToLower(f.Message)
	return strings.Contains(text, "tombstone") || strings.Contains(f.Message, "READ_TOO_MANY_TOMBSTONES")
}

// diskGuardrail recognizes the texts of Cassandra's guardrails data_disk_usage_*.
func diskGuardrail(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "disk usage") && (strings.Contains(text, "guardrail") || strings.Contains(text, "exceeds") || strings.Contains(text, "fail"))
}

// refine corrects the meaning of a cause by the facts that came with it.
func (e *Error) refine(f *driver.Failure, st *statement) {
	switch f.Cause {
	case driver.Unavailable:
		// The server reports this before it does anything. The exception is the commit
		// of a conditional write, whose error has the write's own level and not a
		// serial one.
		if st.conditional && !e.Consistency.IsSerial() {
			e.OutcomeUnknown = true
			e.verdict.Repeat = resilience.RepeatNever
		}
	case driver.WriteTimeout:
		switch {
		case !st.write:
			// A read at a serial level met contention. It may be repeated, and an
			// adaptive limit should reduce the requests that contend.
			e.verdict = resilience.Verdict{Outcome: resilience.Overload, Repeat: resilience.RepeatIfIdempotent}
		case st.conditional || f.WriteType == "CAS":
			e.verdict = resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}
		}
		if st.write && f.WriteType == "COUNTER" {
			e.verdict.Repeat = resilience.RepeatNever
		}
	case driver.ReadTimeout:
		// Too few replicas answered. Another coordinator will meet the same, unless
		// only the data itself is missing.
		if f.Received >= f.Required && !f.DataPresent {
			e.Message += " (enough replicas answered, the one with the data did not)"
		}
	case driver.ReadFailure:
		if tombstones(f) {
			e.Tombstones = true
			e.verdict = resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}
		}
	case driver.Invalid, driver.WriteFailure, driver.Server:
		if st.write && diskGuardrail(f.Message) {
			e.Kind, e.OutcomeUnknown = ErrDiskFull, f.Cause != driver.Invalid
			e.verdict = resilience.Verdict{Outcome: resilience.Overload, Repeat: resilience.RepeatNever}
		}
	}
}

// redacted returns the failure without the values of the statement's text, which the
// server may repeat in its message.
func redacted(f *driver.Failure, literals []string) *driver.Failure {
	text := f.Message
	for _, l := range literals {
		if len(l) >= 4 {
			text = strings.ReplaceAll(text, l, "?")
			continue
		}
		// A short value may be a part of the server's own words.
		for _, around := range []string{"''", `""`, "[]", "()", "<>"} {
			text = strings.ReplaceAll(text, around[:1]+l+around[1:], around[:1]+"?"+around[1:])
		}
	}
	if text == f.Message {
		return f
	}
	clean := *f
	clean.Message = text
	return &clean
}
