package cassandra

import (
	"errors"
	"fmt"
	"strings"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/backstay-go/backstay/resilience"
)

// The kinds of error. Match them with errors.Is; *Error has the details. Refusals by
// the guard itself match resilience.ErrRefused instead.
var (
	// ErrConfig: the configuration can't be used. The text names every problem.
	ErrConfig = errors.New("cassandra: bad configuration")
	// ErrNotFound: a query that expects a row got none.
	ErrNotFound = errors.New("cassandra: not found")
	// ErrUnavailable: no node could be asked, or too few replicas are alive.
	ErrUnavailable = errors.New("cassandra: unavailable")
	// ErrOverloaded: the cluster refuses work at the moment.
	ErrOverloaded = errors.New("cassandra: overloaded")
	// ErrTimedOut: no answer in time, from the coordinator or from its replicas.
	ErrTimedOut = errors.New("cassandra: timed out")
	// ErrOutcomeUnknown: a write may have been done or may be done later, or never. The
	// error also matches the kind that says why.
	ErrOutcomeUnknown = errors.New("cassandra: outcome unknown")
	// ErrFailed: a node or replica failed while it worked on the request.
	ErrFailed = errors.New("cassandra: failed")
	// ErrInvalid: the request is wrong and will stay wrong, because of its syntax,
	// types or permissions, or because something does not exist or exists already.
	ErrInvalid = errors.New("cassandra: invalid")
	// ErrDiskFull: a guardrail refuses writes because disks are too full.
	ErrDiskFull = errors.New("cassandra: disk guardrail")
	// ErrCanceled: the caller went away before there was an answer.
	ErrCanceled = errors.New("cassandra: canceled")
	// ErrClosed: the session is closed.
	ErrClosed = errors.New("cassandra: session closed")
)

// Error describes the failure of one request. It is read only. It contains the
// statement's text, but no values, neither bound ones nor those in the text.
type Error struct {
	// Kind is one of this package's sentinels.
	Kind error
	// OutcomeUnknown says that a write may have been done. It then also matches
	// ErrOutcomeUnknown.
	OutcomeUnknown bool
	// Sent says that the request may have reached a node.
	Sent bool
	// Code is the protocol's error code; -1 if the error is not the server's.
	Code int
	// Message is the server's or the driver's.
	Message string
	// Statement is the CQL, of a batch that of the first statement. It is cut at 200
	// bytes, and has "?" for each value in the text.
	Statement string
	// Coordinator is the node that was asked, "" if not known.
	Coordinator string
	// Consistency is the level that the server named; zero (ANY) if it named none.
	Consistency Consistency
	// Received, Required and Alive count replicas, where the server reported them.
	Received, Required, Alive int
	// DataPresent is for read timeouts: the data itself had arrived.
	DataPresent bool
	// WriteType is for write timeouts and failures: SIMPLE, BATCH, UNLOGGED_BATCH,
	// COUNTER, BATCH_LOG, CAS, VIEW or CDC.
	WriteType string
	// Tombstones says that a read failed because it met too many tombstones.
	Tombstones bool

	verdict resilience.Verdict
	cause   *driver.Failure
}

// Error names the kind, what the server said, and the node.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Kind.Error())
	if e.OutcomeUnknown && e.Kind != ErrOutcomeUnknown {
		b.WriteString(" (outcome unknown: the write may have been done, or be done later)")
	}
	if e.Message != "" {
		b.WriteString(": ")
		b.WriteString(e.Message)
	}
	if e.WriteType != "" {
		fmt.Fprintf(&b, "; write type %s", e.WriteType)
	}
	if e.Required > 0 {
		fmt.Fprintf(&b, "; %s needs %d, %d answered, %d alive", e.Consistency, e.Required, e.Received, e.Alive)
	}
	if e.Coordinator != "" {
		b.WriteString("; coordinator ")
		b.WriteString(e.Coordinator)
	}
	if e.Statement != "" {
		b.WriteString("; in ")
		b.WriteString(e.Statement)
	}
	return b.String()
}

// Is matches the kind, and ErrOutcomeUnknown.
func (e *Error) Is(target error) bool {
	return target == e.Kind || target == ErrOutcomeUnknown && e.OutcomeUnknown
}

// Unwrap returns the driver's error, and context.DeadlineExceeded or context.Canceled
// if that is what happened.
func (e *Error) Unwrap() error {
	if e.cause == nil {
		return nil
	}
	return e.cause
}

// Verdict returns what the error means for the guard. It implements resilience.Judged.
func (e *Error) Verdict() resilience.Verdict { return e.verdict }

// errClosed is the prebuilt error of a closed session.
var errClosed = &Error{Kind: ErrClosed, Code: -1, Message: "make a new one with Connect",
	verdict: resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}}
