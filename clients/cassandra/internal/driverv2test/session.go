package driverv2test

import (
	"context"
	"fmt"
	"net"
	"strconv"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

// session implements driver.Session.
type session struct {
	gocql *gocql.Session
	nodes *driver.Nodes
}

var _ driver.Session = (*session)(nil)

// Connect opens a session. The error is a *driver.Failure.
func Connect(c driver.Config) (driver.Session, error) {
	cfg := gocql.NewCluster(c.Hosts...)
	cfg.Port, cfg.Keyspace, cfg.NumConns = c.Port, c.Keyspace, c.Connections
	cfg.Timeout, cfg.WriteTimeout, cfg.ConnectTimeout = c.RequestTimeout, c.RequestTimeout, c.ConnectTimeout
	cfg.RetryPolicy, cfg.ConvictionPolicy = nil, neverConvict{}
	cfg.DefaultIdempotence = false
	cfg.Events.DisableNodeStatusEvents = true
	cfg.StreamObserver = observer{}
	cfg.Logger = gocql.NewLogger(gocql.LogLevelNone)
	under := gocql.RoundRobinHostPolicy()
	if c.LocalDC != "" {
		under = gocql.DCAwareRoundRobinPolicy(c.LocalDC)
	}
	cfg.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(under, gocql.ShuffleReplicas())
	s, err := cfg.CreateSession()
	if err != nil {
		return nil, failure(err)
	}
	return &session{gocql: s, nodes: c.Nodes}, nil
}

// Do implements driver.Session.
func (s *session) Do(ctx context.Context, r *driver.Request, call *driver.Call) (page driver.Page, err error) {
	a := &attempt{Context: ctx, session: s}
	a.Call = call
	defer func() {
		if p := recover(); p != nil {
			f := &driver.Failure{Cause: driver.Client, Code: -1, Message: fmt.Sprintf("the driver panicked: %v", p)}
			page, err = nil, a.failed(f)
		}
	}()
	if r.Batch != driver.NoBatch {
		return s.batch(r, a)
	}
	st := &r.Statements[0]
	q := s.gocql.Query(st.CQL, st.Args...).Consistency(gocql.Consistency(r.Consistency)).PageSize(r.PageSize).PageState(r.PageState)
	if r.Serial != 0 {
		q.SerialConsistency(gocql.Consistency(r.Serial))
	}
	if r.Timestamp != 0 {
		q.WithTimestamp(r.Timestamp)
	}
	if r.Conditional {
		q.NoSkipMetadata()
	}
	it := q.IterContext(a)
	p := &rows{iter: it, count: it.NumRows(), state: it.PageState(), node: a.Coordinator()}
	if p.count == 0 {
		if err := it.Close(); err != nil {
			return nil, a.failed(failure(err))
		}
	}
	a.Left(nil)
	return p, nil
}

func (s *session) batch(r *driver.Request, a *attempt) (driver.Page, error) {
	b := s.gocql.Batch(gocql.BatchType(r.Batch - 1)).Consistency(gocql.Consistency(r.Consistency))
	if r.Serial != 0 {
		b.SerialConsistency(gocql.Consistency(r.Serial))
	}
	if r.Timestamp != 0 {
		b.WithTimestamp(r.Timestamp)
	}
	for _, st := range r.Statements {
		b.Query(st.CQL, st.Args...)
	}
	if !r.Conditional {
		if err := b.ExecContext(a); err != nil {
			return nil, a.failed(failure(err))
		}
		a.Left(nil)
		return &rows{node: a.Coordinator()}, nil
	}
	first := map[string]any{}
	applied, it, err := b.MapExecCASContext(a, first)
	if err != nil {
		return nil, a.failed(failure(err))
	}
	first["[applied]"] = applied
	a.Left(nil)
	return &rows{iter: it, count: it.NumRows(), first: first, node: a.Coordinator()}, nil
}

// Close implements driver.Session.
func (s *session) Close() { s.gocql.Close() }

type neverConvict struct{}

func (neverConvict) AddFailure(error, *gocql.HostInfo) bool { return false }
func (neverConvict) Reset(*gocql.HostInfo)                  {}

type attemptKey struct{}

// attempt is a request's context, and follows its stream.
type attempt struct {
	context.Context
	driver.Attempt
	session *session
}

// Value implements context.Context.
func (a *attempt) Value(key any) any {
	if _, ok := key.(attemptKey); ok {
		return a
	}
	return a.Context.Value(key)
}

// StreamStarted implements gocql.StreamObserverContext.
func (a *attempt) StreamStarted(o gocql.ObservedStream) {
	a.Started(a.session.nodes.Node(net.JoinHostPort(o.Host.ConnectAddress().String(), strconv.Itoa(o.Host.Port())), o.Host.DataCenter()))
}

// StreamFinished implements gocql.StreamObserverContext.
func (a *attempt) StreamFinished(gocql.ObservedStream) { a.Ended(a.Node(), true) }

// StreamAbandoned implements gocql.StreamObserverContext.
func (a *attempt) StreamAbandoned(gocql.ObservedStream) { a.Ended(a.Node(), false) }

func (a *attempt) failed(f *driver.Failure) *driver.Failure {
	f.Sent, f.Coordinator = a.Call.Sent(), a.Coordinator()
	a.Left(f)
	return f
}

type observer struct{}

// StreamContext implements gocql.StreamObserver.
func (observer) StreamContext(ctx context.Context) gocql.StreamObserverContext {
	if a, _ := ctx.Value(attemptKey{}).(*attempt); a != nil {
		return a
	}
	return nil
}
