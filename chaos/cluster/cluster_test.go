//go:build linux

package cluster_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

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
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	paused, killed, stopped := c.Node(1), c.Node(2), c.Node(3)
	must(paused.Pause())
	if err := paused.Pause(); !errors.Is(err, cluster.ErrState) {
		t.Errorf("paused twice: %v", err)
	}
	must(c.WaitSeen(ctx, paused, false))
	must(paused.Resume())
	must(c.WaitSeen(ctx, paused, true))
	pid := killed.Pid()
	must(killed.Kill(ctx))
	if _, err := os.Stat("/proc/" + itoa(pid)); err == nil || killed.State() != cluster.Down {
		t.Errorf("killed: process %d is there, state %s", pid, killed.State())
	}
	must(c.WaitSeen(ctx, killed, false))
	must(killed.Start(ctx))
	must(c.WaitSeen(ctx, killed, true))
	must(stopped.Stop(ctx))
	must(c.WaitSeen(ctx, stopped, false))
	must(stopped.Start(ctx))
	must(c.WaitUp(ctx))
	pids := []int{paused.Pid(), killed.Pid(), stopped.Pid()}
	must(paused.Pause()) // A paused node ends like the others.
	must(c.Close())
	for _, pid := range pids {
		if _, err := os.Stat("/proc/" + itoa(pid)); err == nil {
			t.Errorf("process %d lives after Close", pid)
		}
	}
}

func TestOneNode(t *testing.T) {
	c := start(t, cluster.Config{})
	if hosts := c.Hosts(); len(hosts) != 1 || c.Node(1).State() != cluster.Running || c.Node(2) != nil {
		t.Errorf("hosts %v, state %s", hosts, c.Node(1).State())
	}
}

func TestBadConfigurations(t *testing.T) {
	for _, cfg := range []cluster.Config{{Nodes: 4}, {DataCenters: 3}, {HeapMB: 1}, {StartTimeout: -1}} {
		if _, err := cluster.Start(t.Context(), cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
	t.Setenv("PATH", "")
	if _, err := cluster.Start(t.Context(), cluster.Config{Cache: t.TempDir()}); !errors.Is(err, cluster.ErrMissing) {
		t.Errorf("without java: %v", err)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
