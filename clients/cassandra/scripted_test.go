package cassandra_test

import (
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
)

// patience is how long tests on the scripted cluster wait for what must come.
const patience = 20 * time.Second

// scriptedProfiles are those of the tests on the scripted cluster. Retries pause
// for next to nothing.
func scriptedProfiles() map[string]cassandra.Profile {
	retry := &resilience.RetryPolicy{MaxAttempts: 3, BaseDelay: time.Millisecond, MaxDelay: time.Millisecond}
	once := resilience.OperationPolicy{Timeout: patience, Retry: retry}
	again := once
	again.Idempotent = true
	brief := again
	brief.Timeout, brief.AttemptTimeout = patience, 100*time.Millisecond
	return map[string]cassandra.Profile{
		"read":   {OperationPolicy: again, Consistency: cassandra.LocalQuorum},
		"write":  {OperationPolicy: again, Consistency: cassandra.LocalQuorum},
		"once":   {OperationPolicy: once, Consistency: cassandra.LocalQuorum},
		"cas":    {OperationPolicy: once, Consistency: cassandra.LocalQuorum, SerialConsistency: cassandra.LocalSerial},
		"serial": {OperationPolicy: again, Consistency: cassandra.LocalSerial},
		"brief":  {OperationPolicy: brief, Consistency: cassandra.LocalQuorum},
	}
}

// scripted starts a cluster and a session on it whose breaker never opens, so that
// what one request does is seen.
func scripted(t *testing.T, c cqltest.Config, change ...func(*cassandra.Config)) (*cqltest.Cluster, *cassandra.Session) {
	t.Helper()
	cluster := cqltest.Start(t, c)
	return cluster, scriptedSession(t, cluster, change...)
}

func scriptedSession(t *testing.T, cluster *cqltest.Cluster, change ...func(*cassandra.Config)) *cassandra.Session {
	t.Helper()
	guard := cassandra.DefaultGuard()
	guard.Breaker = &resilience.BreakerPolicy{Mode: resilience.BreakerDisabled}
	guard.Budget = &resilience.BudgetPolicy{Ratio: 1, Burst: 1000}
	cfg := cassandra.Config{Hosts: cluster.Hosts(), Port: cluster.Port(), Keyspace: "ks", LocalDC: "dc1", Guard: guard,
		Profiles: scriptedProfiles(), DefaultProfile: "read"}
	for _, f := range change {
		f(&cfg)
	}
	s, err := cassandra.Connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatalf("in vain: waited %v until %s", patience, what)
		case <-tick.C:
		}
	}
}

const (
	selectV = "SELECT v FROM t WHERE id = ?"
	insertV = "INSERT INTO t (id, v) VALUES (?, ?)"
	casV    = "UPDATE t SET v = ? WHERE id = ? IF v = ?"
)

// one answers each read with one row.
func one(r *cqltest.Request) { r.Rows([]any{"x"}) }

var selects = cqltest.Statement{Columns: cqltest.Columns("v text"), Answer: one}

func TestScriptedClusterAnswers(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{Nodes: 3})
	cluster.On(selectV, selects)
	cluster.On(insertV, cqltest.Statement{Answer: (*cqltest.Request).Void})
	if err := s.Query(insertV, "a", "x").Profile("write").Exec(); err != nil {
		t.Fatal(err)
	}
	var v string
	q := s.Query(selectV, "a")
	if err := q.Scan(&v); err != nil || v != "x" {
		t.Fatalf("%q, %v", v, err)
	}
	if got := cluster.Received(selectV); len(got) != 1 || got[0].Consistency != uint16(cassandra.LocalQuorum) || string(got[0].Values[0]) != "a" {
		t.Errorf("received %+v", got)
	}
}
