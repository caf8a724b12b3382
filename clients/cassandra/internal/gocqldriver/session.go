package gocqldriver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/gocql/gocql"
)

// session implements driver.Session.
type session struct {
	gocql     *gocql.Session
	hosts     *hosts
	payload   func(context.Context) map[string][]byte // nil: none
	routes    routes
	templates templates
}

var _ driver.Session = (*session)(nil)

// writeTimeout is how long a node may take nothing off a full connection, which is
// then given up: callers can't leave while the driver writes.
const writeTimeout = 2 * time.Second

// Connect opens a session. It tries once; the error is a *driver.Failure.
func Connect(c driver.Config, tlsConfig *tls.Config) (driver.Session, error) {
	if c.Nodes == nil {
		c.Nodes = driver.NewNodes(driver.Limits{})
	}
	session := &session{hosts: &hosts{nodes: c.Nodes}, payload: c.Payload}
	cfg := gocql.NewCluster(c.Hosts...)
	if c.Port != 0 {
		cfg.Port = c.Port
	}
	cfg.Keyspace = c.Keyspace
	cfg.Timeout = c.RequestTimeout
	cfg.ConnectTimeout = c.ConnectTimeout
	cfg.WriteTimeout = min(c.RequestTimeout, writeTimeout)
	cfg.NumConns = c.Connections
	// What the driver would do by itself is off: the guard does it.
	cfg.RetryPolicy = nil
	cfg.ConvictionPolicy = neverConvict{}
	cfg.ReconnectionPolicy = &gocql.ConstantReconnectionPolicy{MaxRetries: 1, Interval: 50 * time.Millisecond}
	cfg.ReconnectInterval = time.Second
	cfg.DefaultIdempotence = false
	// A node's "down" reaches us as failures of its own; to act on the cluster's
	// gossip too would take nodes out of use that still answer.
	cfg.Events.DisableNodeStatusEvents = true
	cfg.MaxWaitSchemaAgreement = 10 * time.Second
	cfg.StreamObserver = observer{session.hosts}
	cfg.HostDialer = &dialer{nodes: c.Nodes, tls: tlsConfig, timeout: c.ConnectTimeout}
	cfg.PoolConfig.HostSelectionPolicy = newHostPolicy(c, session.hosts)
	cfg.Logger = logger{log: c.Log}
	if c.Username != "" {
		cfg.Authenticator = gocql.PasswordAuthenticator{Username: c.Username, Password: c.Password}
	}
	s, err := cfg.CreateSession()
	if err != nil {
		return nil, failure(err)
	}
	session.gocql = s
	return session, nil
}

// exchange is a request and its answer, in one piece of memory.
type exchange struct {
	attempt
	rows
}

// batchExchange is an exchange of a batch. Few is what its statements need as a rule.
type batchExchange struct {
	attempt
	rows
	cas casRows
	few [4]gocql.BatchEntry
}

// Do implements driver.Session.
func (s *session) Do(ctx context.Context, r *driver.Request, call *driver.Call) (page driver.Page, err error) {
	if r.Batch != driver.NoBatch {
		return s.batch(ctx, r, call)
	}
	x := new(exchange)
	a := &x.attempt
	a.begin(ctx, s, call)
	defer a.caught(&page, &err)
	st := &r.Statements[0]
	var q *gocql.Query
	values, known, err := a.routes(st)
	if err != nil {
		return nil, clientFailure(err)
	}
	if known {
		q = s.templates.query(s.gocql, st.CQL).WithContext(a).Bind(values...)
	} else {
		q = s.gocql.Bind(st.CQL, s.learning(st)).WithContext(a)
	}
	q.Consistency(gocql.Consistency(r.Consistency)).PageSize(r.PageSize).PageState(r.PageState)
	if r.Serial != 0 {
		q.SerialConsistency(gocql.SerialConsistency(r.Serial))
	}
	if r.Timestamp != 0 {
		q.WithTimestamp(r.Timestamp)
	}
	if r.Conditional {
		q.NoSkipMetadata()
	}
	if s.payload != nil {
		q.CustomPayload(s.payload(ctx))
	}
	var tr *tracer
	if r.Trace {
		tr = &tracer{}
		q.Trace(tr)
	}
	it := q.Iter()
	p := &x.rows
	*p = rows{iter: it, count: it.NumRows(), state: it.PageState(), warnings: it.Warnings(), tracer: tr, node: a.Coordinator()}
	if p.count == 0 {
		// Only closing tells the error; of an answer without rows nothing is lost by it.
		if err := it.Close(); err != nil {
			return nil, s.failed(err, a, it.Host())
		}
	}
	a.Left(nil)
	return p, nil
}

// begin makes the attempt one of the call's.
func (a *attempt) begin(ctx context.Context, s *session, call *driver.Call) {
	a.Context, a.session, a.Call = ctx, s, call
}

// routes sets where the attempt goes by a statement's values, and returns these; not
// known: the statement has not been prepared yet.
func (a *attempt) routes(st *driver.Statement) (values []any, known bool, err error) {
	r, known := a.session.routes.known.get(st.CQL)
	if !known {
		return st.Args, false, nil
	}
	values = st.Args
	if st.Values != nil {
		if values, err = st.Values(r.names); err != nil {
			return nil, true, err
		}
	}
	a.routed.key, a.routed.keyspace = r.key(values), r.keyspace
	return values, true, nil
}

// learning binds a statement's values, and learns its route from how it was prepared.
func (s *session) learning(st *driver.Statement) func(*gocql.QueryInfo) ([]any, error) {
	return func(info *gocql.QueryInfo) ([]any, error) {
		s.routes.learn(st.CQL, info)
		if st.Values != nil {
			values, err := st.Values(namesOf(info))
			if err != nil {
				err = bindError{err}
			}
			return values, err
		}
		return st.Args, nil
	}
}

// caught makes an error of the driver's panic, and ends the attempt's choice of nodes.
func (a *attempt) caught(page *driver.Page, err *error) {
	if p := recover(); p != nil {
		f := &driver.Failure{Cause: driver.Client, Code: -1, Message: "the driver panicked: " + panicText(p)}
		f.Sent = a.Sent()
		a.Left(f)
		*page, *err = nil, f
		return
	}
	a.chosen()
}

func (s *session) batch(ctx context.Context, r *driver.Request, call *driver.Call) (page driver.Page, err error) {
	x := new(batchExchange)
	a := &x.attempt
	a.begin(ctx, s, call)
	defer a.caught(&page, &err)
	b := s.templates.batch(s.gocql, gocql.BatchType(r.Batch-1), r.Statements[0].CQL).WithContext(a)
	b.Cons = gocql.Consistency(r.Consistency)
	if r.Serial != 0 {
		b.SerialConsistency(gocql.SerialConsistency(r.Serial))
	}
	if r.Timestamp != 0 {
		b.WithTimestamp(r.Timestamp)
	}
	b.Entries = x.few[:0]
	for i := range r.Statements {
		st := &r.Statements[i]
		values, known := st.Args, st.Values == nil
		if i == 0 || !known {
			// The first statement's key is the batch's.
			key := a.routed.key
			if values, known, err = a.routes(st); err != nil {
				return nil, clientFailure(err)
			}
			if i > 0 {
				a.routed.key = key
			}
		}
		if !known && (len(st.Args) > 0 || st.Values != nil) {
			b.Bind(st.CQL, s.learning(st))
			continue
		}
		b.Query(st.CQL, values...)
	}
	if s.payload != nil {
		b.CustomPayload = s.payload(ctx)
	}
	var tr *tracer
	if r.Trace {
		tr = &tracer{}
		b.Trace(tr)
	}
	if !r.Conditional {
		if err := s.gocql.ExecuteBatch(b); err != nil {
			return nil, s.failed(err, a, nil)
		}
		a.Left(nil)
		x.rows = rows{tracer: tr, node: a.Coordinator()}
		return &x.rows, nil
	}
	p := &x.cas
	first := firsts.Get().(map[string]any)
	applied, iter, err := s.cas(b, first)
	switch {
	case err != nil:
		return nil, s.failed(err, a, nil)
	case applied && len(first) == 0:
		firsts.Put(first)
		p.first = justApplied
	default:
		first[appliedColumn] = applied
		p.first = first
	}
	p.tracer, p.iter, p.node = tr, iter, a.Coordinator()
	a.Left(nil)
	return p, nil
}

// cas runs a conditional batch. The driver panics if the answer has no [applied].
func (s *session) cas(b *gocql.Batch, first map[string]any) (applied bool, iter *gocql.Iter, err error) {
	defer func() {
		if p := recover(); p != nil {
			applied, iter, err = false, nil, errNoApplied
		}
	}()
	return s.gocql.MapExecuteBatchCAS(b, first)
}

// firsts are maps that first rows are read into. An applied batch leaves its own empty.
var firsts = sync.Pool{New: func() any { return map[string]any{} }}

// justApplied is the row of an applied batch. Nobody changes it.
var justApplied = map[string]any{appliedColumn: true}

func (s *session) failed(err error, a *attempt, host *gocql.HostInfo) error {
	f := failure(err)
	switch n := a.Node(); {
	case n != nil:
	case host != nil:
		a.Chosen(s.hosts.node(host))
	case f.Cause != driver.NoConnections && a.choice != nil && a.choice.last != nil:
		a.Chosen(s.hosts.node(a.choice.last))
	}
	if f.Cause == driver.Canceled && a.Err() == nil {
		// The connection went while a statement was being prepared on it.
		f.Cause = driver.Disconnected
	}
	f.Sent = a.Sent()
	var ours bindError
	switch {
	case f.Cause != driver.Client || errors.As(err, &ours):
	case f.Sent:
		// The request was right, else it would not have left: it is the answer that
		// can't be read.
		f.Cause, f.Message = driver.Protocol, "the answer can't be read: "+f.Message
	default:
		f.Message, f.Err = valueText(err), nil
	}
	a.Left(f)
	f.Coordinator = a.Coordinator()
	return f
}

// Close implements driver.Session.
func (s *session) Close() { s.gocql.Close() }

// neverConvict leaves it to the client which nodes are used.
type neverConvict struct{}

func (neverConvict) AddFailure(error, *gocql.HostInfo) bool { return false }
func (neverConvict) Reset(*gocql.HostInfo)                  {}

type logger struct{ log func(string) }

func (l logger) line(text string) {
	if l.log != nil {
		l.log(strings.TrimSpace(text))
	}
}
func (l logger) Print(v ...any)            { l.line(fmt.Sprint(v...)) }
func (l logger) Printf(f string, v ...any) { l.line(fmt.Sprintf(f, v...)) }
func (l logger) Println(v ...any)          { l.line(fmt.Sprintln(v...)) }

type tracer struct{ id []byte }

func (t *tracer) Trace(id []byte) { t.id = append([]byte(nil), id...) }

func (t *tracer) traceID() []byte {
	if t == nil {
		return nil
	}
	return t.id
}
