package driver

import (
	"context"
	"time"
)

// Session is a driver's connection pool to one cluster. It is safe for concurrent
// use. It must not retry, speculate, or take a node out of use by itself. A panic
// must not cross it.
type Session interface {
	// Do sends one request and returns its first, or next, page. The error is a
	// *Failure. It returns when the context ends, even if no answer has come.
	Do(ctx context.Context, r *Request, call *Call) (Page, error)
	// Close ends all connections and returns when the driver has let go of them.
	Close()
}

// Request is one request: a statement or a batch. It is not changed once it was
// handed over; several attempts may read it at the same time.
type Request struct {
	// Statements holds one statement, or a batch's.
	Statements []Statement
	// Batch says that this is a batch, and of which kind.
	Batch BatchKind
	// Conditional says that the answer is a conditional write's: its metadata is not
	// the prepared one's.
	Conditional bool
	// Consistency and Serial are the protocol's codes; Serial zero: not sent.
	Consistency, Serial uint16
	// PageSize in rows; zero: the server's choice.
	PageSize int
	// PageState continues a result.
	PageState []byte
	// Timestamp in microseconds since 1970; zero: the driver's clock.
	Timestamp int64
	// Trace asks the server to trace the request.
	Trace bool
}

// Statement is CQL with its bound values.
type Statement struct {
	CQL  string
	Args []any
	// Values, if not nil, gives the values in place of Args, by the names that the
	// server has for them.
	Values func(names []string) ([]any, error)
	// Check, if not nil, may refuse the statement by what its preparation says about its
	// values, before it is sent.
	Check func(params []Column) error
}

// BatchKind is the kind of batch, the protocol's code plus one.
type BatchKind uint8

// The kinds of batch.
const (
	NoBatch BatchKind = iota
	Logged
	Unlogged
	Counter
)

// Column describes one column of a result, or one value of a statement. Type is as CQL
// writes it.
type Column struct {
	Keyspace, Table, Name, Type string
}

// Page is one page of a result. It is not safe for concurrent use.
type Page interface {
	// Columns describes the result; none for a statement without one.
	Columns() []Column
	// Rows is the number of rows on the page.
	Rows() int
	// Next moves one row into dest, as many as there are columns; false at the end
	// or on an error, which Err tells.
	Next(dest ...any) bool
	// NextMap moves one row into the map; values there that are pointers are scanned into.
	NextMap(into map[string]any) bool
	// Row moves one row into a map that it makes, null as nil; false as with Next. The row
	// of a batch's answer may not be changed. Of a conditional write's answer, what can't be
	// read is left out.
	Row() (row map[string]any, ok bool)
	// Err is the first error of Next, NextMap and Row.
	Err() error
	// State continues the result; empty on the last page.
	State() []byte
	// Coordinator is the node that answered, "" if not known.
	Coordinator() string
	// Warnings are the server's.
	Warnings() []string
	// TraceID of a traced request.
	TraceID() []byte
}

// Config is what a driver needs to connect.
type Config struct {
	Hosts    []string
	Port     int
	Keyspace string
	LocalDC  string
	// RemoteDCs says that calls may name another data centre than LocalDC.
	RemoteDCs bool
	Username  string
	Password  string
	// Credentials returns a name and a password for a connection that is opened, in place
	// of Username and Password. Nil: these.
	Credentials func(context.Context) (username, password string, err error)
	// Authenticators are classes of the server that may be shown the password besides
	// those that the driver knows.
	Authenticators []string
	Connections    int
	ConnectTimeout time.Duration
	// RequestTimeout bounds what no attempt bounds: heartbeats, preparing.
	RequestTimeout time.Duration
	Heartbeat      time.Duration
	// Nodes is the registry that the driver reports to and asks about nodes.
	Nodes *Nodes
	// Payload returns the custom payload of a request that is about to be sent, by its
	// context. Nil: none.
	Payload func(context.Context) map[string][]byte
	// Log gets the driver's own log lines.
	Log func(text string)
}
