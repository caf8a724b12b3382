package cassandra_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/testenv"
	"github.com/backstay-go/backstay/resilience"
)

// realRegions is two data centres of one real node each.
func realRegions(t *testing.T) *cluster.Cluster {
	t.Helper()
	testenv.NotShort(t, "it needs two data centres of real Cassandra nodes")
	cache, err := testenv.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Needs(cache); err != nil {
		testenv.Missing(t, err.Error())
	}
	c, err := cluster.Start(t.Context(), cluster.Config{Nodes: 1, DataCenters: 2, HeapMB: 384, Cache: cache, Yaml: "tables_warn_threshold: 77\n"})
	if errors.Is(err, cluster.ErrMissing) {
		testenv.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// TestRegionsOfRealNodes loses the local data centre twice, by a pause and by kill -9,
// and sees that reads and idempotent writes go to the remote one within its budget, and
// come back.
func TestRegionsOfRealNodes(t *testing.T) {
	c := realRegions(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	local, remote := c.Node(1), c.Node(2)
	op := resilience.OperationPolicy{Timeout: 5 * time.Second, AttemptTimeout: 2 * time.Second, Idempotent: true}
	remoteGuard := cassandra.DefaultFailoverGuard()
	remoteGuard.RateLimit = &resilience.RateLimitPolicy{PerSecond: 200}
	s, err := cassandra.Connect(ctx, cassandra.Config{
		Hosts: []string{local.Host()}, LocalDC: "dc1", DefaultProfile: "use", Failover: &cassandra.Failover{DataCenter: "dc2", Guard: remoteGuard},
		Profiles: map[string]cassandra.Profile{
			"schema": {OperationPolicy: resilience.OperationPolicy{Timeout: time.Minute}, Consistency: cassandra.Quorum},
			"use":    {OperationPolicy: op, Consistency: cassandra.LocalQuorum, Failover: true},
			"home":   {OperationPolicy: op, Consistency: cassandra.LocalQuorum},
		},
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	t.Cleanup(func() { must(s.Close()) })
	for _, cql := range []string{
		"CREATE KEYSPACE regions WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 1, 'dc2': 1}",
		"CREATE TABLE regions.t (k text PRIMARY KEY, v text)",
	} {
		must(s.Query(cql).Profile("schema").Exec())
	}
	const insert, read = "INSERT INTO regions.t (k, v) VALUES (?, ?)", "SELECT v FROM regions.t WHERE k = ?"
	var v string
	// where asks once and says which node answered, and whether in place of another.
	where := func() (node string, answeredBy bool, err error) {
		q := s.Query(read, "k").WithContext(ctx)
		err = q.Scan(&v)
		return q.Info().Coordinator, q.Info().FailedOver, err
	}
	must(s.Query(insert, "k", "first").Exec())
	for range 20 {
		if node, answeredBy, err := where(); err != nil || node != local.Address() || answeredBy {
			t.Fatalf("with both data centres well: %s, %v, %v", node, answeredBy, err)
		}
	}
	if got := s.RemoteGuard().Snapshot().Calls; got != 0 {
		t.Errorf("%d requests went to the remote data centre without need", got)
	}

	must(s.Query(insert, "large", strings.Repeat("x", 3<<20)).Exec())
	_, err = local.Tool(ctx, "flush", "regions")
	must(err)
	inspector, err := s.Inspector()
	must(err)
	t.Cleanup(func() { must(inspector.Close()) })
	health, err := inspector.Read(ctx)
	must(err)
	if len(health) != 2 || health[0].DataCenter != "dc1" || health[1].DataCenter != "dc2" {
		t.Fatalf("health of %+v", health)
	}
	for _, h := range health {
		if len(h.ThreadPools) == 0 || h.Guardrails["tables_warn_threshold"] != 77 {
			t.Errorf("%s: %d pools, guardrails %v", h.Address, len(h.ThreadPools), h.Guardrails)
		}
	}
	if got := health[0].LargestPartitions["regions.t"]; got < 3<<20 {
		t.Errorf("the largest partition has %d bytes, 3 MiB were written to it", got)
	}

	for _, loss := range []struct {
		name           string
		happen, repair func() error
	}{
		{"paused", local.Pause, local.Resume},
		{"killed", func() error { return local.Kill(ctx) }, func() error { return local.Start(ctx) }},
	} {
		must(loss.happen())
		eventually(t, "the remote data centre to answer while the local one is "+loss.name, func() bool {
			node, answeredBy, err := where()
			return err == nil && node == remote.Address() && answeredBy
		})
		// From here on nothing but the remote data centre answers, and nothing fails.
		for range 20 {
			if node, answeredBy, err := where(); err != nil || node != remote.Address() || !answeredBy {
				t.Errorf("%s: %s, %v, %v", loss.name, node, answeredBy, err)
			}
		}
		must(s.Query(insert, loss.name, "written there").WithContext(ctx).Exec())
		if err := s.Query(read, "k").Profile("home").WithContext(ctx).Scan(&v); err == nil {
			t.Errorf("%s: a profile without Failover was answered", loss.name)
		}
		if loss.name == "killed" {
			found, err := inspector.Read(ctx)
			if err == nil || len(found) != 1 || found[0].DataCenter != "dc2" {
				t.Errorf("health with one node gone: %+v, %v", found, err)
			}
		}
		must(loss.repair())
		eventually(t, "traffic to come back", func() bool {
			node, answeredBy, err := where()
			return err == nil && node == local.Address() && !answeredBy
		})
	}
}
