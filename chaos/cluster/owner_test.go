//go:build linux

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/internal/testenv"
)

// ownerEnv makes this test binary the owner of a cluster that is about to be killed.
const ownerEnv = "BACKSTAY_TEST_OWNER"

// own starts six nodes, each with its network and its disk; whoever started this process
// kills it meanwhile.
func own() {
	cache, err := testenv.CacheDir()
	if err == nil {
		_, err = cluster.Start(context.Background(), cluster.Config{Nodes: 3, DataCenters: 2, Cache: cache, HeapMB: 256, DiskMB: 128, Namespaces: true})
	}
	// It comes so far only if nobody kills it.
	fmt.Println("started:", err)
	os.Exit(1)
}

// TestAKilledOwnerLeavesNothing kills a process that owns six nodes with everything that
// nodes can have, at the worst moment: all processes are there, and Start has not returned.
// They end at once; a cluster that is started elsewhere (TMPDIR) removes the rest.
func TestAKilledOwnerLeavesNothing(t *testing.T) {
	needNodes(t)
	temp := t.TempDir()
	owner := exec.CommandContext(t.Context(), os.Args[0])
	owner.Env = append(os.Environ(), ownerEnv+"=1", "TMPDIR="+temp)
	var said strings.Builder
	owner.Stdout, owner.Stderr = &said, &said
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- owner.Wait() }()
	eventually(t, "six nodes of the owner", func() bool {
		select {
		case <-ended:
			if strings.Contains(said.String(), cluster.ErrMissing.Error()) {
				testenv.Missing(t, said.String())
			}
			t.Fatalf("the owner ended: %s", said.String())
		default:
		}
		return len(processes(t, temp)) == 6
	})
	networks, disks := spaces(t, temp), mounted(t, temp)
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	eventually(t, "the nodes of a killed owner end", func() bool { return len(processes(t, temp)) == 0 })
	if len(networks) != 6+1+6 || len(disks) != 6 {
		t.Errorf("the owner had networks %q and disks %q", networks, disks)
	}

	c := start(t, cluster.Config{})
	if left, err := filepath.Glob(filepath.Join(temp, "*")); err != nil || len(left) > 0 {
		t.Errorf("the next cluster left %q, %v", left, err)
	}
	if left := mounted(t, temp); len(left) > 0 {
		t.Errorf("the next cluster left the disks %q", left)
	}
	for _, name := range networks {
		if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the next cluster left %s", name)
		}
	}
	t.Run("one node", func(t *testing.T) {
		if hosts := c.Hosts(); len(hosts) != 1 || c.Node(1).State() != cluster.Running || c.Node(2) != nil {
			t.Errorf("hosts %v, state %s", hosts, c.Node(1).State())
		}
	})
	t.Run("the machine's own disk and network are left alone", func(t *testing.T) {
		one := c.Nodes()
		for what, err := range map[string]error{"fill": one[0].FillDisk(0), "cut": c.Cut(one[0], one[0]), "cut clients": c.CutClients(one[0]),
			"partition": c.Partition(one, one), "data centres": c.PartitionDataCenters()} {
			if !errors.Is(err, cluster.ErrState) {
				t.Errorf("%s: got %v", what, err)
			}
		}
	})
	t.Run("a plan that names a node that isn't there is refused before it is followed", func(t *testing.T) {
		for _, rule := range []chaos.Rule{
			{Where: chaos.Where{Node: "node2"}, What: chaos.What{Kind: chaos.Kill}},
			{What: chaos.What{Kind: chaos.DiskFull}},
		} {
			injector, err := chaos.New(chaos.Plan{Rules: []chaos.Rule{{What: chaos.What{Kind: chaos.Kill}}, rule}}, chaos.Config{})
			if err != nil {
				t.Fatal(err)
			}
			injector.Start()
			if err := c.Follow(t.Context(), injector, "cassandra"); !errors.Is(err, chaos.ErrPlan) {
				t.Errorf("error is %v", err)
			}
			if s := c.Node(1).State(); s != cluster.Running {
				t.Errorf("the first rule was followed: the node is %s", s)
			}
		}
	})
	t.Run("a state that does not allow a change", func(t *testing.T) {
		if err := c.Node(1).Resume(); !errors.Is(err, cluster.ErrState) {
			t.Errorf("resume of a node that runs: %v", err)
		}
		if err := c.Node(1).Start(t.Context()); !errors.Is(err, cluster.ErrState) {
			t.Errorf("start of a node that runs: %v", err)
		}
	})
}

// processes are the ids of the nodes whose files are below a folder.
func processes(t *testing.T, dir string) (pids []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		// One that has ended meanwhile is none.
		if b, err := os.ReadFile(name); err == nil && strings.HasPrefix(string(b), "java\x00") && strings.Contains(string(b), dir+"/") {
			pids = append(pids, filepath.Base(filepath.Dir(name)))
		}
	}
	return pids
}

// spaces are the networks, the bridge and its legs of the cluster below a folder.
func spaces(t *testing.T, dir string) (names []string) {
	t.Helper()
	settings, err := filepath.Glob(filepath.Join(dir, "*", "node1", "conf", "cassandra.yaml"))
	if err != nil || len(settings) != 1 {
		t.Fatalf("settings of a node: %q, %v", settings, err)
	}
	b, err := os.ReadFile(settings[0])
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), "\nlisten_address: 10.203.")
	number, _, _ := strings.Cut(after, ".")
	for _, pattern := range []string{"/run/netns/backstay-%s-*", "/sys/class/net/bstay%s", "/sys/class/net/bs%sn*"} {
		found, err := filepath.Glob(fmt.Sprintf(pattern, number))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	return names
}

// mounted are the disks below a folder.
func mounted(t *testing.T, dir string) (disks []string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); strings.HasPrefix(f[1], dir+"/") {
			disks = append(disks, f[1])
		}
	}
	return disks
}
