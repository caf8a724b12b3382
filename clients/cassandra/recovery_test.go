package cassandra_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
)

// reopenings counts how often a breaker's trial failed.
type reopenings struct{ n atomic.Int64 }

// Handle implements resilience.Listener.
func (r *reopenings) Handle(ctx context.Context, e resilience.Event) context.Context {
	if e.Kind == resilience.BreakerChanged && e.From == resilience.BreakerHalfOpen && e.To == resilience.BreakerOpen {
		r.n.Add(1)
	}
	return ctx
}

// mostTrials is how many trials of the breaker may fail once the cluster answers again:
// one that was under way, and one that finds no connection, and has one made.
const mostTrials = 2

// TestTheScheduleOfRecovery: by the default guard's schedule, the trial that succeeds
// comes within a second after the cluster answers. How fast the machine is does not
// matter here: the trials that may fail before it are counted, in the test below.
func TestTheScheduleOfRecovery(t *testing.T) {
	b := cassandra.DefaultGuard().WithDefaults().Breaker
	longest := time.Duration(float64(b.MaxOpenFor) * (1 + b.Jitter))
	if total := mostTrials * longest; total > time.Second {
		t.Errorf("%d open periods of up to %v take %v, more than a second", mostTrials, longest, total)
	}
}

// TestFewTrialsFailAfterAnOutage, however fast the machine is. All nodes refuse here:
// from a silent one connections are taken, which comes to the same (TestOutages).
func TestFewTrialsFailAfterAnOutage(t *testing.T) {
	cluster := cqltest.Start(t, cqltest.Config{Nodes: 3})
	cluster.On(selectV, selects)
	failed := &reopenings{}
	s := outageSession(t, cluster, &logged{}, func(c *cassandra.Config) {
		c.Options = []resilience.Option{resilience.WithListener(failed)}
		// A trial that takes long on a busy machine has not failed.
		c.Guard = cassandra.DefaultGuard()
		c.Guard.Breaker.ProbeTimeout = patience
		c.Profiles = map[string]cassandra.Profile{"read": {OperationPolicy: resilience.OperationPolicy{Timeout: patience, Idempotent: true}, Consistency: cassandra.LocalQuorum}}
	})
	l := start(t, s)
	defer l.end()
	l.flows(t)
	cluster.Stop()
	eventually(t, "the breaker refuses", func() bool { return l.refused.Load() > 20 })
	eventually(t, "connections are gone", func() bool {
		for _, n := range s.Nodes() {
			if n.Connections > 0 {
				return false
			}
		}
		return true
	})
	cluster.Restart(t)
	before := failed.n.Load()
	eventually(t, "the breaker closes", func() bool { return s.Guard().Snapshot().Breaker == resilience.BreakerClosed })
	if n := failed.n.Load() - before; n > mostTrials {
		t.Errorf("%d trials failed after the cluster answered, want %d at most", n, mostTrials)
	}
	l.flows(t)
}
