package driver

import "context"

// Cause is what went wrong, in the detail that is needed to decide what to do.
type Cause uint8

// The causes of a failure. The protocol's error codes are those of the native
// protocol's specification, section 9.
const (
	// Server: 0x0000, something unexpected happened in the server.
	Server Cause = iota
	// Protocol: 0x000A, or a frame that can't be read.
	Protocol
	// Credentials: 0x0100.
	Credentials
	// Unavailable: 0x1000, too few replicas are known to be alive.
	Unavailable
	// Overloaded: 0x1001, the coordinator refuses.
	Overloaded
	// Bootstrapping: 0x1002, the coordinator is not ready.
	Bootstrapping
	// Truncate: 0x1003.
	Truncate
	// WriteTimeout: 0x1100.
	WriteTimeout
	// ReadTimeout: 0x1200.
	ReadTimeout
	// ReadFailure: 0x1300.
	ReadFailure
	// FunctionFailure: 0x1400.
	FunctionFailure
	// WriteFailure: 0x1500.
	WriteFailure
	// CDCWriteFailure: 0x1600.
	CDCWriteFailure
	// CASUnknown: 0x1700, protocol v5.
	CASUnknown
	// Syntax: 0x2000.
	Syntax
	// Unauthorized: 0x2100.
	Unauthorized
	// Invalid: 0x2200.
	Invalid
	// BadConfig: 0x2300.
	BadConfig
	// AlreadyExists: 0x2400.
	AlreadyExists
	// Unprepared: 0x2500.
	Unprepared
	// NoConnections: no node has a connection.
	NoConnections
	// NoStreams: the connection has no stream left.
	NoStreams
	// Disconnected: the connection broke.
	Disconnected
	// TimedOut: no answer in time.
	TimedOut
	// Canceled: the caller went away.
	Canceled
	// Closed: the session is closed.
	Closed
	// Client: the request could not be built, a value could not be read.
	Client
)

// String returns the cause in words.
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return "unknown cause"
}

var causeNames = [...]string{
	Server: "server error", Protocol: "protocol error", Credentials: "bad credentials", Unavailable: "unavailable",
	Overloaded: "overloaded", Bootstrapping: "bootstrapping", Truncate: "truncate error", WriteTimeout: "write timeout",
	ReadTimeout: "read timeout", ReadFailure: "read failure", FunctionFailure: "function failure",
	WriteFailure: "write failure", CDCWriteFailure: "CDC write failure", CASUnknown: "CAS result unknown",
	Syntax: "syntax error", Unauthorized: "unauthorized", Invalid: "invalid", BadConfig: "configuration error",
	AlreadyExists: "already exists", Unprepared: "unprepared", NoConnections: "no connections",
	NoStreams: "no streams left", Disconnected: "connection broke", TimedOut: "timed out", Canceled: "canceled",
	Closed: "session closed", Client: "request can't be built or its result read",
}

// Failure is the error that a driver reports. Fields that do not belong to the cause
// are zero.
type Failure struct {
	Cause Cause
	// Code is the protocol's error code, -1 if the error is not the server's.
	Code int
	// Message is the server's or the driver's text. It holds no bound values.
	Message string
	// Coordinator is the node that was asked, "" if not known.
	Coordinator string
	// Sent says that the request may have reached a node.
	Sent bool
	// Consistency is the level that the server named, in the protocol's code.
	Consistency                         uint16
	Received, Required, Alive, Failures int
	DataPresent                         bool
	WriteType                           string
	// Reasons are the replicas' failure codes by address (protocol v5).
	Reasons map[string]uint16
	// Err is the driver's own error.
	Err error
}

// Error names the cause and the message.
func (f *Failure) Error() string {
	if f.Message == "" {
		return f.Cause.String()
	}
	return f.Cause.String() + ": " + f.Message
}

// Unwrap returns context.DeadlineExceeded or context.Canceled if that is what happened,
// so that errors.Is finds it.
func (f *Failure) Unwrap() error {
	switch f.Cause {
	case TimedOut:
		return context.DeadlineExceeded
	case Canceled:
		return context.Canceled
	}
	return f.Err
}
