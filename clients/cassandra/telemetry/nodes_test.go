package telemetry_test

import (
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
)

// TestEachNodeIsMeasured: streams in use, orphaned and available, and the delay before
// the sending, learn of each node.
func TestEachNodeIsMeasured(t *testing.T) {
	const selectV = "SELECT v FROM t WHERE id = 'a'"
	cluster := cqltest.Start(t, cqltest.Config{})
	cluster.On(selectV, cqltest.Statement{Answer: (*cqltest.Request).Void})
	r := newRig(t, 0)
	s, err := cassandra.Connect(t.Context(), cassandra.Config{
		Hosts: cluster.Hosts(), Port: cluster.Port(), Keyspace: "ks", Observers: []cassandra.Observer{r}, DefaultProfile: "read", SilenceLimit: time.Hour,
		Profiles: map[string]cassandra.Profile{"read": {OperationPolicy: resilience.OperationPolicy{Timeout: time.Second}, Consistency: cassandra.LocalQuorum}},
	})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	must(t, r.Watch(s))
	must(t, s.Query(selectV).Exec())
	reported := func(name string) float64 {
		t.Helper()
		got := r.metric(t, "backstay.cassandra.node."+name)
		if len(got) != 1 {
			t.Fatalf("%s is reported %d nodes, want 1: %v", name, len(got), got)
		}
		for _, v := range got {
			return v
		}
		return 0
	}
	if use, orphans, left := reported("in_flight"), reported("orphans"), reported("available"); use != 0 || orphans != 0 || left <= 0 {
		t.Errorf("%v in use, %v orphaned, %v available", use, orphans, left)
	}
	if delay, latency := reported("queue_delay"), reported("latency"); delay <= 0 || latency <= 0 {
		t.Errorf("a delay of %v and a latency of %v", delay, latency)
	}
	left := reported("available")
	cluster.Silence(true)
	if err := s.Query(selectV).Exec(); err == nil {
		t.Error("a silent node answered")
	}
	if use, orphans, now := reported("in_flight"), reported("orphans"), reported("available"); use != 1 || orphans != 1 || now != left-1 {
		t.Errorf("%v in use, %v orphaned, %v of %v available", use, orphans, now, left)
	}
}
