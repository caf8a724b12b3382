//go:build linux

package cluster_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/clients/cassandra"
)

// TestEachKindOfFaultHarmsANode follows a plan for each kind of fault that nodes know, and
// looks at the node from outside: its process, its port, its disk, what clients get.
// Partitions of nodes from each other are in TestTwoDataCenters.
func TestEachKindOfFaultHarmsANode(t *testing.T) {
	c := start(t, cluster.Config{DiskMB: 256, Namespaces: true,
		Yaml: "authenticator: PasswordAuthenticator\ndata_disk_usage_percentage_warn_threshold: 60\ndata_disk_usage_percentage_fail_threshold: 80\n"})
	n := c.Node(1)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	s := appSession(t, c)
	write := func() error { return s.Query("INSERT INTO k.t (id, data) VALUES (?, ?)", 1, []byte("x")).Exec() }
	// dials says how the node's port is met: nil, refused or not answered.
	dials := func() error {
		conn, err := net.DialTimeout("tcp", n.Address(), time.Second)
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	silent := func(t *testing.T) {
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := n.WaitReady(soon); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "node1 is "+string(n.State())) {
			t.Errorf("a wait for it ends with %v", err)
		}
	}
	down := func(t *testing.T) {
		eventually(t, "no process", func() bool { return n.State() == cluster.Down && n.Pid() == 0 })
		if err := dials(); err == nil {
			t.Error("a node that is down was reached")
		}
	}
	shutdown := func() int { return count(t, n.LogFile(), "Announcing shutdown") }

	faults := map[chaos.Kind]struct {
		what   chaos.What
		during func(t *testing.T)
		again  bool // another process serves afterwards
	}{
		chaos.Kill: {during: down, again: true},
		chaos.Stop: {during: func(t *testing.T) {
			down(t)
			if shutdown() == 0 {
				t.Error("it was not stopped in order: its log does not say so")
			}
		}, again: true},
		chaos.Pause: {during: func(t *testing.T) {
			eventually(t, "it is paused", func() bool { return n.State() == cluster.Paused })
			if err := dials(); err != nil {
				t.Errorf("the connections of a paused node are the kernel's: %v", err)
			}
			silent(t)
		}},
		chaos.Partition: {what: chaos.What{Peers: []string{chaos.Clients}}, during: func(t *testing.T) {
			eventually(t, "it hears nothing", func() bool { return !hears(t, n) })
			silent(t)
		}},
		chaos.BinaryOff: {during: func(t *testing.T) {
			eventually(t, "no connection is accepted", func() bool { return dials() != nil })
			if n.State() != cluster.Running {
				t.Errorf("it is %s", n.State())
			}
		}},
		chaos.DiskFull: {what: chaos.What{Free: 20 << 20}, during: func(t *testing.T) {
			eventually(t, "the disk is full", func() bool {
				size, free, err := n.DiskUsage()
				return err == nil && size == 256<<20 && free <= 20<<20
			})
			var err error
			eventually(t, "writes are refused by the disk guardrail", func() bool { err = write(); return err != nil })
			if !errors.Is(err, cassandra.ErrDiskFull) || errors.Is(err, cassandra.ErrOutcomeUnknown) {
				t.Errorf("a guardrail's refusal is %v", err)
			}
			var id int
			if err := s.Query("SELECT id FROM k.t").Scan(&id); err != nil {
				t.Errorf("reads go on: %v", err)
			}
		}},
	}
	for _, kind := range chaos.Kinds() {
		if !kind.Kind.AppliesTo(chaos.Node) {
			continue
		}
		fault, ok := faults[kind.Kind]
		if !ok {
			t.Errorf("nothing shows what %s does to a node", kind.Kind)
			continue
		}
		t.Run(string(kind.Kind), func(t *testing.T) {
			pid, stopped := n.Pid(), shutdown()
			fault.what.Kind = kind.Kind
			follow(t, ctx, c, 1, []chaos.Rule{{Where: chaos.Where{Node: "node1"}, What: fault.what}}, func(*chaos.Injector) { fault.during(t) })
			eventually(t, "writes go on", func() bool { return write() == nil })
			if again := n.Pid() != pid; again != fault.again {
				t.Errorf("another process serves: %t, want %t", again, fault.again)
			}
			if kind.Kind != chaos.Stop && shutdown() != stopped {
				t.Error("it was shut down in order")
			}
		})
	}

	t.Run("drain by hand", func(t *testing.T) {
		if err := n.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		if err := write(); err == nil {
			t.Error("a drained node took a write")
		}
		if n.State() != cluster.Running {
			t.Errorf("it is %s", n.State())
		}
		if err := n.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		eventually(t, "writes go on", func() bool { return write() == nil })
	})
	t.Run("a bad command", func(t *testing.T) {
		if out, err := n.Tool(ctx, "nonsense"); err == nil || out != "" || !strings.Contains(err.Error(), "nodetool nonsense on node1") {
			t.Errorf("%q, %v", out, err)
		}
	})
	t.Run("a disk without any room", func(t *testing.T) {
		follow(t, ctx, c, 1, []chaos.Rule{{What: chaos.What{Kind: chaos.DiskFull}}}, func(*chaos.Injector) {
			eventually(t, "it is felt", func() bool {
				_, free, err := n.DiskUsage()
				return n.State() == cluster.Down || err == nil && free < 1<<20 && write() != nil
			})
		})
		eventually(t, "writes go on", func() bool { return write() == nil })
	})
}

// appSession makes a table, and a user that is no superuser, so that guardrails apply.
func appSession(t *testing.T, c *cluster.Cluster) *cassandra.Session {
	t.Helper()
	admin := session(t, c, "cassandra", "cassandra")
	for _, cql := range []string{
		"CREATE ROLE app WITH LOGIN = true AND PASSWORD = 'secret-word'",
		"CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 1}",
		"CREATE TABLE k.t (id int PRIMARY KEY, data blob)",
	} {
		if err := admin.Query(cql).Exec(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := login(t, c.Hosts(), "", "app", "guessed-word"); !errors.Is(err, cassandra.ErrInvalid) || !strings.Contains(err.Error(), "credentials") || strings.Contains(err.Error(), "-word") {
		t.Errorf("bad credentials: %v", err)
	}
	return session(t, c, "app", "secret-word")
}

// count is how often a text is in a file.
func count(t *testing.T, file, text string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), text)
}
