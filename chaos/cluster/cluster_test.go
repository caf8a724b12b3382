//go:build linux

package cluster_test

import (
	"context"
	"errors"
	"math"
	"os"
	"strconv"
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

func start(t *testing.T, cfg cluster.Config) *cluster.Cluster {
	t.Helper()
	testenv.NotShort(t, "it starts real nodes")
	var err error
	if cfg.Cache, err = testenv.CacheDir(); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Needs(cfg.Cache); err != nil {
		testenv.Missing(t, err.Error())
	}
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
	paused, killed := c.Node(1), c.Node(2)
	s := session(t, c, "", "")
	must(s.Query("CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3}").Exec())
	must(s.Query("CREATE TABLE k.t (id int PRIMARY KEY)").Exec())
	// It takes the others some ten seconds to see a node down, so both go at once.
	must(paused.Pause())
	if err := paused.Pause(); !errors.Is(err, cluster.ErrState) {
		t.Errorf("paused twice: %v", err)
	}
	pid := killed.Pid()
	must(killed.Kill(ctx))
	if _, err := os.Stat("/proc/" + itoa(pid)); err == nil || killed.State() != cluster.Down {
		t.Errorf("killed: process %d is there, state %s", pid, killed.State())
	}
	must(c.WaitSeen(ctx, paused, false))
	must(c.WaitSeen(ctx, killed, false))
	must(paused.Resume())
	must(c.WaitSeen(ctx, paused, true))
	must(s.Query("INSERT INTO k.t (id) VALUES (2)").Exec())
	// What it missed is kept for it, by one of the others, until it is back.
	var missed *cluster.Node
	eventually(t, "a hint of the write that a dead node missed", func() bool {
		for _, n := range []*cluster.Node{c.Node(1), c.Node(3)} {
			if size, err := n.Hints(); err == nil && size > 0 {
				missed = n
			}
		}
		return missed != nil
	})
	soon, stop := context.WithTimeout(ctx, 100*time.Millisecond)
	if err := missed.WaitHints(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the wait for hints ended while there were some: %v", err)
	}
	stop()
	must(killed.Start(ctx))
	must(c.WaitSeen(ctx, killed, true))
	must(missed.WaitHints(ctx))
	if size, err := missed.Hints(); err != nil || size != 0 {
		t.Errorf("hints of %d bytes are left, %v", size, err)
	}
	before := []int{c.Node(1).Pid(), c.Node(2).Pid(), c.Node(3).Pid()}
	must(c.RollingRestart(ctx))
	var pids []int
	for i, n := range c.Nodes() {
		pids = append(pids, n.Pid())
		if n.State() != cluster.Running || n.Pid() == before[i] {
			t.Errorf("%s: %s, process %d before and %d after", n.Name(), n.State(), before[i], n.Pid())
		}
	}
	must(c.WaitUp(ctx))
	must(paused.Pause()) // A paused node ends like the others.
	must(c.Close())
	for _, pid := range pids {
		if _, err := os.Stat("/proc/" + itoa(pid)); err == nil {
			t.Errorf("process %d lives after Close", pid)
		}
	}
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

func itoa(n int) string { return strconv.Itoa(n) }

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
