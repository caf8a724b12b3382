//go:build linux

package cluster_test

import (
	"context"
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/internal/testenv"
)

func TestMain(m *testing.M) {
	if os.Getenv(ownerEnv) != "" {
		own()
	}
	// The driver's wait for schema agreement goes on after Close, for a bounded time.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/gocql/gocql.(*Conn).awaitSchemaAgreement"))
}

// needNodes ends the test where no nodes can be run, and returns the cache folder.
func needNodes(t *testing.T) string {
	t.Helper()
	testenv.NotShort(t, "it starts real nodes")
	cache, err := testenv.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Needs(cache); err != nil {
		testenv.Missing(t, err.Error())
	}
	return cache
}

func start(t *testing.T, cfg cluster.Config) *cluster.Cluster {
	t.Helper()
	cfg.Cache = needNodes(t)
	c, err := cluster.Start(t.Context(), cfg)
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

func TestThreeNodesFailAndComeBack(t *testing.T) {
	c := start(t, cluster.Config{Nodes: 3})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// late is a wait that can't end well, and what its error must say.
	late := func(want string, wait func(context.Context) error) {
		t.Helper()
		soon, stop := context.WithTimeout(ctx, 200*time.Millisecond)
		defer stop()
		if err := wait(soon); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), want) {
			t.Errorf("a wait ended with %v; want %q", err, want)
		}
	}
	paused, killed := c.Node(1), c.Node(2)
	s := session(t, c, "", "")
	must(s.Query("CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3}").Exec())
	must(s.Query("CREATE TABLE k.t (id int PRIMARY KEY)").Exec())

	t.Run("are seen down by the others", func(t *testing.T) {
		late("is now UP; node1 is running", func(ctx context.Context) error { return c.WaitSeen(ctx, paused, false) })
		// It takes the others some ten seconds to see a node down, so both go at once.
		must(paused.Pause())
		if err := paused.Pause(); !errors.Is(err, cluster.ErrState) {
			t.Errorf("paused twice: %v", err)
		}
		pid := killed.Pid()
		must(killed.Kill(ctx))
		if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err == nil || killed.State() != cluster.Down {
			t.Errorf("killed: process %d is there, state %s", pid, killed.State())
		}
		must(c.WaitSeen(ctx, paused, false))
		must(c.WaitSeen(ctx, killed, false))
		late("node1 is paused", paused.WaitReady)
		if err := killed.WaitReady(ctx); err == nil || !strings.Contains(err.Error(), "node2 is down; its log ends with:\nINFO") {
			t.Errorf("a wait for a node that is down: %v", err)
		}
		if err := killed.WaitHints(ctx); !errors.Is(err, cluster.ErrState) {
			t.Errorf("a wait for the hints of a node that is down: %v", err)
		}
	})
	t.Run("are back", func(t *testing.T) {
		must(paused.Resume())
		must(c.WaitSeen(ctx, paused, true))
		late("is now DOWN; node2 is down", func(ctx context.Context) error { return c.WaitSeen(ctx, killed, true) })
	})
	t.Run("get the hints of what they missed", func(t *testing.T) {
		must(s.Query("INSERT INTO k.t (id) VALUES (2)").Exec())
		// One of the others keeps it until the node is back.
		var keeper *cluster.Node
		eventually(t, "a hint of the write that a dead node missed", func() bool {
			for _, n := range []*cluster.Node{c.Node(1), c.Node(3)} {
				if size, err := n.Hints(); err == nil && size > 0 {
					keeper = n
				}
			}
			return keeper != nil
		})
		late("bytes of them", keeper.WaitHints)
		must(killed.Start(ctx))
		must(c.WaitSeen(ctx, killed, true))
		must(keeper.WaitHints(ctx))
		if size, err := keeper.Hints(); err != nil || size != 0 {
			t.Errorf("hints of %d bytes are left, %v", size, err)
		}
	})
	t.Run("are restarted one after another", func(t *testing.T) {
		before := []int{c.Node(1).Pid(), c.Node(2).Pid(), c.Node(3).Pid()}
		must(c.RollingRestart(ctx))
		for i, n := range c.Nodes() {
			if n.State() != cluster.Running || n.Pid() == before[i] {
				t.Errorf("%s: %s, process %d before and %d after", n.Name(), n.State(), before[i], n.Pid())
			}
		}
		must(c.WaitUp(ctx))
	})
	t.Run("end with the cluster", func(t *testing.T) {
		pids := []int{c.Node(1).Pid(), c.Node(2).Pid(), c.Node(3).Pid()}
		must(paused.Pause()) // A paused node ends like the others.
		must(c.Close())
		for _, pid := range pids {
			if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err == nil {
				t.Errorf("process %d lives after Close", pid)
			}
		}
	})
}

func TestBadConfigurations(t *testing.T) {
	for _, cfg := range []cluster.Config{{Nodes: 7}, {Nodes: 4, DataCenters: 2}, {DataCenters: 3}, {HeapMB: 1}, {StartTimeout: -1}} {
		if _, err := cluster.Start(t.Context(), cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
	t.Setenv("PATH", "")
	if _, err := cluster.Start(t.Context(), cluster.Config{Cache: t.TempDir()}); !errors.Is(err, cluster.ErrMissing) {
		t.Errorf("without java: %v", err)
	}
}

func TestNoNodesWhereChaosIsOff(t *testing.T) {
	t.Setenv(chaos.OffVariable, "off")
	if _, err := cluster.Start(t.Context(), cluster.Config{Cache: t.TempDir()}); !errors.Is(err, chaos.ErrOff) {
		t.Errorf("error is %v", err)
	}
}

func TestTokensAreSpreadEvenly(t *testing.T) {
	for nodes := 1; nodes <= 6; nodes++ {
		for n := 1; n < nodes; n++ {
			gap := uint64(cluster.Token(n, nodes, 0)) - uint64(cluster.Token(n-1, nodes, 0))
			if want := math.MaxUint64 / uint64(nodes); gap != want {
				t.Errorf("node %d of %d is %d after the one before; want %d", n, nodes, gap, want)
			}
		}
		if cluster.Token(0, nodes, 1) == cluster.Token(0, nodes, 0) {
			t.Error("two data centres have one token")
		}
	}
	if got := cluster.Token(2, 3, 0); got != 3074457345618258602 {
		t.Errorf("the third of three is at %d", got)
	}
}
