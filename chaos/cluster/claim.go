//go:build linux

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// The range of block numbers. The number decides a cluster's addresses, its ports and the
// names of its networks.
const firstBlock, lastBlock = 20, 249

// claim is a cluster's entry in the list of its user's clusters. It reserves a block of
// addresses and ports, and lists what must be removed when the owner is gone. It is a locked
// file, because the system releases a lock when its owner ends, however it ends.
type claim struct {
	number int
	file   *os.File
	left   leftovers
}

// folderName is the prefix of the names of temporary folders.
const folderName = "backstay-nodes-"

// leftovers lists what a cluster leaves behind if its owner is killed.
type leftovers struct {
	// Dir holds the nodes and the file systems that are mounted for them.
	Dir string
	// Own says that the folder belongs to the cluster alone and must be removed too.
	Own bool
	// Namespaces says that there may be networks with the claim's number.
	Namespaces bool
}

// take makes a claim. It records what may be left behind before any of that is made. First it
// removes the leftovers of owners that were killed.
func take(left leftovers) (*claim, error) {
	list, err := listFolder()
	if err != nil {
		return nil, err
	}
	sweep(list)
	for n := firstBlock; n <= lastBlock; n++ {
		f, err := tryLock(claimFile(list, n))
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		c := &claim{number: n, file: f, left: left}
		// A claim stays while the leftovers of its dead owner can't be removed.
		if info, err := f.Stat(); err != nil || info.Size() > 0 || !left.Namespaces && !c.free() {
			_ = f.Close()
			continue
		}
		b, err := json.Marshal(left)
		if err == nil {
			_, err = f.Write(b)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cluster: %w", err), f.Close())
		}
		return c, nil
	}
	return nil, fmt.Errorf("cluster: no free block of addresses from 127.0.%d to 127.0.%d: end some clusters, or remove what dead ones left, which %s lists", firstBlock, lastBlock, list)
}

// release gives the claim back, once everything is removed.
func (c *claim) release() error {
	return errors.Join(c.left.remove(c.number), c.file.Truncate(0), c.file.Close())
}

// prefix returns the first three parts of the nodes' loopback addresses, with the final dot.
func (c *claim) prefix() string { return fmt.Sprintf("127.0.%d.", c.number) }

// jmx returns the port for Cassandra's management tool. It is below the range from which the
// system picks ports for other programs.
func (c *claim) jmx(node int) int { return 10000 + 10*c.number + node }

// free reports whether the addresses are free: nobody else, for example another user, listens
// there.
func (c *claim) free() bool {
	for node := range maxNodes {
		host := fmt.Sprintf("%s%d", c.prefix(), node+1)
		if busy(host, Port) || busy(host, storagePort) || busy("127.0.0.1", c.jmx(node)) {
			return false
		}
	}
	return true
}

func claimFile(list string, number int) string {
	return filepath.Join(list, fmt.Sprintf("block-%d", number))
}

// listFolder returns the folder in which all clusters of one user on this machine are listed.
// It does not depend on TMPDIR: clusters that don't know of each other would take the same
// addresses, and would not remove each other's leftovers.
func listFolder() (string, error) { return ourFolder("/tmp/backstay-" + user()) }

// ourFolder makes a folder in a place where anybody may make one, and refuses one that another
// user has made.
func ourFolder(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cluster: the list of this user's clusters: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("cluster: the list of this user's clusters: %w", err)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(s.Uid) != os.Getuid() {
		return "", fmt.Errorf("cluster: %s is where the list of this user's clusters belongs, and it is somebody else's: have it removed", dir)
	}
	return dir, nil
}

// user returns the number of the user, as seen from outside if the process is in a user
// namespace. Root inside a user namespace is not the machine's root.
func user() string {
	id := fmt.Sprint(os.Getuid())
	b, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return id
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == id && f[2] == "1" {
			return f[1]
		}
	}
	return id
}

// sweep removes the leftovers of owners that are gone. What can't be removed now, for example
// because a process is just ending, is left to the next sweep.
func sweep(list string) {
	files, _ := filepath.Glob(filepath.Join(list, "block-*"))
	for _, name := range files {
		var number int
		if _, err := fmt.Sscanf(filepath.Base(name), "block-%d", &number); err != nil {
			continue
		}
		f, err := tryLock(name)
		if err != nil || f == nil {
			continue
		}
		if b, err := os.ReadFile(name); err == nil && len(b) > 0 {
			var left leftovers
			// The owner records its leftovers before it makes them, so an incomplete file
			// means that it made nothing.
			if json.Unmarshal(b, &left) != nil || left.remove(number) == nil {
				_ = f.Truncate(0)
			}
		}
		_ = f.Close()
	}
}

// remove removes disks, networks and the folder.
func (l leftovers) remove(number int) error {
	var errs []error
	for _, at := range mounts(l.Dir) {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("cluster: unmount %s: %w", at, err))
		}
	}
	if l.Namespaces {
		errs = append(errs, networkOf(number).remove())
	}
	if err := errors.Join(errs...); err != nil || !l.Own || !strings.HasPrefix(filepath.Base(l.Dir), folderName) {
		return err
	}
	return os.RemoveAll(l.Dir)
}

// mounts lists the mount points below a folder, the innermost first.
func mounts(dir string) []string {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil || dir == "" {
		return nil
	}
	var at []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(unescape(f[1]), dir+"/") {
			at = append([]string{unescape(f[1])}, at...)
		}
	}
	return at
}

// unescape decodes a path as the kernel writes it in /proc.
func unescape(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}
