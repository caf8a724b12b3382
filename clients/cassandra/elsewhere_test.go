package cassandra

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/backstay-go/backstay/resilience"
)

// refusing is a driver whose nodes fail, one after the other, as the test says.
type refusing struct {
	nodes *driver.Nodes
	fail  func(nth int) *driver.Failure
	asked int
}

func (r *refusing) Do(_ context.Context, _ *driver.Request, call *driver.Call) (driver.Page, error) {
	r.asked++
	n := r.nodes.Node(fmt.Sprintf("10.0.0.%d:9042", r.asked), "dc1")
	a := &driver.Attempt{Call: call}
	f := r.fail(r.asked)
	if f.Sent {
		a.Started(n)
		a.Ended(n, true)
	} else {
		a.Chosen(n)
	}
	a.Left(f)
	return nil, f
}

func (*refusing) Close() {}

// TestWhatWasNeverSentGoesElsewhereAtOnce: without a retry, a pause or a token of the
// budget, and also if the statement may not be repeated.
func TestWhatWasNeverSentGoesElsewhereAtOnce(t *testing.T) {
	broken := &driver.Failure{Cause: driver.Disconnected, Code: -1}
	for _, c := range []struct {
		name  string
		fail  driver.Failure
		asked int
	}{
		{"broken before it was sent", *broken, maxNodes},
		{"no stream left", driver.Failure{Cause: driver.NoStreams, Code: -1}, maxNodes},
		{"bootstrapping", driver.Failure{Cause: driver.Bootstrapping, Code: 0x1002, Sent: true}, maxNodes},
		{"lost its statements", driver.Failure{Cause: driver.Unprepared, Code: 0x2500, Sent: true}, maxNodes},
		{"broken when it was sent", driver.Failure{Cause: driver.Disconnected, Code: -1, Sent: true}, 1},
		{"no connections at all", driver.Failure{Cause: driver.NoConnections, Code: -1}, 1},
		{"overloaded", driver.Failure{Cause: driver.Overloaded, Code: 0x1001, Sent: true}, 1},
		{"timed out", driver.Failure{Cause: driver.TimedOut, Code: -1, Sent: true}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &Session{ended: make(chan struct{}), config: Config{Profiles: map[string]Profile{"once": {
				OperationPolicy: resilience.OperationPolicy{Timeout: time.Minute}, Consistency: LocalQuorum}}, DefaultProfile: "once"}}
			s.config = s.config.withDefaults()
			guard, err := resilience.New(s.config.policy())
			if err != nil {
				t.Fatal(err)
			}
			s.guard = guard
			s.ctx, s.end = context.WithCancel(t.Context())
			s.install(s.config.Profiles)
			d := &refusing{nodes: driver.NewNodes(driver.Limits{}), fail: func(int) *driver.Failure { f := c.fail; return &f }}
			s.link.Store(&link{driver: d, nodes: d.nodes})
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			err = s.Query("INSERT INTO t (id) VALUES (?)", "a").Exec()
			var e *Error
			if !errors.As(err, &e) || d.asked != c.asked {
				t.Errorf("asked %d nodes, want %d; %v", d.asked, c.asked, err)
			}
			if errors.Is(err, ErrOutcomeUnknown) != (c.asked == 1 && c.fail.Sent) {
				t.Errorf("outcome unknown is %v: %v", e.OutcomeUnknown, err)
			}
		})
	}
}
