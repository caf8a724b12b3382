package cassandra

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

// Observer is called for each request that goes to the cluster: once for each attempt and
// once for each degraded read. Its contract:
//
//   - goroutine: that of the attempt; several attempts of one call may overlap;
//   - locks: none is held;
//   - order: RequestStarted, then RequestEnded, once each;
//   - re-entry: it may use the session;
//   - panic: it is the call's panic;
//   - context: the attempt's, which may be done at RequestEnded.
//
// Package telemetry below this one makes spans and metrics of it.
type Observer interface {
	// RequestStarted returns the context with which the request continues. Nil stands
	// for the context as given.
	RequestStarted(ctx context.Context, r *Request) context.Context
	// RequestEnded gets that context.
	RequestEnded(ctx context.Context, r *Request, a *Answer)
}

// Request describes a request to an Observer. It holds no values, neither bound ones
// nor those in a statement's text. It is a value.
type Request struct {
	// Profile is the name of the profile under which the request runs.
	Profile string
	// Keyspace is the session's keyspace, "" if it has none.
	Keyspace string
	// Operation is SELECT, INSERT and so on, or BATCH.
	Operation string
	// Table is the table as the statement names it. For a batch it is the table of all
	// its statements, or "" if there are several.
	Table string
	// Text is the statement with "?" in place of each value, at most 2000 bytes. The
	// statements of a batch are joined by "; ".
	Text string
	// BatchSize is the number of statements of a batch, 0 of a single one.
	BatchSize int
	// Consistency and SerialConsistency are the requested levels. SerialConsistency is
	// zero unless the request is conditional.
	Consistency, SerialConsistency Consistency
	// PageSize in rows.
	PageSize int
	// Idempotent is the declaration of the request's profile.
	Idempotent bool
	// Degraded is true for the second try of a read at a lower level.
	Degraded bool
	_        struct{}
}

// Answer is the result of a request.
type Answer struct {
	// Coordinator is the node that was asked, "" if none was. CoordinatorID and
	// DataCenter are that node's host id and data centre, if they are known.
	Coordinator, CoordinatorID, DataCenter string
	// Rows is the number of rows on the page.
	Rows int
	// Took is the time from sending to the answer or the error.
	Took time.Duration
	// Err is nil or an *Error.
	Err error
	_   struct{}
}

// observed sends the request and calls the observers.
func (x *execution) observed(ctx context.Context, r *driver.Request, call *driver.Call, degraded bool) (driver.Page, error) {
	observers := x.session.config.Observers
	about := x.about(r, degraded)
	contexts := make([]context.Context, len(observers))
	for i, o := range observers {
		if with := o.RequestStarted(ctx, about); with != nil {
			ctx = with
		}
		contexts[i] = ctx
	}
	start := time.Now()
	page, err := x.send(ctx, r, call)
	a := &Answer{Took: time.Since(start), Err: err}
	var e *Error
	switch {
	case err == nil:
		a.Coordinator, a.Rows = page.Coordinator(), page.Rows()
	case errors.As(err, &e):
		a.Coordinator = e.Coordinator
	}
	if n := x.session.link.Load().nodes.Find(a.Coordinator); n != nil {
		a.CoordinatorID, a.DataCenter = n.ID(), n.DC()
	}
	for i := len(observers) - 1; i >= 0; i-- {
		observers[i].RequestEnded(contexts[i], about, a)
	}
	return page, err
}

// maxTraced bounds the text of a batch in bytes.
const maxTraced = 2000

func (x *execution) about(r *driver.Request, degraded bool) *Request {
	q := &Request{
		Profile: x.profile.name, Keyspace: x.session.config.Keyspace, Consistency: Consistency(r.Consistency), SerialConsistency: Consistency(r.Serial),
		PageSize: r.PageSize, Idempotent: x.profile.Idempotent, Degraded: degraded,
	}
	var text strings.Builder
	for i, s := range r.Statements {
		st := x.session.known.get(s.CQL)
		switch {
		case i == 0:
			q.Operation, q.Table = st.operation, st.table
		case q.Table != st.table:
			q.Table = ""
		}
		if text.Len() < maxTraced {
			if i > 0 {
				text.WriteString("; ")
			}
			text.WriteString(st.traced)
		}
	}
	q.Text = text.String()
	if len(q.Text) > maxTraced {
		q.Text = strings.ToValidUTF8(q.Text[:maxTraced], "") + "..."
	}
	if r.Batch != driver.NoBatch {
		q.Operation, q.BatchSize = "BATCH", len(r.Statements)
	}
	return q
}
