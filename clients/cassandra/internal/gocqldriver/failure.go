package gocqldriver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"runtime"
	"strings"
	"syscall"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/gocql/gocql"
)

// causes maps the protocol's codes that need no further details.
var causes = map[int]driver.Cause{
	gocql.ErrCodeServer:          driver.Server,
	gocql.ErrCodeProtocol:        driver.Protocol,
	gocql.ErrCodeCredentials:     driver.Credentials,
	gocql.ErrCodeUnavailable:     driver.Unavailable,
	gocql.ErrCodeOverloaded:      driver.Overloaded,
	gocql.ErrCodeBootstrapping:   driver.Bootstrapping,
	gocql.ErrCodeTruncate:        driver.Truncate,
	gocql.ErrCodeWriteTimeout:    driver.WriteTimeout,
	gocql.ErrCodeReadTimeout:     driver.ReadTimeout,
	gocql.ErrCodeReadFailure:     driver.ReadFailure,
	gocql.ErrCodeFunctionFailure: driver.FunctionFailure,
	gocql.ErrCodeWriteFailure:    driver.WriteFailure,
	gocql.ErrCodeCDCWriteFailure: driver.CDCWriteFailure,
	gocql.ErrCodeCASWriteUnknown: driver.CASUnknown,
	gocql.ErrCodeSyntax:          driver.Syntax,
	gocql.ErrCodeUnauthorized:    driver.Unauthorized,
	gocql.ErrCodeInvalid:         driver.Invalid,
	gocql.ErrCodeConfig:          driver.BadConfig,
	gocql.ErrCodeAlreadyExists:   driver.AlreadyExists,
	gocql.ErrCodeUnprepared:      driver.Unprepared,
}

// failure translates the driver's error.
func failure(err error) *driver.Failure {
	f := &driver.Failure{Cause: driver.Client, Code: -1, Message: err.Error(), Err: err}
	var re gocql.RequestError
	if errors.As(err, &re) {
		f.Code, f.Message = re.Code(), re.Message()
		if cause, ok := causes[f.Code]; ok {
			f.Cause = cause
		} else {
			f.Cause = driver.Server
		}
		facts(re, f)
		f.Err = nil
		return f
	}
	var netErr net.Error
	var protocol gocql.ErrProtocol
	var ours bindError
	switch {
	case errors.As(err, &ours):
		f.Message, f.Err = ours.Error(), ours.error
	case errors.Is(err, errUnprepared):
		f.Cause, f.Message, f.Err = driver.Unprepared, errUnprepared.Error(), nil
	case errors.Is(err, errNoApplied):
		f.Cause, f.Err = driver.Protocol, nil
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, gocql.ErrTimeoutNoResponse), errors.Is(err, gocql.ErrTooManyTimeouts):
		f.Cause = driver.TimedOut
	case errors.Is(err, context.Canceled):
		f.Cause = driver.Canceled
	case errors.Is(err, gocql.ErrNoConnections), errors.Is(err, gocql.ErrNoConnectionsStarted), errors.Is(err, gocql.ErrNoHosts),
		errors.Is(err, gocql.ErrHostQueryFailed):
		f.Cause = driver.NoConnections
	case errors.Is(err, gocql.ErrNoStreams):
		f.Cause = driver.NoStreams
	case errors.Is(err, gocql.ErrSessionClosed):
		f.Cause = driver.Closed
	case errors.Is(err, gocql.ErrKeyspaceDoesNotExist), errors.Is(err, gocql.ErrTooManyStmts), errors.Is(err, gocql.ErrUseStmt):
		f.Cause = driver.Invalid
	case errors.As(err, &protocol), errors.Is(err, gocql.ErrFrameTooBig):
		f.Cause = driver.Protocol
	case errors.Is(err, gocql.ErrConnectionClosed), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, io.ErrClosedPipe), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &netErr):
		f.Cause = driver.Disconnected
	case strings.Contains(f.Message, "no host") || strings.Contains(f.Message, "unable to connect") || strings.Contains(f.Message, "unable to dial"):
		// Failures to connect arrive only as text, because the driver formats them with
		// %v.
		f.Cause = driver.NoConnections
	}
	if f.Err == err && !standard(err) {
		f.Err = nil
	}
	return f
}

// standard reports whether an error has a meaning outside the driver. No type of the
// driver crosses the seam.
func standard(err error) bool {
	var netErr net.Error
	var errno syscall.Errno
	return errors.As(err, &netErr) || errors.As(err, &errno) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// facts copies the details that the error's type has.
func facts(err gocql.RequestError, f *driver.Failure) {
	switch e := err.(type) {
	case *gocql.RequestErrUnavailable:
		f.Consistency, f.Required, f.Alive = uint16(e.Consistency), e.Required, e.Alive
	case *gocql.RequestErrWriteTimeout:
		f.Consistency, f.Received, f.Required, f.WriteType = uint16(e.Consistency), e.Received, e.BlockFor, e.WriteType
	case *gocql.RequestErrWriteFailure:
		f.Consistency, f.Received, f.Required, f.WriteType = uint16(e.Consistency), e.Received, e.BlockFor, e.WriteType
		f.Failures, f.Reasons = e.NumFailures, e.ErrorMap
	case *gocql.RequestErrReadTimeout:
		f.Consistency, f.Received, f.Required, f.DataPresent = uint16(e.Consistency), e.Received, e.BlockFor, e.DataPresent != 0
	case *gocql.RequestErrReadFailure:
		f.Consistency, f.Received, f.Required, f.DataPresent = uint16(e.Consistency), e.Received, e.BlockFor, e.DataPresent
		f.Failures, f.Reasons = e.NumFailures, e.ErrorMap
	case *gocql.RequestErrCASWriteUnknown:
		f.Consistency, f.Received, f.Required = uint16(e.Consistency), e.Received, e.BlockFor
	}
}

// clientFailure is an error of the client itself: the cluster is not at fault, and the
// text may be shown.
func clientFailure(err error) error {
	return &driver.Failure{Cause: driver.Client, Code: -1, Message: err.Error(), Err: err}
}

// countsWords are the driver's words for a wrong number of values.
var countsWords = regexp.MustCompile(`expected \d+ values send got \d+`)

// panicText returns what may be shown of a panic. The runtime's own words contain no
// values.
func panicText(p any) string {
	if err, ok := p.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("a %T", p)
}
