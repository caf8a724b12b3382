package gocqldriver

import (
	"context"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/gocql/gocql"
)

// attemptKey finds the attempt in a request's context.
type attemptKey struct{}

// attempt is a request's context. It carries the attempt to where the driver
// picks a node, and follows its stream. The driver sends an attempt to one node.
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
	a.Started(a.session.node(o.Host))
}

// StreamFinished implements gocql.StreamObserverContext.
func (a *attempt) StreamFinished(gocql.ObservedStream) { a.Ended(a.Node(), true) }

// StreamAbandoned implements gocql.StreamObserverContext.
func (a *attempt) StreamAbandoned(gocql.ObservedStream) { a.Ended(a.Node(), false) }

func attemptOf(ctx context.Context) *attempt {
	if ctx == nil {
		return nil
	}
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// steering is the driver's token-aware choice, in another order where that helps:
// an attempt does not go again where the call has been, and suspect nodes come
// last.
type steering struct {
	gocql.HostSelectionPolicy
	nodes *driver.Nodes
	at    *addresses
}

func newSteering(c driver.Config, at *addresses) *steering {
	under := gocql.RoundRobinHostPolicy()
	if c.LocalDC != "" {
		under = gocql.DCAwareRoundRobinPolicy(c.LocalDC)
	}
	return &steering{HostSelectionPolicy: gocql.TokenAwareHostPolicy(under, gocql.ShuffleReplicas()), nodes: c.Nodes, at: at}
}

// Pick implements gocql.HostSelectionPolicy.
func (s *steering) Pick(q gocql.ExecutableQuery) gocql.NextHost {
	next := s.HostSelectionPolicy.Pick(q)
	a := attemptOf(q.Context())
	if a == nil || !s.nodes.Steering() && !a.Call.Any() {
		return next
	}
	return s.reorder(next, a.Call)
}

// reorder yields what next does, in three rounds: nodes that are well and new to
// the call, nodes that are well, the others.
func (s *steering) reorder(next gocql.NextHost, call *driver.Call) gocql.NextHost {
	var well, tried, sick []gocql.SelectedHost
	for h := next(); h != nil; h = next() {
		info := h.Info()
		if info == nil {
			continue
		}
		n := s.nodes.Node(s.at.of(info), info.DataCenter())
		switch {
		case call.Tried(n):
			tried = append(tried, h)
		case n.Usable():
			well = append(well, h)
		default:
			sick = append(sick, h)
		}
	}
	well = append(append(well, tried...), sick...)
	i := 0
	return func() gocql.SelectedHost {
		if i == len(well) {
			return nil
		}
		i++
		return well[i-1]
	}
}

// observer finds the attempt of a request that the driver is about to send.
type observer struct{}

// StreamContext implements gocql.StreamObserver.
func (observer) StreamContext(ctx context.Context) gocql.StreamObserverContext {
	if a := attemptOf(ctx); a != nil {
		return a
	}
	return nil
}
