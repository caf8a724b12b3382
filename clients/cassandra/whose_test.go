package cassandra_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/message"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
)

// ending says who ended a call, and how that shows in each kind of call.
type ending struct {
	name string
	// answer is what the nodes do.
	answer func(*cqltest.Request)
	// context is the caller's; nil: the test's.
	context func(context.Context) (context.Context, context.CancelFunc)
	// prepare changes the session before the call; nil: it does not.
	prepare func(*testing.T, *cassandra.Session)
	kinds   []error
	// sent says that a write's outcome is then unknown.
	unknown bool
	// failure says that it counts against the cluster.
	failure bool
}

// call is one way to ask.
type call struct {
	name    string
	profile string
	write   bool
	run     func(ctx context.Context, s *cassandra.Session, profile string) error
}

var endings = []ending{
	{name: "the caller cancels", answer: hangs, context: canceledSoon, kinds: []error{cassandra.ErrCanceled, context.Canceled}, unknown: true},
	{name: "the caller's deadline", answer: hangs, context: shortly, kinds: []error{cassandra.ErrTimedOut, context.DeadlineExceeded}, unknown: true},
	{name: "the caller had gone before", answer: hangs, context: gone, kinds: []error{cassandra.ErrCanceled, context.Canceled}},
	{name: "the profile's time", answer: hangs, kinds: []error{cassandra.ErrTimedOut, context.DeadlineExceeded}, unknown: true, failure: true},
	{name: "the server: too few replicas", answer: sends(&message.Unavailable{ErrorMessage: "alone", Consistency: 9, Required: 2, Alive: 1}), kinds: []error{cassandra.ErrUnavailable}, failure: true},
	{name: "the server: it broke", answer: sends(&message.ServerError{ErrorMessage: "boom"}), kinds: []error{cassandra.ErrFailed}, unknown: true, failure: true},
	{name: "the connection broke", answer: (*cqltest.Request).Close, kinds: []error{cassandra.ErrUnavailable}, unknown: true, failure: true},
	{name: "the request: invalid", answer: sends(&message.Invalid{ErrorMessage: "no"}), kinds: []error{cassandra.ErrInvalid}},
	{name: "the request: protocol", answer: sends(&message.ProtocolError{ErrorMessage: "Invalid value for the paging state"}), kinds: []error{cassandra.ErrInvalid}},
	{name: "the request: unauthorized", answer: sends(&message.Unauthorized{ErrorMessage: "no"}), kinds: []error{cassandra.ErrInvalid}},
	{name: "the request: its function", answer: sends(&message.FunctionFailure{ErrorMessage: "no"}), kinds: []error{cassandra.ErrInvalid}, unknown: true},
	{name: "the driver's own context.Canceled", answer: hangs, prepare: breaks(context.Canceled), kinds: []error{cassandra.ErrUnavailable}, unknown: true, failure: true},
	{name: "the driver's own context.Canceled, joined", answer: hangs, prepare: breaks(errors.Join(errors.New("pool"), context.Canceled)), kinds: []error{cassandra.ErrUnavailable}, unknown: true, failure: true},
	{name: "the driver's own cancellation", answer: hangs, prepare: breaks(&driver.Failure{Cause: driver.Canceled, Code: -1, Sent: true}), kinds: []error{cassandra.ErrUnavailable}, unknown: true, failure: true},
	{name: "the driver's own context.DeadlineExceeded", answer: hangs, prepare: breaks(errors.Join(errors.New("pool"), context.DeadlineExceeded)), kinds: []error{cassandra.ErrTimedOut}, unknown: true, failure: true},
	{name: "the session was closed", answer: hangs, kinds: []error{cassandra.ErrClosed}, prepare: func(t *testing.T, s *cassandra.Session) {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}},
}

var calls = []call{
	{"Exec", "write", true, func(ctx context.Context, s *cassandra.Session, p string) error {
		return s.Query(insertV, "a", "b").Profile(p).WithContext(ctx).Exec()
	}},
	{"Exec once", "once", true, func(ctx context.Context, s *cassandra.Session, p string) error {
		return s.Query(insertV, "a", "b").Profile(p).WithContext(ctx).Exec()
	}},
	{"Scan", "read", false, func(ctx context.Context, s *cassandra.Session, p string) error {
		return s.Query(selectV, "a").Profile(p).WithContext(ctx).Scan(new(string))
	}},
	{"Iter", "read", false, func(ctx context.Context, s *cassandra.Session, p string) error {
		return s.Query(selectV, "a").Profile(p).WithContext(ctx).Iter().Close()
	}},
	{"Get", "read", false, func(ctx context.Context, s *cassandra.Session, p string) error {
		_, err := cassandra.Get[string](s.Query(selectV, "a").Profile(p).WithContext(ctx))
		return err
	}},
	{"Select", "read", false, func(ctx context.Context, s *cassandra.Session, p string) (last error) {
		for _, err := range cassandra.Select[string](s.Query(selectV, "a").Profile(p).WithContext(ctx)) {
			last = err
		}
		return last
	}},
	{"hedged", "hedged", false, func(ctx context.Context, s *cassandra.Session, p string) error {
		return s.Query(selectV, "a").Profile(p).WithContext(ctx).Exec()
	}},
	{"degraded", "low", false, func(ctx context.Context, s *cassandra.Session, p string) error {
		return s.Query(selectV, "a").Profile(p).WithContext(ctx).Exec()
	}},
	{"isolated", "isolated", false, func(ctx context.Context, s *cassandra.Session, p string) error {
		return s.Query(selectV, "a").Profile(p).WithContext(ctx).Exec()
	}},
	{"batch", "write", true, func(ctx context.Context, s *cassandra.Session, p string) error {
		return s.NewBatch(cassandra.LoggedBatch).Query(insertV, "a", "b").Profile(p).WithContext(ctx).Exec()
	}},
	{"CAS", "cas", true, func(ctx context.Context, s *cassandra.Session, p string) error {
		res, err := s.Query(casV, "b", "a", "c").Profile(p).WithContext(ctx).CAS()
		return sameOutcome(res, err)
	}},
	{"ScanCAS", "cas", true, func(ctx context.Context, s *cassandra.Session, p string) error {
		_, err := s.Query(casV, "b", "a", "c").Profile(p).WithContext(ctx).ScanCAS(new(string))
		return err
	}},
	{"batch CAS", "cas", true, func(ctx context.Context, s *cassandra.Session, p string) error {
		res, err := s.NewBatch(cassandra.LoggedBatch).Query(casV, "b", "a", "c").Profile(p).WithContext(ctx).CAS()
		return sameOutcome(res, err)
	}},
}

func sameOutcome(res cassandra.CASResult, err error) error {
	if (res.Outcome == cassandra.Unknown) != errors.Is(err, cassandra.ErrOutcomeUnknown) || res.Applied() {
		return fmt.Errorf("outcome %v with: %w", res.Outcome, err)
	}
	return err
}

// breaks lets the session's driver fail.
func breaks(err error) func(*testing.T, *cassandra.Session) {
	return func(_ *testing.T, s *cassandra.Session) { s.BreakDriver(err) }
}

func hangs(*cqltest.Request) {}

func sends(m message.Message) func(*cqltest.Request) { return func(r *cqltest.Request) { r.Send(m) } }

func shortly(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 50*time.Millisecond)
}

func canceledSoon(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	time.AfterFunc(50*time.Millisecond, cancel)
	return ctx, cancel
}

func gone(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx, cancel
}

// TestWhoseFaultItIs is the one table of who ended a call, how that shows, and in which
// call: what the caller, the request or the session did never counts against the cluster
// and makes no node suspect, and a write's unknown outcome is reported wherever there is one.
func TestWhoseFaultItIs(t *testing.T) {
	for _, e := range endings {
		for _, c := range calls {
			t.Run(e.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				whoseFault(t, e, c)
			})
		}
	}
}

func whoseFault(t *testing.T, e ending, c call) {
	cluster, s := scripted(t, cqltest.Config{}, func(cfg *cassandra.Config) {
		cfg.Guard.Breaker = &resilience.BreakerPolicy{MinimumCalls: 1000}
		cfg.SuspectAfter, cfg.QuietLimit, cfg.SilenceLimit = 1, time.Hour, time.Hour
		for name, p := range cfg.Profiles {
			p.Timeout, p.AttemptTimeout, p.Retry = patience, 200*time.Millisecond, nil
			if e.context != nil {
				p.AttemptTimeout = 0
			}
			cfg.Profiles[name] = p
		}
		hedged := cfg.Profiles["read"]
		hedged.Hedge = &resilience.HedgePolicy{Delay: 5 * time.Millisecond}
		low := cfg.Profiles["read"]
		low.Degraded = cassandra.LocalOne
		isolated := cfg.Profiles["read"]
		isolated.Isolated = true
		cfg.Profiles["hedged"], cfg.Profiles["low"], cfg.Profiles["isolated"] = hedged, low, isolated
	})
	for _, cql := range []string{selectV, insertV, casV} {
		cluster.On(cql, cqltest.Statement{Columns: cqltest.Columns("v text"), Answer: func(r *cqltest.Request) { r.Void() }})
	}
	ready := func() bool { return s.Query(insertV, "a", "b").Profile("once").Exec() == nil }
	eventually(t, "the session is ready", ready)
	for _, cql := range []string{selectV, insertV, casV} {
		cluster.On(cql, cqltest.Statement{Columns: cqltest.Columns("v text"), Answer: e.answer})
	}
	if e.prepare != nil {
		e.prepare(t, s)
	}
	ctx, cancel := t.Context(), context.CancelFunc(func() {})
	if e.context != nil {
		ctx, cancel = e.context(ctx)
	}
	defer cancel()
	err := c.run(ctx, s, c.profile)
	for _, kind := range e.kinds {
		if !errors.Is(err, kind) {
			t.Errorf("%v; want %v", err, kind)
		}
	}
	if got := errors.Is(err, cassandra.ErrOutcomeUnknown); got != (e.unknown && c.write) {
		t.Errorf("unknown %v: %v", got, err)
	}
	if says := strings.Contains(fmt.Sprint(err), "may have been done"); says != (e.unknown && c.write) {
		t.Errorf("says that it may have been done %v: %v", says, err)
	}
	failures := s.Guard().Snapshot().Failures + s.IsolatedGuard().Snapshot().Failures
	if got := failures > 0; got != e.failure {
		t.Errorf("%d failures count against the cluster: %v", failures, err)
	}
	if suspect := slices.ContainsFunc(s.Nodes(), func(n cassandra.NodeState) bool { return n.Suspect }); suspect && !e.failure {
		t.Errorf("the node is suspect: %v", err)
	}
}

// TestAStormOfShortDeadlines: callers with less time than the node needs do not shut the
// session for the others.
func TestAStormOfShortDeadlines(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{}, func(c *cassandra.Config) { c.Guard = resilience.Policy{} })
	cluster.On(selectV, cqltest.Statement{Columns: selects.Columns, Answer: func(r *cqltest.Request) {
		timer := time.NewTimer(50 * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
			one(r)
		case <-r.Context().Done():
		}
	}})
	eventually(t, "the session is ready", func() bool { return s.Query(selectV, "a").Exec() == nil })
	var storm sync.WaitGroup
	for range 8 {
		storm.Go(func() {
			for range 50 {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				if err := s.Query(selectV, "a").WithContext(ctx).Exec(); errors.Is(err, resilience.ErrOpen) {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	storm.Wait()
	if err := s.Query(selectV, "a").Exec(); err != nil {
		t.Error(err)
	}
	if n := s.Nodes()[0]; n.Suspect || n.Replaced > 0 || s.Guard().Snapshot().Breaker != resilience.BreakerClosed {
		t.Errorf("%+v, breaker %v", n, s.Guard().Snapshot().Breaker)
	}
}

// TestSchemaAgreementIsTold: a node that has another schema is no success that looks like one.
func TestSchemaAgreementIsTold(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{Nodes: 2}, func(c *cassandra.Config) {
		p := c.Profiles["once"]
		p.Timeout = 300 * time.Millisecond
		c.Profiles["schema"] = p
	})
	const create = "CREATE TABLE t2 (id int PRIMARY KEY)"
	cluster.On(create, cqltest.Statement{Answer: func(r *cqltest.Request) {
		r.Send(&message.SchemaChangeResult{ChangeType: "CREATED", Target: "TABLE", Keyspace: "ks", Object: "t2"})
	}})
	run := func() cassandra.Info {
		q := s.Query(create).Profile("schema")
		if err := q.Exec(); err != nil {
			t.Fatal(err)
		}
		return q.Info()
	}
	if !run().SchemaAgreed {
		t.Error("nodes that agree are reported to differ")
	}
	cluster.Node(0).Alter()
	if run().SchemaAgreed {
		t.Error("nodes that differ are reported to agree")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.AwaitSchemaAgreement(ctx); !errors.Is(err, cassandra.ErrTimedOut) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	cluster.Node(1).Alter()
	if err := s.AwaitSchemaAgreement(t.Context()); err != nil {
		t.Error(err)
	}
}
