package driver

import (
	"context"
	"time"
)

// Session is a driver's connection pool to one cluster. It is safe for concurrent use.
// It must not retry, speculate, or stop using a node by its own decision. No panic may
// cross it.
type Session interface {
	// Do sends one request and returns one page: the first, or the one after PageState.
	// The error is a *Failure. Do returns when the context ends, even if no answer has
	// come.
	Do(ctx context.Context, r *Request, call *Call) (Page, error)
	// Close ends all connections. It returns when the driver has released them.
	Close()
}

// Request is one request: a statement or a batch. It must not be changed after it was
// handed over, because several attempts may read it at the same time.
type Request struct {
	// Statements holds one statement, or those of a batch.
	Statements []Statement
	// Batch is the kind of the batch; zero if this is not a batch.
	Batch BatchKind
	// Conditional says that this is a conditional write. The metadata of its answer
	// differs from that of the prepared statement.
	Conditional bool
	// Consistency and Serial are the protocol's codes. A zero Serial is not sent.
	Consistency, Serial uint16
	// PageSize is in rows. Zero: the server chooses.
	PageSize int
	// PageState continues a result.
	PageState []byte
	// Timestamp is in microseconds since 1970. Zero: the driver's clock.
	Timestamp int64
	// Trace asks the server to trace the request.
	Trace bool
}

// Statement is CQL with its bound values.
type Statement struct {
	CQL  string
	Args []any
	// Values, if not nil, returns the values, which then replace Args. It gets the
	// names that the server has for them.
	Values func(names []string) ([]any, error)
	// Check, if not nil, may refuse the statement before it is sent, by what its
	// preparation reports about its values.
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

// Column describes one column of a result, or one value of a statement. Type is written
// as in CQL.
type Column struct {
	Keyspace, Table, Name, Type string
}

// Page is one page of a result. It is not safe for concurrent use.
type Page interface {
	// Columns describes the result. It is empty for a statement without a result.
	Columns() []Column
	// Rows is the number of rows on the page.
	Rows() int
	// Next scans one row into dest, one pointer per column. It returns false at the end
	// and on an error, which Err returns.
	Next(dest ...any) bool
	// NextMap scans one row into the map. If a value in the map is a pointer, it is
	// scanned into.
	NextMap(into map[string]any) bool
	// Row returns one row as a new map, with nil for null. It returns false as Next
	// does. The row of a batch's answer must not be changed. In the answer of a
	// conditional write, values that can't be read are left out.
	Row() (row map[string]any, ok bool)
	// Err is the first error of Next, NextMap and Row.
	Err() error
	// State is the token that continues the result; empty on the last page.
	State() []byte
	// Coordinator is the node that answered, "" if not known.
	Coordinator() string
	// Warnings are those of the server.
	Warnings() []string
	// TraceID is set if the request was traced.
	TraceID() []byte
}

// Config is what a driver needs to connect.
type Config struct {
	Hosts    []string
	Port     int
	Keyspace string
	LocalDC  string
	// RemoteDCs says that calls may name a data centre other than LocalDC.
	RemoteDCs bool
	Username  string
	Password  string
	// Credentials returns a name and a password for each new connection, in place of
	// Username and Password. Nil: Username and Password are used.
	Credentials func(context.Context) (username, password string, err error)
	// Authenticators are server classes that may receive the password, in addition to
	// those that the driver knows.
	Authenticators []string
	Connections    int
	ConnectTimeout time.Duration
	// RequestTimeout bounds the requests that belong to no attempt: heartbeats and
	// preparing statements.
	RequestTimeout time.Duration
	Heartbeat      time.Duration
	// Nodes is the registry to which the driver reports, and which it asks about nodes.
	Nodes *Nodes
	// Payload returns the custom payload of a request that is about to be sent, from
	// its context. Nil: none.
	Payload func(context.Context) map[string][]byte
	// Log receives the driver's own log lines.
	Log func(text string)
}
