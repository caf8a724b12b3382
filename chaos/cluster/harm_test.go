//go:build linux

package cluster_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/testenv"
	"github.com/backstay-go/backstay/resilience"
)

// ownerEnv makes this test binary the owner of a cluster that is about to be killed.
const ownerEnv = "BACKSTAY_TEST_OWNER"

// eventually waits for a condition, up to five minutes: commands of a node are JVMs.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within five minutes: %s", what)
		case <-tick.C:
		}
	}
}

// own starts a node, says where it is, and waits to be killed.
func own() {
	cache, err := testenv.CacheDir()
	if err == nil {
		var c *cluster.Cluster
		if c, err = cluster.Start(context.Background(), cluster.Config{Cache: cache}); err == nil {
			fmt.Println(c.Node(1).Pid(), filepath.Dir(filepath.Dir(c.Node(1).LogFile())))
			select {}
		}
	}
	fmt.Println("failed:", err)
	os.Exit(1)
}

func TestAKilledOwnerLeavesNothing(t *testing.T) {
	testenv.NotShort(t, "it starts real nodes")
	cache, err := testenv.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Needs(cache); err != nil {
		testenv.Missing(t, err.Error())
	}
	owner := exec.CommandContext(t.Context(), os.Args[0])
	owner.Env = append(os.Environ(), ownerEnv+"=1")
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait() // killed
	pid, dir, ok := strings.Cut(strings.TrimSpace(line), " ")
	if !ok || !filepath.IsAbs(dir) {
		t.Fatalf("the owner said %q", line)
	}
	eventually(t, "the node of a killed owner ends", func() bool {
		_, err := os.Stat("/proc/" + pid)
		return errors.Is(err, os.ErrNotExist)
	})
	c := start(t, cluster.Config{})
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the next cluster left the dead one's folder %s: %v", dir, err)
	}
	t.Run("one node", func(t *testing.T) {
		if hosts := c.Hosts(); len(hosts) != 1 || c.Node(1).State() != cluster.Running || c.Node(2) != nil {
			t.Errorf("hosts %v, state %s", hosts, c.Node(1).State())
		}
	})
	t.Run("the machine's own disk and network are left alone", func(t *testing.T) {
		for what, err := range map[string]error{"fill": c.Node(1).FillDisk(0), "cut": c.Cut(c.Node(1), c.Node(1)), "cut clients": c.CutClients(c.Node(1))} {
			if !errors.Is(err, cluster.ErrState) {
				t.Errorf("%s: got %v", what, err)
			}
		}
	})
}

func session(t *testing.T, c *cluster.Cluster, user, password string) *cassandra.Session {
	t.Helper()
	return loggedIn(t, user, func() (*cassandra.Session, error) { return login(t, c.Hosts(), "", user, password) })
}

// sessionAt is a session with the nodes of one data centre.
func sessionAt(t *testing.T, n *cluster.Node) *cassandra.Session {
	t.Helper()
	return loggedIn(t, "nobody", func() (*cassandra.Session, error) { return login(t, []string{n.Host()}, n.DataCenter(), "", "") })
}

func loggedIn(t *testing.T, user string, login func() (*cassandra.Session, error)) *cassandra.Session {
	t.Helper()
	var s *cassandra.Session
	var err error
	// The first user is made some time after the node answers.
	eventually(t, "login of "+user, func() bool { s, err = login(); return err == nil })
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func login(t *testing.T, hosts []string, dc, user, password string) (*cassandra.Session, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return cassandra.Connect(ctx, cassandra.Config{Hosts: hosts, LocalDC: dc, Username: user, Password: cassandra.Secret(password), Profiles: map[string]cassandra.Profile{
		"all": {OperationPolicy: resilience.OperationPolicy{Timeout: 20 * time.Second}, Consistency: cassandra.One},
	}})
}

func TestDiskFillsAndBinaryProtocolEnds(t *testing.T) {
	c := start(t, cluster.Config{DiskMB: 256, Yaml: "authenticator: PasswordAuthenticator\ndata_disk_usage_percentage_warn_threshold: 60\ndata_disk_usage_percentage_fail_threshold: 80\n"})
	n := c.Node(1)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	admin := session(t, c, "cassandra", "cassandra")
	must(admin.Query("CREATE ROLE app WITH LOGIN = true AND PASSWORD = 'secret-word'").Exec())
	if _, err := login(t, c.Hosts(), "", "app", "guessed-word"); !errors.Is(err, cassandra.ErrInvalid) || !strings.Contains(err.Error(), "credentials") || strings.Contains(err.Error(), "-word") {
		t.Errorf("bad credentials: %v", err)
	}
	s := session(t, c, "app", "secret-word")
	must(s.Query("CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 1}").Exec())
	must(s.Query("CREATE TABLE k.t (id int PRIMARY KEY, data blob)").Exec())
	write := func() error { return s.Query("INSERT INTO k.t (id, data) VALUES (?, ?)", 1, []byte("x")).Exec() }
	must(write())

	plan(t, ctx, c, chaos.What{Kind: chaos.DiskFull, Free: 20 << 20}, "node1", func() {
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
	})
	eventually(t, "writes go on", func() bool { return write() == nil })

	plan(t, ctx, c, chaos.What{Kind: chaos.BinaryOff}, "node1", func() {
		eventually(t, "no connection is accepted with the binary protocol off", func() bool {
			conn, err := net.DialTimeout("tcp", n.Address(), time.Second)
			if err == nil {
				conn.Close()
			}
			return err != nil
		})
		if n.State() != cluster.Running {
			t.Errorf("with the binary protocol off it is %s", n.State())
		}
	})
	eventually(t, "writes go on", func() bool { return write() == nil })
	if out, err := n.Tool(ctx, "nonsense"); err == nil || out != "" {
		t.Errorf("a bad command: %q, %v", out, err)
	}
	must(n.Drain(ctx))
	if err := write(); err == nil {
		t.Error("a drained node took a write")
	}
	must(n.Restart(ctx))
	eventually(t, "writes go on", func() bool { return write() == nil })
	must(n.FillDisk(0))
	if _, err := n.Tool(ctx, "flush"); err == nil {
		// The flush that meets a full disk ends the node's service, or fails itself.
		eventually(t, "a full disk is felt", func() bool { return write() != nil })
	}
}

// plan lets the cluster follow a plan with one rule, for as long as during takes.
func plan(t *testing.T, ctx context.Context, c *cluster.Cluster, what chaos.What, node string, during func()) {
	t.Helper()
	told := make(chan chaos.Event, 10)
	rule := chaos.Rule{Where: chaos.Where{Dependency: "cassandra", Node: node}, What: what}
	injector, err := chaos.New(chaos.Plan{Rules: []chaos.Rule{rule}}, chaos.Config{Listeners: []chaos.Listener{
		chaos.ListenerFunc(func(_ context.Context, e chaos.Event) { told <- e })}})
	if err != nil {
		t.Fatal(err)
	}
	injector.Start()
	defer injector.Stop()
	following, end := context.WithCancel(ctx)
	defer end()
	done := make(chan error, 1)
	go func() { done <- c.Follow(following, injector, "cassandra") }()
	select {
	case e := <-told:
		if e.Kind != what.Kind || e.Call.Node != node {
			t.Errorf("told %+v", e)
		}
	case err := <-done:
		t.Fatalf("it stopped following: %v", err)
	}
	during()
	end()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
