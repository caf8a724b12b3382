//go:build linux

package cluster_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/internal/testenv"
)

// TestClustersSeeEachOtherWhateverTMPDIRSays holds that two clusters never share a block
// of addresses, and that the second removes what a dead one left elsewhere.
func TestClustersSeeEachOtherWhateverTMPDIRSays(t *testing.T) {
	there, here := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", there)
	one, err := cluster.Lease(cluster.Config{})
	if err != nil {
		t.Fatal(err)
	}
	dead, err := cluster.Lease(cluster.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*cluster.AddressBlock{one, dead} {
		if err := os.MkdirAll(filepath.Join(c.Dir(), "node1", "disk"), 0o755); err != nil || !strings.HasPrefix(c.Dir(), there) {
			t.Fatalf("%s, %v", c.Dir(), err)
		}
	}
	if err := dead.Die(); err != nil {
		t.Fatal(err)
	}

	t.Setenv("TMPDIR", here)
	two, err := cluster.Lease(cluster.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if one.Number() == two.Number() || one.Prefix() == two.Prefix() {
		t.Errorf("two clusters have the block %d", one.Number())
	}
	if _, err := os.Stat(dead.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of a dead cluster is there: %v", err)
	}
	if _, err := os.Stat(one.Dir()); err != nil {
		t.Errorf("the folder of a living cluster: %v", err)
	}
	for _, c := range []*cluster.AddressBlock{one, two} {
		if err := c.Release(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(c.Dir()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the folder of a closed cluster is there: %v", err)
		}
	}
}

// TestAFolderOfTheUsersIsNotRemoved: what Config.Dir names may hold other things.
func TestAFolderOfTheUsersIsNotRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backstay-nodes-mine") // named like one of ours
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "kept")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	closed, err := cluster.Lease(cluster.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	dead, err := cluster.Lease(cluster.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(dir, "node1 disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	mount := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m")
	if mount != nil && !errors.Is(mount, syscall.EPERM) {
		t.Fatal(mount)
	}
	if err := errors.Join(closed.Release(), dead.Die()); err != nil {
		t.Fatal(err)
	}
	next, err := cluster.Lease(cluster.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Release(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	if left := mounted(t, dir); len(left) > 0 {
		t.Errorf("disks of a dead cluster are left: %q", left)
	}
}

// TestAListOfSomebodyElseIsRefused: whoever owns the list decides what is removed.
func TestAListOfSomebodyElseIsRefused(t *testing.T) {
	dir := t.TempDir()
	link, theirs := filepath.Join(dir, "link"), filepath.Join(dir, "theirs")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.OurFolder(link); err == nil {
		t.Error("a link was followed")
	}
	if got, err := cluster.OurFolder(filepath.Join(dir, "ours")); err != nil || got != filepath.Join(dir, "ours") {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.Mkdir(theirs, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(theirs, 65534, -1); err != nil {
		testenv.Missing(t, "the right to give a folder to another user: run as root")
	}
	if _, err := cluster.OurFolder(theirs); err == nil || !strings.Contains(err.Error(), theirs) {
		t.Errorf("a folder of another user: %v", err)
	}
}
