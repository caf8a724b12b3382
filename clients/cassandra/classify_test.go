package cassandra

import (
	"errors"
	"testing"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/backstay-go/backstay/resilience"
)

// TestWhatEachErrorMeans has a row for each cause of failure, as a node reports it of
// a plain write, and of a read.
func TestWhatEachErrorMeans(t *testing.T) {
	const (
		failure  = resilience.Failure
		ignored  = resilience.Ignored
		overload = resilience.Overload
		declared = resilience.RepeatIfIdempotent
		always   = resilience.RepeatAlways
		never    = resilience.RepeatNever
	)
	rows := []struct {
		cause   driver.Cause
		code    int
		kind    error
		breaker resilience.Outcome
		repeat  resilience.Repeat
		unknown bool // of a write
	}{
		{driver.Server, 0x0000, ErrFailed, failure, declared, true},
		{driver.Protocol, 0x000A, ErrFailed, failure, never, true},
		{driver.Credentials, 0x0100, ErrInvalid, ignored, never, false},
		{driver.Unavailable, 0x1000, ErrUnavailable, failure, declared, false},
		{driver.Overloaded, 0x1001, ErrOverloaded, overload, declared, true},
		{driver.Bootstrapping, 0x1002, ErrUnavailable, overload, always, false},
		{driver.Truncate, 0x1003, ErrFailed, failure, declared, true},
		{driver.WriteTimeout, 0x1100, ErrTimedOut, failure, declared, true},
		{driver.ReadTimeout, 0x1200, ErrTimedOut, failure, declared, false},
		{driver.ReadFailure, 0x1300, ErrFailed, failure, declared, false},
		{driver.FunctionFailure, 0x1400, ErrInvalid, ignored, never, true},
		{driver.WriteFailure, 0x1500, ErrFailed, failure, declared, true},
		{driver.CDCWriteFailure, 0x1600, ErrFailed, failure, declared, true},
		{driver.CASUnknown, 0x1700, ErrOutcomeUnknown, ignored, never, true},
		{driver.Syntax, 0x2000, ErrInvalid, ignored, never, false},
		{driver.Unauthorized, 0x2100, ErrInvalid, ignored, never, false},
		{driver.Invalid, 0x2200, ErrInvalid, ignored, never, false},
		{driver.BadConfig, 0x2300, ErrInvalid, ignored, never, false},
		{driver.AlreadyExists, 0x2400, ErrInvalid, ignored, never, false},
		{driver.Unprepared, 0x2500, ErrFailed, ignored, never, false},
		{driver.NoConnections, -1, ErrUnavailable, failure, always, false},
		{driver.NoStreams, -1, ErrUnavailable, failure, always, false},
		{driver.Disconnected, -1, ErrUnavailable, failure, declared, true},
		{driver.TimedOut, -1, ErrTimedOut, failure, declared, true},
		{driver.Canceled, -1, ErrCanceled, failure, declared, true},
		{driver.Closed, -1, ErrClosed, ignored, declared, false},
		{driver.Client, -1, ErrInvalid, ignored, declared, false},
	}
	if len(rows) != len(meanings) {
		t.Errorf("%d rows for %d causes", len(rows), len(meanings))
	}
	for _, r := range rows {
		t.Run(r.cause.String(), func(t *testing.T) {
			f := &driver.Failure{Cause: r.cause, Code: r.code, Sent: true}
			e := judge(f, &statement{write: true})
			want := resilience.Verdict{Outcome: r.breaker, Repeat: r.repeat}
			if !errors.Is(e, r.kind) || e.Verdict() != want {
				t.Errorf("write: %v, %+v; want %v, %+v", e.Kind, e.Verdict(), r.kind, want)
			}
			if r.kind != ErrOutcomeUnknown && errors.Is(e, ErrOutcomeUnknown) != r.unknown {
				t.Errorf("write: outcome unknown is %v", !r.unknown)
			}
			if e := judge(f, &statement{}); e.OutcomeUnknown {
				t.Errorf("a read has no outcome to be unknown: %v", e)
			}
			e = judge(f, &statement{write: true, conditional: true})
			if e.OutcomeUnknown && e.Verdict().Repeat != never {
				t.Errorf("an unknown conditional write would be repeated: %+v", e.Verdict())
			}
			f.Sent, f.Code = false, -1
			if e := judge(f, &statement{write: true}); e.OutcomeUnknown {
				t.Errorf("a write that never left has a known outcome: %v", e)
			}
		})
	}
}
