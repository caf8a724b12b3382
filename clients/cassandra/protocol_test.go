package cassandra_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
)

// verdicts collects what attempts were judged to be.
type verdicts struct {
	mu  sync.Mutex
	all []resilience.Verdict
}

func (v *verdicts) Handle(ctx context.Context, e resilience.Event) context.Context {
	if e.Kind == resilience.AttemptEnded {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.all = append(v.all, e.Verdict)
	}
	return ctx
}

func (v *verdicts) take() []resilience.Verdict {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := v.all
	v.all = nil
	return all
}

// TestEachErrorOfTheProtocol has a row for each error that a server can answer with,
// and for each type of write where that matters. It sends a read, an idempotent
// write, another write and a conditional one, and counts what reached which nodes.
// The outcome is what breaker and limit see: a failure counts for the breaker, an
// overload lowers the limit, what is ignored does neither.
func TestEachErrorOfTheProtocol(t *testing.T) {
	const (
		failure  = resilience.Failure
		overload = resilience.Overload
		ignored  = resilience.Ignored
	)
	quorum, serial := primitive.ConsistencyLevelLocalQuorum, primitive.ConsistencyLevelLocalSerial
	writeTimeout := func(kind primitive.WriteType) message.Message {
		return &message.WriteTimeout{ErrorMessage: "slow", Consistency: quorum, Received: 1, BlockFor: 2, WriteType: kind}
	}
	type expect struct {
		outcome resilience.Outcome
		sent    int
		unknown bool
	}
	// Three attempts go to three nodes; five are three nodes in the first attempt.
	again, no := expect{failure, 3, false}, expect{ignored, 1, false}
	unknownAgain, unknownOnce := expect{failure, 3, true}, expect{failure, 1, true}
	once := expect{failure, 1, false}
	rows := []struct {
		name                   string
		answer                 message.Message
		raw                    func(*cqltest.Request)
		kind                   error
		read, write, once, cas expect
	}{
		{name: "0x0000 server error", answer: &message.ServerError{ErrorMessage: "boom"}, kind: cassandra.ErrFailed,
			read: again, write: unknownAgain, once: unknownOnce, cas: unknownOnce},
		{name: "0x000A protocol error", answer: &message.ProtocolError{ErrorMessage: "what?"}, kind: cassandra.ErrInvalid,
			read: no, write: no, once: no, cas: no},
		{name: "0x0100 bad credentials", answer: &message.AuthenticationError{ErrorMessage: "who?"}, kind: cassandra.ErrInvalid,
			read: no, write: no, once: no, cas: no},
		{name: "0x1000 unavailable", answer: &message.Unavailable{ErrorMessage: "alone", Consistency: quorum, Required: 2, Alive: 1}, kind: cassandra.ErrUnavailable,
			read: again, write: again, once: once, cas: unknownOnce},
		{name: "0x1000 unavailable for the decision", answer: &message.Unavailable{ErrorMessage: "alone", Consistency: serial, Required: 2, Alive: 1}, kind: cassandra.ErrUnavailable,
			read: again, write: again, once: once, cas: once},
		{name: "0x1001 overloaded", answer: &message.Overloaded{ErrorMessage: "full"}, kind: cassandra.ErrOverloaded,
			read: expect{overload, 3, false}, write: expect{overload, 3, true}, once: expect{overload, 1, true}, cas: expect{overload, 1, true}},
		{name: "0x1002 bootstrapping", answer: &message.IsBootstrapping{ErrorMessage: "soon"}, kind: cassandra.ErrUnavailable,
			read: expect{overload, 5, false}, write: expect{overload, 5, false}, once: expect{overload, 5, false}, cas: expect{overload, 5, false}},
		{name: "0x1003 truncate", answer: &message.TruncateError{ErrorMessage: "no"}, kind: cassandra.ErrFailed,
			read: again, write: unknownAgain, once: unknownOnce, cas: unknownOnce},
		{name: "0x1100 write timeout, simple", answer: writeTimeout(primitive.WriteTypeSimple), kind: cassandra.ErrTimedOut,
			read: expect{overload, 3, false}, write: unknownAgain, once: unknownOnce, cas: expect{ignored, 1, true}},
		{name: "0x1100 write timeout, batch", answer: writeTimeout(primitive.WriteTypeBatch), kind: cassandra.ErrTimedOut,
			read: expect{overload, 3, false}, write: unknownAgain, once: unknownOnce, cas: expect{ignored, 1, true}},
		{name: "0x1100 write timeout, unlogged batch", answer: writeTimeout(primitive.WriteTypeUnloggedBatch), kind: cassandra.ErrTimedOut,
			read: expect{overload, 3, false}, write: unknownAgain, once: unknownOnce, cas: expect{ignored, 1, true}},
		{name: "0x1100 write timeout, batch log", answer: writeTimeout(primitive.WriteTypeBatchLog), kind: cassandra.ErrTimedOut,
			read: expect{overload, 3, false}, write: unknownAgain, once: unknownOnce, cas: expect{ignored, 1, true}},
		{name: "0x1100 write timeout, view", answer: writeTimeout(primitive.WriteTypeView), kind: cassandra.ErrTimedOut,
			read: expect{overload, 3, false}, write: unknownAgain, once: unknownOnce, cas: expect{ignored, 1, true}},
		{name: "0x1100 write timeout, change capture", answer: writeTimeout(primitive.WriteTypeCdc), kind: cassandra.ErrTimedOut,
			read: expect{overload, 3, false}, write: unknownAgain, once: unknownOnce, cas: expect{ignored, 1, true}},
		{name: "0x1100 write timeout, counter", answer: writeTimeout(primitive.WriteTypeCounter), kind: cassandra.ErrTimedOut,
			read: expect{overload, 3, false}, write: unknownOnce, once: unknownOnce, cas: expect{ignored, 1, true}},
		{name: "0x1100 write timeout, CAS", answer: writeTimeout(primitive.WriteTypeCas), kind: cassandra.ErrTimedOut,
			read: expect{overload, 3, false}, write: expect{ignored, 1, true}, once: expect{ignored, 1, true}, cas: expect{ignored, 1, true}},
		{name: "0x1200 read timeout", answer: &message.ReadTimeout{ErrorMessage: "slow", Consistency: quorum, Received: 1, BlockFor: 2}, kind: cassandra.ErrTimedOut,
			read: again, write: again, once: once, cas: once},
		{name: "0x1200 read timeout, data missing", answer: &message.ReadTimeout{ErrorMessage: "slow", Consistency: quorum, Received: 2, BlockFor: 2}, kind: cassandra.ErrTimedOut,
			read: again, write: again, once: once, cas: once},
		{name: "0x1300 read failure", answer: &message.ReadFailure{ErrorMessage: "broke", Consistency: quorum, Received: 1, BlockFor: 2, NumFailures: 1}, kind: cassandra.ErrFailed,
			read: again, write: again, once: once, cas: once},
		{name: "0x1300 read failure, tombstones", answer: &message.ReadFailure{ErrorMessage: "scanned over 100001 tombstones", Consistency: quorum, BlockFor: 2, NumFailures: 2}, kind: cassandra.ErrFailed,
			read: no, write: no, once: no, cas: no},
		{name: "0x1400 function failure", answer: &message.FunctionFailure{ErrorMessage: "div", Keyspace: "ks", Function: "f", Arguments: []string{"int"}}, kind: cassandra.ErrInvalid,
			read: no, write: expect{ignored, 1, true}, once: expect{ignored, 1, true}, cas: expect{ignored, 1, true}},
		{name: "0x1500 write failure", answer: &message.WriteFailure{ErrorMessage: "broke", Consistency: quorum, Received: 1, BlockFor: 2, NumFailures: 1, WriteType: primitive.WriteTypeSimple}, kind: cassandra.ErrFailed,
			read: again, write: unknownAgain, once: unknownOnce, cas: unknownOnce},
		{name: "0x1600 CDC write failure", raw: func(r *cqltest.Request) { r.Error(0x1600, "cdc space", nil) }, kind: cassandra.ErrFailed,
			read: again, write: unknownAgain, once: unknownOnce, cas: unknownOnce},
		{name: "0x1700 CAS write unknown", raw: func(r *cqltest.Request) { r.Error(0x1700, "maybe", []byte{0, 9, 0, 0, 0, 1, 0, 0, 0, 2}) }, kind: cassandra.ErrOutcomeUnknown,
			read: expect{ignored, 1, true}, write: expect{ignored, 1, true}, once: expect{ignored, 1, true}, cas: expect{ignored, 1, true}},
		{name: "0x2000 syntax", answer: &message.SyntaxError{ErrorMessage: "line 1"}, kind: cassandra.ErrInvalid, read: no, write: no, once: no, cas: no},
		{name: "0x2100 unauthorized", answer: &message.Unauthorized{ErrorMessage: "may not"}, kind: cassandra.ErrInvalid, read: no, write: no, once: no, cas: no},
		{name: "0x2200 invalid", answer: &message.Invalid{ErrorMessage: "no such column"}, kind: cassandra.ErrInvalid, read: no, write: no, once: no, cas: no},
		{name: "0x2200 invalid, disk guardrail", answer: &message.Invalid{ErrorMessage: "Guardrail data_disk_usage violated: Replica disk usage exceeds failure threshold"}, kind: cassandra.ErrDiskFull,
			read: no, write: expect{overload, 1, false}, once: expect{overload, 1, false}, cas: expect{overload, 1, false}},
		{name: "0x2300 configuration", answer: &message.ConfigError{ErrorMessage: "no"}, kind: cassandra.ErrInvalid, read: no, write: no, once: no, cas: no},
		{name: "0x2400 already exists", answer: &message.AlreadyExists{ErrorMessage: "there", Keyspace: "ks", Table: "t"}, kind: cassandra.ErrInvalid, read: no, write: no, once: no, cas: no},
		{name: "a code that nobody knows", raw: func(r *cqltest.Request) { r.Error(0x7777, "new", nil) }, kind: cassandra.ErrFailed,
			read: once, write: unknownOnce, once: unknownOnce, cas: unknownOnce},
	}
	seen := &verdicts{}
	cluster, s := scripted(t, cqltest.Config{Nodes: 3}, func(c *cassandra.Config) {
		c.Guard.Breaker = &resilience.BreakerPolicy{Window: time.Hour, MinimumCalls: 1 << 20}
		c.Options = []resilience.Option{resilience.WithListener(seen)}
		c.SuspectAfter = 1 << 20
	})
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			answer := row.raw
			if answer == nil {
				answer = func(r *cqltest.Request) { r.Send(row.answer) }
			}
			for _, cql := range []string{selectV, insertV, casV} {
				cluster.On(cql, cqltest.Statement{Columns: cqltest.Columns("v text"), Answer: answer})
			}
			for _, try := range []struct {
				name, cql string
				run       func() error
				want      expect
			}{
				{"read", selectV, func() error { return s.Query(selectV, "a").Exec() }, row.read},
				{"write", insertV, func() error { return s.Query(insertV, "a", "b").Profile("write").Exec() }, row.write},
				{"other write", insertV, func() error { return s.Query(insertV, "a", "b").Profile("once").Exec() }, row.once},
				{"conditional write", casV, func() error {
					res, err := s.Query(casV, "a", "b", "c").Profile("cas").CAS()
					if (res.Outcome == cassandra.Unknown) != errors.Is(err, cassandra.ErrOutcomeUnknown) || res.Applied() {
						t.Errorf("outcome %v with %v", res.Outcome, err)
					}
					return err
				}, row.cas},
			} {
				cluster.Forget()
				seen.take()
				failures := s.Guard().Snapshot().Failures
				err := try.run()
				kind := row.kind
				if try.name == "read" && errors.Is(kind, cassandra.ErrDiskFull) {
					kind = cassandra.ErrInvalid
				}
				var e *cassandra.Error
				if !errors.Is(err, kind) || !errors.As(err, &e) {
					t.Errorf("%s: %v; want %v", try.name, err, kind)
					continue
				}
				if got := errors.Is(err, cassandra.ErrOutcomeUnknown); got != try.want.unknown {
					t.Errorf("%s: outcome unknown is %v, want %v", try.name, got, try.want.unknown)
				}
				if e.Coordinator == "" || e.Statement == "" {
					t.Errorf("%s: coordinator %q, statement %q", try.name, e.Coordinator, e.Statement)
				}
				sent := cluster.Received(try.cql)
				nodes := map[*cqltest.Node]bool{}
				for _, r := range sent {
					nodes[r.Node] = true
				}
				if len(sent) != try.want.sent || len(nodes) != min(3, try.want.sent) {
					t.Errorf("%s: sent %d times to %d nodes; want %d times, to as many nodes as there are", try.name, len(sent), len(nodes), try.want.sent)
				}
				all := seen.take()
				for _, v := range all {
					if v.Outcome != try.want.outcome {
						t.Errorf("%s: an attempt counts as %d, want %d", try.name, v.Outcome, try.want.outcome)
					}
				}
				counted := 0
				if try.want.outcome == failure {
					counted = len(all)
				}
				if got := s.Guard().Snapshot().Failures - failures; got != counted {
					t.Errorf("%s: the breaker counts %d failures, want %d", try.name, got, counted)
				}
			}
		})
	}
}
