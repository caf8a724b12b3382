package cassandra

import (
	"context"
	"errors"
	"math/big"
	"reflect"
	"slices"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/backstay-go/backstay/resilience"
)

// Query is one statement with its values. It may be run more than once. Make it with
// Session.Query. It is not safe for concurrent use, and need not be closed.
type Query struct {
	spec
	info Info
	// once and rows are memory for the first run. Later runs allocate their own,
	// because an attempt that was left behind may still read the first.
	once single
	rows Iter
	ran  bool
}

// spec is what a query asks for. An Iter has a copy, so that a query that is bound
// again does not change the Iter's remaining pages.
type spec struct {
	session *Session
	ctx     context.Context
	profile string
	cql     string
	args    []any
	byName  any // a struct, instead of args

	consistency, serial Consistency
	pageSize            int
	pageState           []byte
	onePage             bool
	timestamp           int64
	trace, decision     bool
	frozen              bool
}

// Query returns a query for the statement and its values.
func (s *Session) Query(cql string, args ...any) *Query {
	return &Query{spec: spec{session: s, cql: cql, args: args}}
}

// WithContext sets the context of the query's requests. Without it they end only with
// the session and with the profile's timeout. It changes q and returns it.
func (q *Query) WithContext(ctx context.Context) *Query { q.ctx = ctx; return q }

// Profile names the profile under which the query runs.
func (q *Query) Profile(name string) *Query { q.profile = name; return q }

// Bind replaces the values.
func (q *Query) Bind(args ...any) *Query { q.args, q.byName = args, nil; return q }

// BindStruct takes the values from a struct, by the names in the statement: the names
// of named markers (:user_id), or of the columns to which question marks belong. Fields
// are named as Select describes.
func (q *Query) BindStruct(from any) *Query { q.args, q.byName = nil, from; return q }

// Consistency overrides the profile's level for this query.
func (q *Query) Consistency(c Consistency) *Query { q.consistency = c; return q }

// SerialConsistency overrides the profile's serial level for this query.
func (q *Query) SerialConsistency(c Consistency) *Query { q.serial = c; return q }

// PageSize overrides the profile's page size, in rows.
func (q *Query) PageSize(rows int) *Query { q.pageSize = rows; return q }

// PageState continues an earlier result (Iter.PageState). The query then reads only
// this one page.
func (q *Query) PageState(state []byte) *Query { q.pageState, q.onePage = state, true; return q }

// WithTimestamp sets the write's timestamp in microseconds since 1970.
func (q *Query) WithTimestamp(micros int64) *Query { q.timestamp = micros; return q }

// Decision declares that something is decided on the result. Then neither a lower level
// nor another data centre may answer, whatever the profile declares.
func (q *Query) Decision() *Query { q.decision = true; return q }

// Trace asks the server to trace the requests. Info has the trace id.
func (q *Query) Trace() *Query { q.trace = true; return q }

// Info describes how the last run's result was obtained. An Iter has its own for each page.
func (q *Query) Info() Info { return q.info }

// Exec runs the query and drops its rows. Use CAS or ScanCAS for a conditional write;
// they say whether it was applied.
func (q *Query) Exec() error {
	x, err := q.execution(nil)
	if err == nil && x.st.conditional {
		err = x.wrong("the write is conditional; run it with CAS, which tells whether it was applied")
	}
	if err != nil {
		return err
	}
	_, q.info, err = x.run(q.context())
	return err
}

// Scan runs the query and reads its first row into dest, one pointer per column.
// Without a row the error matches ErrNotFound.
func (q *Query) Scan(dest ...any) error {
	return q.first(func(p driver.Page) bool { return p.Next(dest...) })
}

// MapScan runs the query and reads its first row into the map, by column. Values
// there that are pointers are scanned into.
func (q *Query) MapScan(into map[string]any) error {
	return q.first(func(p driver.Page) bool { return p.NextMap(into) })
}

func (q *Query) first(read func(driver.Page) bool) error {
	it := q.Iter()
	ok := it.advance(read)
	q.info = it.info
	switch {
	case ok:
		return nil
	case it.err != nil:
		return it.err
	}
	return q.notFound(q.info.Coordinator)
}

func (q *spec) notFound(coordinator string) error {
	return &Error{Kind: ErrNotFound, Code: -1, Coordinator: coordinator, Statement: q.session.known.get(q.cql).shown,
		verdict: resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}}
}

// Iter runs the query and returns its rows. Iter.Close returns the error. The Iter keeps
// the query's text, values and context as they are now.
func (q *Query) Iter() *Iter {
	it, one := &q.rows, &q.once
	if q.ran {
		it, one = new(Iter), new(single)
	}
	q.ran = true
	it.spec = q.spec
	it.fetch(one, q.pageState)
	q.info = it.info
	return it
}

// fetch requests one page.
func (it *Iter) fetch(one *single, state []byte) {
	x, err := it.execution(one, state)
	if err == nil {
		it.page, it.info, err = x.run(it.context())
	}
	it.running, it.err = x, err
	if err == nil && len(it.page.State()) > 0 {
		it.freeze()
	}
}

// freeze keeps the values as they are, because the caller may change what they point to
// before the next page is requested.
func (q *spec) freeze() {
	if q.frozen {
		return
	}
	q.frozen = true
	q.args = slices.Clone(q.args)
	for i, v := range q.args {
		q.args[i] = pointedTo(v)
	}
	q.byName = pointedTo(q.byName)
}

// pointedTo returns a copy of what a pointer points to; it returns anything else
// unchanged.
func pointedTo(v any) any {
	for {
		rv := reflect.ValueOf(v)
		if rv.Kind() != reflect.Pointer || rv.IsNil() || !rv.Elem().CanInterface() || writesItself(v) {
			return v
		}
		v = rv.Elem().Interface()
	}
}

// writesItself reports whether a pointer has something that its value lacks: a method
// that encodes it, or, as with math/big, the rule that it must not be copied.
func writesItself(v any) bool {
	if _, is := v.(*big.Int); is {
		return true
	}
	t := reflect.TypeOf(v)
	for _, method := range []string{"MarshalCQL", "MarshalUDT"} {
		if _, has := t.MethodByName(method); has {
			return true
		}
	}
	return false
}

func (q *spec) context() context.Context {
	if q.ctx != nil {
		return q.ctx
	}
	return q.session.ctx
}

// single is an execution of one statement, in one allocation.
type single struct {
	execution
	statement [1]driver.Statement
}

// execution prepares what the guard runs.
func (q *Query) execution(state []byte) (*execution, error) {
	one := &q.once
	if q.ran {
		one = new(single)
	}
	q.ran = true
	return q.spec.execution(one, state)
}

func (q *spec) execution(one *single, state []byte) (*execution, error) {
	if q.session.isClosed() {
		return nil, errClosed
	}
	p, err := q.session.profile(q.profile)
	if err != nil {
		return nil, err
	}
	st := q.session.known.get(q.cql)
	one.statement[0] = driver.Statement{CQL: st.text, Args: q.args}
	x := &one.execution
	x.session, x.profile, x.st = q.session, p, st
	one.statement[0].Check = x.mayRepeat(st)
	if q.byName != nil {
		one.statement[0].Values = byName(q.byName)
	}
	x.decision = q.decision
	x.request = driver.Request{
		Statements:  one.statement[:],
		Conditional: x.st.conditional,
		Consistency: uint16(or(q.consistency, p.Consistency)),
		PageSize:    or(q.pageSize, p.PageSize),
		PageState:   state,
		Timestamp:   q.timestamp,
		Trace:       q.trace,
	}
	// A token that the caller gave may come from anybody, and may be forged.
	x.token = q.onePage && len(state) > 0
	if x.st.conditional {
		x.request.Serial = uint16(or(q.serial, p.SerialConsistency))
	}
	return x, x.mayRun()
}

func or[T comparable](a, b T) T {
	var zero T
	if a != zero {
		return a
	}
	return b
}

// IsNotFound reports whether an error matches ErrNotFound. It makes it easier to move
// code from gocql.
func IsNotFound(err error) bool { return errors.Is(err, ErrNotFound) }
