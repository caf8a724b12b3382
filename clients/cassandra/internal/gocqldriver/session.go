package gocqldriver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/backstay-go/backstay/clients/cassandra/internal/recent"
)

// session implements driver.Session.
type session struct {
	gocql     *gocql.Session
	hosts     *hosts
	connects  *connects
	payload   func(context.Context) map[string][]byte // nil if there is none
	routes    recent.Map[string, *route]
	templates templates
	dialer    *dialer
}

var _ driver.Session = (*session)(nil)

// writeTimeout is how long a node may fail to read from a connection whose buffers are
// full. Then the connection is given up, because callers can't leave while the driver
// writes.
const writeTimeout = 2 * time.Second

// Connect opens a session. It tries once, within the context. The error is a
// *driver.Failure. c.Credentials gets the values of the context.
func Connect(ctx context.Context, c driver.Config, tlsConfig *tls.Config) (driver.Session, error) {
	if c.Nodes == nil {
		c.Nodes = driver.NewNodes(driver.Limits{})
	}
	cs := &connects{}
	dialer := newDialer(ctx, c, tlsConfig, cs)
	defer dialer.connected()
	found, err := dialer.contacts(ctx, c.Hosts, c.Port)
	if err != nil {
		dialer.end()
		return nil, err
	}
	c.Hosts = nil
	version := byte(newestVersion)
	for _, contact := range found {
		c.Hosts = append(c.Hosts, contact.address)
		version = min(version, contact.version)
	}
	session := &session{hosts: &hosts{nodes: c.Nodes}, connects: cs, dialer: dialer}
	if version > oldestVersion {
		session.payload = c.Payload
	}
	cfg := clusterConfig(c, version)
	cfg.StreamObserver = observer{session.hosts}
	cfg.ConnectObserver = cs
	cfg.HostDialer = dialer
	cfg.PoolConfig.HostSelectionPolicy = newHostPolicy(c, session.hosts)
	cfg.AuthProvider = login(context.WithoutCancel(ctx), c)
	s, err := cfg.CreateSession()
	if err != nil {
		dialer.end()
		f := failure(err)
		if why := cs.reason.Load(); why != nil && why.Cause == driver.Credentials {
			return nil, why
		}
		return nil, f
	}
	session.gocql = s
	return session, nil
}

// clusterConfig returns the driver's configuration. Everything that the driver would do
// by its own decision is off, because the guard does it.
func clusterConfig(c driver.Config, version byte) *gocql.ClusterConfig {
	cfg := gocql.NewCluster(c.Hosts...)
	if c.Port != 0 {
		cfg.Port = c.Port
	}
	cfg.ProtoVersion = int(version)
	cfg.Keyspace = c.Keyspace
	cfg.Timeout = c.RequestTimeout
	cfg.ConnectTimeout = c.ConnectTimeout
	cfg.WriteTimeout = min(c.RequestTimeout, writeTimeout)
	cfg.NumConns = c.Connections
	cfg.RetryPolicy = nil
	cfg.ConvictionPolicy = neverConvict{}
	cfg.ReconnectionPolicy = &gocql.ConstantReconnectionPolicy{MaxRetries: 1, Interval: 50 * time.Millisecond}
	cfg.ReconnectInterval = time.Second
	cfg.DefaultIdempotence = false
	// The columns of a result are requested with each result, because those from a
	// statement's preparation are wrong once another client has altered the table.
	cfg.DisableSkipMetadata = true
	// A node that is down is noticed by the failures on that node. If the driver also
	// acted on the cluster's gossip, it would stop using nodes that still answer.
	cfg.Events.DisableNodeStatusEvents = true
	// The client waits for schema agreement itself, and reports the result.
	cfg.MaxWaitSchemaAgreement = time.Nanosecond
	cfg.Logger = logger{log: c.Log}
	return cfg
}

// exchange is a request and its answer, in one allocation.
type exchange struct {
	attempt
	rows
	binding
}

// batchExchange is an exchange for a batch. few is space for its statements that
// usually suffices.
type batchExchange struct {
	attempt
	rows
	few     [fewStatements]gocql.BatchEntry
	binding [fewStatements]binding
}

const fewStatements = 4

// Do implements driver.Session.
func (s *session) Do(ctx context.Context, r *driver.Request, call *driver.Call) (page driver.Page, err error) {
	if r.Batch != driver.NoBatch {
		return s.batch(ctx, r, call)
	}
	x := new(exchange)
	a := &x.attempt
	a.begin(ctx, s, r, call)
	defer a.caught(&page, &err)
	it, tr, err := s.iter(ctx, r, x)
	if err != nil {
		return nil, err
	}
	p := &x.rows
	*p = rows{iter: it, count: it.NumRows(), state: it.PageState(), warnings: it.Warnings(), tracer: tr, node: a.Coordinator(), conditional: r.Conditional}
	if p.count == 0 {
		// Only closing returns the error. An answer without rows loses nothing by it.
		err := it.Close()
		if errors.Is(err, errAgain) {
			return s.again(ctx, r, call)
		}
		if err != nil {
			return nil, s.failed(err, a, it.Host())
		}
	}
	a.Left(nil)
	return p, nil
}

// again sends a request once more, now that its preparation shows how. The result of
// the preparation is remembered, so that this happens only once.
func (s *session) again(ctx context.Context, r *driver.Request, call *driver.Call) (driver.Page, error) {
	return s.Do(ctx, r, call)
}

// iter passes a statement to the driver.
func (s *session) iter(ctx context.Context, r *driver.Request, x *exchange) (*gocql.Iter, *tracer, error) {
	a := &x.attempt
	st, err := s.prepare(&r.Statements[0], &x.binding)
	if err != nil {
		return nil, nil, clientFailure(err)
	}
	a.routed.key, a.routed.keyspace = st.key, st.keyspace
	var q *gocql.Query
	if st.learn == nil {
		q = s.templates.query(s.gocql, st.cql).WithContext(a).Bind(st.values...)
	} else {
		q = s.gocql.Bind(st.cql, st.learn).WithContext(a)
	}
	q.Consistency(gocql.Consistency(r.Consistency)).PageSize(r.PageSize).PageState(r.PageState)
	if r.Serial != 0 {
		q.SerialConsistency(gocql.SerialConsistency(r.Serial))
	}
	if r.Timestamp != 0 {
		q.WithTimestamp(r.Timestamp)
	}
	if s.payload != nil {
		q.CustomPayload(s.payload(ctx))
	}
	var tr *tracer
	if r.Trace {
		tr = &tracer{}
		q.Trace(tr)
	}
	return q.Iter(), tr, nil
}

// begin registers the attempt with its call.
func (a *attempt) begin(ctx context.Context, s *session, r *driver.Request, call *driver.Call) {
	a.Context, a.session, a.request, a.Call = ctx, s, r, call
}

// caught turns a panic of the driver into an error, and ends the attempt's choice of
// nodes.
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
	a.begin(ctx, s, r, call)
	defer a.caught(&page, &err)
	b, tr, err := s.batchOf(ctx, r, x)
	if err != nil {
		return nil, clientFailure(err)
	}
	p := &x.rows
	if r.Conditional {
		applied, iter, err := s.gocql.ExecuteBatchCAS(b)
		if err == nil {
			err = batchRows(p, iter, applied)
		}
		if errors.Is(err, gocql.ErrNotFound) {
			err = errNoApplied
		}
		if errors.Is(err, errAgain) {
			return s.again(ctx, r, call)
		}
		if err != nil {
			return nil, s.failed(err, a, nil)
		}
	} else if err := s.gocql.ExecuteBatch(b); errors.Is(err, errAgain) {
		return s.again(ctx, r, call)
	} else if err != nil {
		return nil, s.failed(err, a, nil)
	}
	a.Left(nil)
	p.tracer, p.node = tr, a.Coordinator()
	return p, nil
}

// batchOf returns the driver's form of the batch.
func (s *session) batchOf(ctx context.Context, r *driver.Request, x *batchExchange) (*gocql.Batch, *tracer, error) {
	a := &x.attempt
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
		if len(st.Args) == 0 && st.Values == nil {
			b.Query(st.CQL)
			continue
		}
		var memory *binding
		if i < len(x.binding) {
			memory = &x.binding[i]
		}
		p, err := s.prepare(st, memory)
		if err != nil {
			return nil, nil, err
		}
		if i == 0 {
			// The first statement's key is the key of the batch.
			a.routed.key, a.routed.keyspace = p.key, p.keyspace
		}
		if p.learn != nil {
			b.Bind(p.cql, p.learn)
			continue
		}
		b.Query(p.cql, p.values...)
	}
	if s.payload != nil {
		b.CustomPayload = s.payload(ctx)
	}
	var tr *tracer
	if r.Trace {
		tr = &tracer{}
		b.Trace(tr)
	}
	return b, tr, nil
}

func (s *session) failed(err error, a *attempt, host *gocql.HostInfo) error {
	f := failure(err)
	switch n := a.Node(); {
	case n != nil:
	case host != nil:
		a.Chosen(s.hosts.node(host))
	case f.Cause != driver.NoConnections && a.choice != nil && a.choice.last != nil:
		a.Chosen(s.hosts.node(a.choice.last))
	}
	if f.Cause == driver.Canceled && a.Context.Err() == nil {
		// The connection was lost while a statement was being prepared on it.
		f.Cause = driver.Disconnected
	}
	f.Sent = a.Sent()
	var ours bindError
	switch {
	case f.Cause != driver.Client || errors.As(err, &ours):
	case countsWords.MatchString(err.Error()):
		f.Message, f.Err = countsWords.FindString(err.Error()), nil
	case f.Sent:
		// The request was valid, otherwise it would not have been sent. It is the
		// answer that can't be read.
		f.Cause, f.Message = driver.Protocol, "the answer can't be read: "+f.Message
	default:
		f.Message, f.Err = fmt.Sprintf("the request can't be built (%T)", err), nil
	}
	s.connects.explain(f)
	a.Left(f)
	f.Coordinator = a.Coordinator()
	return f
}

// Close implements driver.Session. The driver ends its heartbeat only between two of its
// requests, each of which waits for its node as long as the longest request may. So
// Close also ends the driver's dials and connections, for which the heartbeat waits.
func (s *session) Close() {
	s.dialer.end()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.gocql.Close()
	}()
	s.hosts.nodes.CloseConnections()
	<-closed
}

// neverConvict leaves the choice of nodes to the client.
type neverConvict struct{}

func (neverConvict) AddFailure(error, *gocql.HostInfo) bool { return false }
func (neverConvict) Reset(*gocql.HostInfo)                  {}

type logger struct{ log func(string) }

func (l logger) line(text string) {
	if l.log != nil && !strings.Contains(text, "schema versions not consistent") {
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
